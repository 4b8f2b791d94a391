// The functions that generated modules import, where nothing of theirs is to run.

import { expect, test } from "vitest";
import { declareRuntime, idleRuntime, runtimeIndices } from "../../src/cpu/interpreter/runtime-imports.js";
import { FunctionBuilder } from "../../src/cpu/wasm/function-builder.js";
import { ModuleWriter } from "../../src/cpu/wasm/module-writer.js";

test("functions that answer 0 take the place of all that regions import", () => {
  const m = new ModuleWriter();
  const type = declareRuntime(m, 1);
  const f = new FunctionBuilder(["i32", "i32"]);
  const host = f.call(runtimeIndices.host, "i32", [f.param(0), f.param(1), f.i32(5)]);
  const goto = f.call(runtimeIndices.goto, "i32", [f.param(0), f.param(1), f.i64(7n)]);
  f.return(f.add(f.add(host, goto), f.i32(3)));
  m.addFunction(type, f.finish(), "run");
  const imports = { ...idleRuntime(), memory: new WebAssembly.Memory({ initial: 1, maximum: 1 }) };
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.toBytes()), { e: imports });
  expect((exports.run as (state: number, record: number) => number)(1, 2)).toBe(3);
});

test("their indices are their places among the imports", () => {
  const m = new ModuleWriter();
  const type = declareRuntime(m);
  const f = new FunctionBuilder(["i32", "i32"]);
  f.return(f.i32(0));
  m.addFunction(type, f.finish(), "run");
  const functions = WebAssembly.Module.imports(new WebAssembly.Module(m.toBytes())).filter(
    ({ kind }) => kind === "function",
  );
  expect(functions.map(({ name }, index) => [name, index])).toEqual(Object.entries(runtimeIndices));
});
