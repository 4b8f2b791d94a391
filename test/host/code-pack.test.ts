// Machine code put together: functions of several modules run as before, in one module (in another process: kept-code.spawn.test.ts);
// what isn't a module of regions, or has another layout, is refused by name.

import { expect, test } from "vitest";
import { CompilationHint } from "../../src/cpu/wasm/module-writer.js";
import { CodePack, canPack } from "../../src/host/code-pack.js";
import {
  deserializeModule,
  enableHints,
  isOptimized,
  optimizeInPlace,
  serializeModule,
  withoutTierUp,
} from "../../src/host/v8-flags.js";
import { codeOf, instantiate, memory, moduleOf, type Run } from "./region-like-modules.js";

enableHints();

function works(run: Run | undefined, constant: number): void {
  expect(isOptimized(run!)).toBe(true);
  expect(run!(64, 7)).toBe(70 + constant);
  expect(new DataView(memory.buffer).getInt32(64, true)).toBe(constant);
  expect(() => run!(2 * 65_536, 0)).toThrow("memory access out of bounds");
}

test.runIf(canPack)("functions of several modules become one module's, and nothing is compiled", () => {
  const [first, second] = [codeOf([1000, 1001, 1002]), codeOf([2000])];
  const pack = new CodePack();
  expect(pack.add(first, [2, 0])).toEqual([0, 1]);
  expect(pack.add(second, [0, 1])).toEqual([2, undefined]);
  expect(pack.count).toBe(3);
  const { bytes, code } = pack.finish();
  const functions = instantiate(deserializeModule(code, bytes)!);
  for (const [i, constant] of [1002, 1000, 2000].entries()) works(functions[i], constant);
  // And once more.
  const again = new CodePack();
  expect(again.add({ bytes, code }, [2])).toEqual([0]);
  const packed = again.finish();
  works(instantiate(deserializeModule(packed.code, packed.bytes)!)[0], 2000);
});

test.runIf(canPack)("what isn't optimized isn't packed", () => {
  const bytes = moduleOf([3000, 3001], CompilationHint.quick);
  const module = withoutTierUp(() => new WebAssembly.Module(bytes));
  const functions = instantiate(module);
  for (const run of functions) run(0, 0);
  expect(optimizeInPlace(functions[1]!)).toBe(true);
  const code = serializeModule(module, functions)!;
  expect(new CodePack().add({ bytes, code }, [0, 1])).toEqual([undefined, 0]);
});

test.runIf(canPack)("other modules and damaged ones are refused", () => {
  const { bytes, code } = codeOf([4000, 4001]);
  const other = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 2, 1, 0);
  expect(() => new CodePack().add({ bytes: other, code }, [0])).toThrow("a kept module with other imports");
  for (const length of [8, 100, bytes.length - 100])
    expect(() => new CodePack().add({ bytes: bytes.subarray(0, length), code }, [0])).toThrow(/^a kept module /);
  for (const length of [10, 34, 60, code.length - 1])
    expect(() => new CodePack().add({ bytes, code: code.subarray(0, length) }, [0])).toThrow(
      "kept machine code of another layout",
    );
  expect(() => new CodePack().finish()).toThrow("nothing was packed");
});
