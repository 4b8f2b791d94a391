// The branch hint section: it names the opcodes of the branches that were hinted, and stands before the code.

import { expect, it } from "vitest";
import { CodeWriter } from "../../../src/cpu/wasm/code-writer.js";
import { FunctionBuilder } from "../../../src/cpu/wasm/function-builder.js";
import { ModuleWriter } from "../../../src/cpu/wasm/module-writer.js";

const IF = 0x04;
const BR_IF = 0x0d;

function hinted(): FunctionBuilder {
  const f = new FunctionBuilder(["i32"]);
  const a = f.param(0);
  const result = f.variable(f.i32(1));
  f.ifRare(f.eq(a, f.i32(7)), () => f.set(result, f.i32(2)));
  // Written elsewhere first, as the copies of a region's block are.
  const outer = f.code;
  f.code = new CodeWriter();
  f.block((end) => {
    f.brIf(end, a, true);
    f.set(result, f.i32(3));
  });
  const inner = f.code;
  f.code = outer;
  f.code.append(inner);
  f.return(f.get(result));
  f.unreachable();
  return f;
}

it("keeps where the hinted opcodes stand through nested code, prologue and locals", () => {
  const prologue = new FunctionBuilder(["i32"]);
  prologue.ifUsual(prologue.param(0), () => {});
  const { bytes, hints } = hinted().finish(prologue.code);
  expect(hints.map(({ at, likely }) => [bytes[at], likely])).toEqual([
    [IF, true],
    [IF, false],
    [BR_IF, true],
  ]);
});

it("writes a section before the code that leaves the module what it was", () => {
  const module = (hints: boolean) => {
    const m = new ModuleWriter();
    const type = m.type(["i32"], ["i32"]);
    m.importFunction("e", "unused", m.type([], []));
    const body = hinted().finish();
    m.addFunction(type, hints ? body : { bytes: body.bytes, hints: [] }, "f");
    return m.toBytes();
  };
  const name = "metadata.code.branch_hint";
  const text = Buffer.from(module(true)).toString("latin1");
  const { hints } = hinted().finish();
  // One function, number 1, two hints of one byte each.
  const section = [1, 1, 2, hints[0]!.at, 1, 0, hints[1]!.at, 1, 1];
  const after = text.indexOf(name) + name.length;
  expect([...module(true).subarray(after, after + section.length)]).toEqual(section);
  expect([text.charCodeAt(after + section.length)]).toEqual([10]);
  expect(text.length - module(false).length).toBe(3 + name.length + section.length);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module(true)), { e: { unused: () => {} } });
  const f = exports.f as (a: number) => number;
  expect([f(0), f(7), f(1)]).toEqual([3, 2, 1]);
});
