// Machine code that one process kept, as another one runs it.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CompilationHint } from "../../src/cpu/wasm/module-writer.js";
import { canPack } from "../../src/host/code-pack.js";
import { CodeStore } from "../../src/host/code-store.js";
import { packUsed } from "../../src/host/pack-catalog.js";
import type { CatalogEntry } from "../../src/host/region-catalog.js";
import { enableHints, hasTierControl } from "../../src/host/v8-flags.js";
import { root } from "../support/command.js";
import { codeOf, moduleOf } from "./region-like-modules.js";

enableHints();
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "xen-ts-kept-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** What a script prints in another process. `store` is of this folder; `functionsOf` gives those of a module whose imports answer 1. */
function elsewhere(work: string): string {
  const built = (name: string) => JSON.stringify(join(root, "dist/src/host", name));
  const script = `
    import { CodeStore } from ${built("code-store.js")};
    import { MadeModules } from ${built("made-modules.js")};
    import * as flags from ${built("v8-flags.js")};
    flags.enableHints();
    const store = new CodeStore(${JSON.stringify(directory)});
    const functionsOf = (module) => {
      const imports = WebAssembly.Module.imports(module).map(({ name, kind }) =>
        [name, kind === "memory" ? new WebAssembly.Memory({ initial: 1 }) : () => 1]);
      return Object.values(new WebAssembly.Instance(module, { e: Object.fromEntries(imports) }).exports);
    };
    ${work}`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  expect(stderr).toBe("");
  return stdout.trim();
}

test.runIf(hasTierControl)(
  "functions that were optimized where they are are there, the others as good as unknown",
  () => {
    const unit = elsewhere(`
    const bytes = Uint8Array.from([${moduleOf([1, 2], CompilationHint.quick)}]);
    const module = flags.withoutTierUp(() => new WebAssembly.Module(bytes));
    const modules = new MadeModules();
    modules.addQuick(1, { bytes, module, functions: functionsOf(module) }, store);
    for (const run of functionsOf(module)) run(0, 0);
    console.log((await modules.optimize(1, 1)).unit);
    modules.save();`);
    const results = elsewhere(`
    const all = functionsOf(store.load(${JSON.stringify(unit)}));
    console.log(...all.map(flags.isOptimized), ...all.map((run) => run(0, 0)));`);
    expect(results).toBe("false true 2 3");
  },
);

const entryOf = (text: string, unit: string, lastUsed: number, index = 0): CatalogEntry => ({
  ...{ keys: [1], text, isCut: false, generation: 1, lastUsed },
  code: { unit, index, size: 10 },
});

test.runIf(canPack)("what a run used goes to one file, which another process runs", () => {
  const store = new CodeStore(directory);
  const units = Array.from({ length: 70 }, (_, i) => store.write(codeOf([5000 + i, 6000 + i])));
  const used = units.map((unit, i) => entryOf(`${i}`, unit, 9, i % 2));
  const before = entryOf("before", units[3]!, 8);
  const missing = entryOf("missing", "0123", 9);
  const entries = [...used, before, missing];
  const packed = packUsed(store, entries);
  expect(packed.slice(70)).toEqual([before, missing]);
  const [pack] = new Set(packed.slice(0, 70).map(({ code }) => code!.unit));
  expect(packed.slice(0, 70)).toEqual(
    used.map((entry, index) => ({ ...entry, code: { ...entry.code, unit: pack, index } })),
  );
  expect(readdirSync(directory).map((name) => name.split("-")[0])).toEqual([pack, units[3]].sort());
  const results = elsewhere(`
    const functions = functionsOf(store.load(${JSON.stringify(pack)}));
    console.log(functions.every(flags.isOptimized), functions.map((run) => run(0, 0)).join());`);
  expect(results).toBe(`true ${units.map((_, i) => (i % 2 ? 6001 : 5001) + i).join()}`);
  // Few files are left as they are.
  expect(packUsed(store, packed)).toBe(packed);
  expect(packUsed(store, [])).toEqual([]);
});
