// Modules that the compiler's thread made: their optimized functions in one module, with what is kept in files, and again as parts of a
// later pack.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CompilationHint } from "../../src/cpu/wasm/module-writer.js";
import { canPack } from "../../src/host/code-pack.js";
import { CodeStore } from "../../src/host/code-store.js";
import { MadeModules } from "../../src/host/made-modules.js";
import { enableHints, isOptimized, withoutTierUp } from "../../src/host/v8-flags.js";
import { codeOf, instantiate, moduleOf, type Run } from "./region-like-modules.js";

enableHints();
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "xen-ts-made-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function make(constants: readonly number[], hint: CompilationHint) {
  const bytes = moduleOf(constants, hint);
  const newModule = () => new WebAssembly.Module(bytes);
  const module = hint === CompilationHint.quick ? withoutTierUp(newModule) : newModule();
  const functions = instantiate(module);
  for (const run of functions) run(64, 0);
  return { bytes, module, functions };
}

/** What functions of a pack answer, each of which must be optimized. */
function answers(functions: readonly Run[], indices: readonly (number | undefined)[]): (number | undefined)[] {
  return indices.map((index) => {
    if (index === undefined) return undefined;
    const run = functions[index]!;
    expect(isOptimized(run)).toBe(true);
    return run(64, 0);
  });
}

test.runIf(canPack)("optimized functions of several modules become one, in an order that is told", async () => {
  const made = new MadeModules();
  const store = new CodeStore(directory);
  made.add(1, make([10, 11, 12], CompilationHint.optimized));
  made.addQuick(2, make([20, 21], CompilationHint.quick), undefined);
  await made.optimize(2, 1);
  const kept = { store, unit: store.write(codeOf([30, 31])) };
  const gone = { store, unit: "0".repeat(40) };
  const functions = [
    ...[
      { module: kept, index: 1 },
      { module: 1, index: 2 },
      { module: 2, index: 0 },
      { module: 2, index: 1 },
    ],
    ...[
      { module: 1, index: 0 },
      { module: gone, index: 0 },
      { module: 9, index: 0 },
    ],
  ];
  const { bytes, module, indices } = made.pack(functions)!;
  const packed = instantiate(module);
  expect(packed).toHaveLength(4);
  // What is only quick stays where it is, and what nobody has is not there.
  expect(answers(packed, indices)).toEqual([31, 12, undefined, 21, 10, undefined, undefined]);
  // A pack goes into the next one.
  made.add(3, { bytes, module, functions: packed });
  made.release(1);
  const again = made.pack([
    { module: 3, index: indices[1]! },
    { module: 1, index: 1 },
    { module: 3, index: indices[3]! },
  ])!;
  expect(answers(instantiate(again.module), again.indices)).toEqual([12, undefined, 21]);
  // The earlier one runs on.
  expect(answers(packed, indices)).toEqual([31, 12, undefined, 21, 10, undefined, undefined]);
});

test("where nothing has machine code there's no pack", () => {
  const made = new MadeModules();
  made.add(1, make([40], CompilationHint.quick));
  expect(made.pack([])).toBeUndefined();
  expect(
    made.pack([
      { module: 1, index: 0 },
      { module: 2, index: 0 },
    ]),
  ).toBeUndefined();
});
