// Modules like those of regions, for tests of what is kept of them.

import { declareRuntime } from "../../src/cpu/interpreter/runtime-imports.js";
import { FunctionBuilder } from "../../src/cpu/wasm/function-builder.js";
import { CompilationHint, ModuleWriter } from "../../src/cpu/wasm/module-writer.js";
import type { ModuleCode } from "../../src/host/code-pack.js";
import { serializeModule } from "../../src/host/v8-flags.js";

/** Of the functions that regions import. */
const GOTO = 2;
export type Run = (state: number, record: number) => number;
export const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });

/** Its functions; the third import answers with ten times its second argument. */
export function instantiate(module: WebAssembly.Module): Run[] {
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
export function moduleOf(constants: readonly number[], hint: CompilationHint = CompilationHint.optimized) {
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
export function codeOf(constants: readonly number[]): ModuleCode {
  const bytes = moduleOf(constants);
  const module = new WebAssembly.Module(bytes);
  const functions = instantiate(module);
  for (const run of functions) run(0, 0);
  return { bytes, code: serializeModule(module, functions)! };
}
