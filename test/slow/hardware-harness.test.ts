// The native harness by itself: hand-written cases with results from the SDM's instruction descriptions.
import { afterAll, describe, expect, it } from "vitest";
import {
  CODE_BASE,
  CODE_OFFSET,
  DATA_BASE,
  ERROR_OFFSET,
  FAULT_ADDRESS_OFFSET,
  FXSAVE_OFFSET,
  GPR_OFFSET,
  LENGTH_OFFSET,
  READ_ONLY_BASE,
  RFLAGS_OFFSET,
  RIP_OFFSET,
  RUNS_OFFSET,
  SELECTORS_OFFSET,
  ST_OFFSET,
  VECTOR_OFFSET,
  XMM_OFFSET,
} from "../conformance/layout.js";
import { NativeProcessor } from "../conformance/native.js";
import { Case, fillState } from "../conformance/random-state.js";

const native = NativeProcessor.open();
afterAll(() => {
  if (typeof native !== "string") native[Symbol.dispose]();
});

const RIP = CODE_BASE + 0x1800;
const registers = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9"];

function execute(hex: string, inputs: Record<string, bigint>, mode: 32 | 64 = 64): DataView {
  if (typeof native === "string") throw new Error(native);
  const one = new Case();
  fillState(one, 1, mode);
  const code = Buffer.from(hex.replaceAll(" ", ""), "hex");
  one.bytes.set(code, CODE_OFFSET);
  one.bytes[LENGTH_OFFSET] = code.length;
  one.view.setBigUint64(RIP_OFFSET, BigInt(RIP), true);
  one.view.setBigUint64(RFLAGS_OFFSET, 0x202n, true);
  one.view.setUint16(FXSAVE_OFFSET, 0x37f, true);
  one.view.setUint16(FXSAVE_OFFSET + 2, 0, true);
  one.view.setUint8(FXSAVE_OFFSET + 4, 0xff);
  one.view.setUint32(FXSAVE_OFFSET + 24, 0x1f80, true);
  for (const [name, value] of Object.entries(inputs)) {
    if (name === "flags") one.view.setBigUint64(RFLAGS_OFFSET, value, true);
    else if (name === "xmm0") one.view.setBigUint64(XMM_OFFSET, value, true);
    else if (name === "xmm1") one.view.setBigUint64(XMM_OFFSET + 16, value, true);
    else one.view.setBigUint64(GPR_OFFSET + 8 * registers.indexOf(name), value, true);
  }
  const result = native.run([one.bytes]);
  return new DataView(result.buffer);
}

const gpr = (v: DataView, name: string): bigint => v.getBigUint64(GPR_OFFSET + 8 * registers.indexOf(name), true);
const status = (v: DataView): number => v.getUint32(RFLAGS_OFFSET, true) & 0x8d5;
const completed = (v: DataView, length: number): void => {
  expect(v.getUint8(VECTOR_OFFSET)).toBe(3);
  expect(v.getUint32(RIP_OFFSET, true)).toBe(RIP + length + 1);
};

describe.skipIf(typeof native === "string")("native harness", () => {
  it("adds with carry", () => {
    const v = execute("48 11 d8", { rax: 0xffff_ffff_ffff_ffffn, rbx: 0n, flags: 0x203n });
    completed(v, 3);
    expect(gpr(v, "rax")).toBe(0n);
    expect(status(v)).toBe(0x55);
  });

  it("multiplies, divides and faults on division by zero", () => {
    const product = execute("f7 e1", { rax: 0xffffffffn, rcx: 0xffffffffn });
    expect([gpr(product, "rdx"), gpr(product, "rax")]).toEqual([0xfffffffen, 1n]);
    const quotient = execute("48 f7 f1", { rdx: 1n, rax: 0n, rcx: 16n });
    expect([gpr(quotient, "rax"), gpr(quotient, "rdx")]).toEqual([1n << 60n, 0n]);
    const fault = execute("48 f7 f1", { rdx: 1n, rax: 5n, rcx: 0n });
    expect([fault.getUint8(VECTOR_OFFSET), fault.getUint32(RIP_OFFSET, true)]).toEqual([0, RIP]);
    expect(gpr(fault, "rax")).toBe(5n);
  });

  it("reports memory changes, and any RSP works", () => {
    const v = execute("50", { rax: 0x1122334455667788n, rsp: BigInt(DATA_BASE + 0x108) });
    completed(v, 1);
    expect(gpr(v, "rsp")).toBe(BigInt(DATA_BASE + 0x100));
    expect(v.getUint32(RUNS_OFFSET, true)).toBeGreaterThan(0);
    expect(v.getUint32(RUNS_OFFSET + 4, true)).toBe(DATA_BASE + 0x100);
    completed(execute("90", { rsp: 0xdead_beef_dead_beefn }), 1);
  });

  it("reports page faults, general protection and stack faults", () => {
    const write = execute("89 03", { rbx: BigInt(READ_ONLY_BASE + 4) });
    expect(write.getUint8(VECTOR_OFFSET)).toBe(14);
    expect(write.getUint32(ERROR_OFFSET, true)).toBe(7);
    expect(write.getUint32(FAULT_ADDRESS_OFFSET, true)).toBe(READ_ONLY_BASE + 4);
    expect(execute("8b 03", { rbx: 0x8000_0000_0000n }).getUint8(VECTOR_OFFSET)).toBe(13);
    expect(execute("58", { rsp: 0x8000_0000_0000n }).getUint8(VECTOR_OFFSET)).toBe(12);
    expect(execute("f4", {}).getUint8(VECTOR_OFFSET)).toBe(13);
    expect(execute("0f 0b", {}).getUint8(VECTOR_OFFSET)).toBe(6);
  });

  it("checks alignment when AC is set", () => {
    const v = execute("8b 03", { rbx: BigInt(DATA_BASE + 1), flags: 0x40202n });
    expect(v.getUint8(VECTOR_OFFSET)).toBe(17);
    completed(execute("8b 03", { rbx: BigInt(DATA_BASE + 4), flags: 0x40202n }), 2);
  });

  it("loads and reports SSE and x87 state", () => {
    const sum = execute("f2 0f 58 c1", { xmm0: 0x3ff0000000000000n, xmm1: 0x4000000000000000n });
    completed(sum, 4);
    expect(sum.getBigUint64(XMM_OFFSET, true)).toBe(0x4008000000000000n);
    const one = execute("db e3", {}); // fninit
    expect(one.getUint8(FXSAVE_OFFSET + 4)).toBe(0);
    const loaded = execute("d9 e8", {}); // fld1 onto a full stack: overflow, the indefinite NaN
    expect(loaded.getUint16(FXSAVE_OFFSET + 2, true)).toBe(0x3a41);
    expect(loaded.getBigUint64(ST_OFFSET, true)).toBe(0xc000000000000000n);
    expect(loaded.getUint16(ST_OFFSET + 8, true)).toBe(0xffff);
  });

  it("runs 32-bit code", () => {
    const v = execute("40", { rax: 0xffff_ffffn }, 32); // inc eax; a REX prefix in 64-bit mode
    completed(v, 1);
    expect(gpr(v, "rax")).toBe(0n);
    const far = execute(`ea ${Buffer.from([0, 0x10, 0, 0x20]).toString("hex")} 3300`, {}, 32);
    expect([far.getUint32(RIP_OFFSET, true), far.getUint16(SELECTORS_OFFSET + 2, true)]).toEqual([0x20001001, 0x33]);
    expect(execute("37", { rax: 0xfn }, 32).getUint8(VECTOR_OFFSET)).toBe(3); // aaa
    expect(execute("37", {}, 64).getUint8(VECTOR_OFFSET)).toBe(6);
  });
});
