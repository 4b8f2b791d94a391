// Machine code put together: functions of several modules run as before, in one module of another process; what isn't a module of
// regions, or has another layout, is refused by name.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { declareRuntime } from "../../src/cpu/interpreter/handlers.js";
import { FunctionBuilder } from "../../src/cpu/wasm/function-builder.js";
import { CompilationHint, ModuleWriter } from "../../src/cpu/wasm/module-writer.js";
import { CodePack, canPack, type ModuleCode } from "../../src/host/code-pack.js";
import { CodeStore } from "../../src/host/code-store.js";
import { packUsed } from "../../src/host/pack-catalog.js";
import type { CatalogEntry } from "../../src/host/region-catalog.js";
import {
  deserializeModule,
  enableHints,
  isOptimized,
  optimizeInPlace,
  serializeModule,
  withoutTierUp,
} from "../../src/host/v8-flags.js";

enableHints();
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "xen-ts-pack-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Of the functions that regions import. */
const GOTO = 2;
type Run = (state: number, record: number) => number;
const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });

/** Its functions; the third import answers with ten times its second argument. */
function instantiate(module: WebAssembly.Module): Run[] {
  const calls = (name: string) => (name === "goto" ? (_: number, record: number) => 10 * record : () => 0);
  const imports = WebAssembly.Module.imports(module).map(({ name }) => [
    name,
    name === "memory" ? memory : calls(name),
  ]);
  return Object.values(new WebAssembly.Instance(module, { e: Object.fromEntries(imports) }).exports) as Run[];
}

/**
 * A module like those of regions: each function stores its constant, calls a function that is imported, and adds what that answers. Beyond
 * the memory's end it traps.
 */
function moduleOf(constants: readonly number[], hint: CompilationHint = CompilationHint.optimized) {
  const writer = new ModuleWriter();
  writer.compilationHint = hint;
  const type = declareRuntime(writer);
  for (const [i, constant] of constants.entries()) {
    const f = new FunctionBuilder(["i32", "i32"]);
    f.store("i32", f.param(0), f.i32(constant));
    f.return(f.add(f.call(GOTO, "i32", [f.param(0), f.param(1), f.i64(0n)]), f.i32(constant)));
    writer.addFunction(type, f.finish(), String(i));
  }
  return writer.toBytes();
}

/** What V8 has of such a module. */
function codeOf(constants: readonly number[]): ModuleCode {
  const bytes = moduleOf(constants);
  const module = new WebAssembly.Module(bytes);
  const functions = instantiate(module);
  for (const run of functions) run(0, 0);
  return { bytes, code: serializeModule(module, functions)! };
}

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
  const script = `
    import { CodeStore } from ${JSON.stringify(resolve("dist/src/host/code-store.js"))};
    import * as flags from ${JSON.stringify(resolve("dist/src/host/v8-flags.js"))};
    flags.enableHints();
    const module = new CodeStore(${JSON.stringify(directory)}).load(${JSON.stringify(pack)});
    const imports = WebAssembly.Module.imports(module).map(({ name, kind }) =>
      [name, kind === "memory" ? new WebAssembly.Memory({ initial: 1 }) : () => 1]);
    const functions = Object.values(new WebAssembly.Instance(module, { e: Object.fromEntries(imports) }).exports);
    console.log(functions.every(flags.isOptimized), functions.map((run) => run(0, 0)).join());`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  expect([stdout, stderr]).toEqual([`true ${units.map((_, i) => (i % 2 ? 6001 : 5001) + i).join()}\n`, ""]);
  // Few files are left as they are.
  expect(packUsed(store, packed)).toBe(packed);
  expect(packUsed(store, [])).toEqual([]);
});
