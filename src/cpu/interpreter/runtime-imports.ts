// The functions that modules of handlers and of regions import.

import type { RuntimeImports } from "../emit/interpreter-emitter.js";
import { FunctionBuilder } from "../wasm/function-builder.js";
import { ModuleWriter, type ValueTypeName } from "../wasm/module-writer.js";

type Signature = readonly [parameters: readonly ValueTypeName[], results: readonly ValueTypeName[]];

/** In the order of their indices. */
const signatures: Readonly<Record<keyof RuntimeImports, Signature>> = {
  translate: [["i32", "i32", "i64", "i32"], ["i32"]],
  commit: [["i32", "i32"], []],
  goto: [["i32", "i32", "i64"], ["i32"]],
  gotoDirect: [["i32", "i32", "i64"], ["i32"]],
  host: [["i32", "i32", "i32"], ["i32"]],
  checkSegment: [["i32", "i32", "i32", "i32", "i32"], ["i32"]],
  gate: [["i32", "i32"], ["i32"]],
  x87: [["i32", "i32", "i64", "i32", "i64", "i32"], ["i32"]],
  ordinary: [["i32", "i32", "v128", "v128"], ["i32"]],
};

/** Function indices of the runtime in every module of handlers or regions. */
export const runtimeIndices = Object.fromEntries(
  Object.keys(signatures).map((name, index) => [name, index]),
) as unknown as RuntimeImports;

/** Declares what modules of handlers and of regions import. Returns the type of their functions. */
export function declareRuntime(m: ModuleWriter, pages?: number): number {
  m.importMemory("e", "memory", pages);
  for (const [name, signature] of Object.entries(signatures)) m.importFunction("e", name, m.type(...signature));
  return m.type(["i32", "i32"], ["i32"]);
}

/**
 * What such modules can be instantiated with where nothing of theirs is to run: functions that answer 0. They come from WebAssembly, since V8
 * compiles a wrapper for each JavaScript function that a module imports: .45 ms for these.
 */
export function idleRuntime(): WebAssembly.ModuleImports {
  const m = new ModuleWriter();
  for (const [name, signature] of Object.entries(signatures)) {
    const f = new FunctionBuilder(signature[0]);
    if (signature[1].length > 0) f.return(f.i32(0));
    m.addFunction(m.type(...signature), f.finish(), name);
  }
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.toBytes()));
  return exports as WebAssembly.ModuleImports;
}
