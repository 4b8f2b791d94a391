// Segmented addressing outside 64-bit mode: string instructions with segments and address sizes, stacks of 16 bits, wrapping.
// SDM volume 1, 3.3 and 6.2; volume 2, REP.

import { describe, expect, test } from "vitest";
import { Vector } from "../../../src/cpu/exit.js";
import * as S from "../../../src/cpu/state-layout.js";
import { type BareMachine, bareMachine, fault, halted, STACK } from "./bare-machine.js";

const { Reg, Seg } = S;

function strings(): BareMachine {
  const m = bareMachine("protected32");
  m.state.setSegmentBase(Seg.FS, 0x9000n);
  m.state.setSegmentBase(Seg.ES, 0xb000n);
  for (let i = 0; i < 16; i++) m.memory.writeU8(0x9010 + i, 0x40 + i);
  m.state.setGpr(Reg.RSI, 0x10n);
  m.state.setGpr(Reg.RDI, 0x20n);
  m.state.setGpr(Reg.RCX, 4n);
  return m;
}

describe("string instructions", () => {
  test("the source segment is overridden, the destination's is ES", () => {
    const m = strings();
    expect(m.run("64f3a5 f4")).toMatchObject(halted);
    expect([...m.memory.bytes(0xb020, 16)]).toEqual([...m.memory.bytes(0x9010, 16)]);
    expect([m.state.gpr(Reg.RSI), m.state.gpr(Reg.RDI), m.state.gpr(Reg.RCX)]).toEqual([0x20n, 0x30n, 0n]);
  });

  test("downwards with DF, and LODS, SCAS, CMPS", () => {
    const m = strings();
    expect(m.run("fd 64f3a4 fc f4")).toMatchObject(halted);
    expect(m.memory.readU8(0xb020)).toBe(0x40);
    expect([m.state.gpr(Reg.RSI), m.state.gpr(Reg.RDI)]).toEqual([0xcn, 0x1cn]);
    m.state.setGpr(Reg.RSI, 0x12n);
    expect(m.run("64ac f4")).toMatchObject(halted);
    expect(m.state.gpr(Reg.RAX)).toBe(0x42n);
    m.state.setGpr(Reg.RDI, 0x20n);
    m.state.setGpr(Reg.RCX, 9n);
    m.memory.writeU8(0xb023, 0x42);
    expect(m.run("f2ae f4")).toMatchObject(halted);
    expect([m.state.gpr(Reg.RDI), m.state.gpr(Reg.RCX)]).toEqual([0x24n, 5n]);
  });

  test("a fault in the middle leaves the registers at the element that faults", () => {
    const m = strings();
    m.state.setU32(S.SEG_LIMIT + 4 * Seg.ES, 0x27);
    expect(m.run("64f3a5")).toMatchObject(fault(Vector.GP, 0));
    expect([m.state.gpr(Reg.RSI), m.state.gpr(Reg.RDI), m.state.gpr(Reg.RCX)]).toEqual([0x18n, 0x28n, 2n]);
    const stack = strings();
    stack.state.setU32(S.SEG_LIMIT + 4 * Seg.SS, 0x11);
    expect(stack.run("36f3a5")).toMatchObject(fault(Vector.SS, 0));
  });

  test("16-bit addresses wrap and count in CX", () => {
    const m = strings();
    m.state.setGpr(Reg.RCX, 0x10002n);
    m.state.setGpr(Reg.RDI, 0x1ffffn);
    m.state.setGpr(Reg.RAX, 0x77n);
    expect(m.run("67f3aa f4")).toMatchObject(halted);
    expect([m.memory.readU8(0x1afff), m.memory.readU8(0xb000)]).toEqual([0x77, 0x77]);
    expect([m.state.gpr(Reg.RCX), m.state.gpr(Reg.RDI)]).toEqual([0x10000n, 0x10001n]);
  });

  test("XLAT adds AL to the base within the address size", () => {
    const m = strings();
    m.state.setGpr(Reg.RBX, 0xfff8n);
    m.state.setGpr(Reg.RAX, 0x18n);
    expect(m.run("6467d7 f4")).toMatchObject(halted);
    expect(m.state.gpr(Reg.RAX)).toBe(0x40n);
  });
});

describe("16-bit stacks", () => {
  function narrow(sp: bigint): BareMachine {
    const m = bareMachine("protected32");
    m.state.setU32(S.STACK_MASK, 0xffff);
    m.state.setGpr(Reg.RSP, sp);
    m.state.setGpr(Reg.RAX, 0x11223344n);
    return m;
  }

  test("wrap, and keep the upper bits of ESP", () => {
    const m = narrow(0xabcd0002n);
    m.state.setU32(S.SEG_LIMIT + 4 * Seg.SS, 0xffff);
    expect(m.run("50 f4")).toMatchObject(fault(Vector.SS, 0)); // 4 bytes at fffe
    expect(m.state.gpr(Reg.RSP)).toBe(0xabcd0002n);
  });

  test("push, pop, PUSHA, POPA, ENTER, LEAVE, CALL and RET", () => {
    const m = narrow(0xabcd0000n);
    expect(m.run("50 f4")).toMatchObject(halted);
    expect([m.memory.readU32(0xfffc), m.state.gpr(Reg.RSP)]).toEqual([0x11223344, 0xabcdfffcn]);
    expect(m.run("5b 60 61 f4")).toMatchObject(halted);
    expect([m.state.gpr(Reg.RBX), m.state.gpr(Reg.RSP)]).toEqual([0x11223344n, 0xabcd0000n]);
    expect(m.memory.readU32(0xfff0 - 4 + 0)).toBe(0xabcd0000); // ESP as it was
    m.state.setGpr(Reg.RBP, 0x55550008n);
    expect(m.run("c8080000 c9 f4")).toMatchObject(halted);
    expect([m.state.gpr(Reg.RBP), m.state.gpr(Reg.RSP)]).toEqual([0x55550008n, 0xabcd0000n]);
    expect(m.run("e801000000 f4 c3")).toMatchObject(halted);
    expect(m.state.gpr(Reg.RSP)).toBe(0xabcd0000n);
  });
});

test("ENTER copies frame pointers of outer levels", () => {
  const m = bareMachine("protected32");
  m.state.setGpr(Reg.RBP, 0x9100n);
  m.memory.writeU32(0x90fc, 111);
  m.memory.writeU32(0x90f8, 222);
  expect(m.run("c8100003 f4")).toMatchObject(halted);
  const words = [1, 2, 3, 4].map((i) => m.memory.readU32(STACK - 4 * i));
  expect(words).toEqual([0x9100, 111, 222, STACK - 4]);
  expect([m.state.gpr(Reg.RBP), m.state.gpr(Reg.RSP)]).toEqual([BigInt(STACK - 4), BigInt(STACK - 16 - 16)]);
});

test("linear addresses wrap at 4 GB outside 64-bit mode", () => {
  const m = bareMachine("compat");
  m.state.setSegmentBase(Seg.FS, 0xffff8000n);
  m.memory.writeU32(0x9000, 0x1234);
  expect(m.run("64a100100100 f4", 1)).toMatchObject({ kind: 1 });
  expect(m.state.gpr(Reg.RAX)).toBe(0x1234n);
});

test("alignment checks at CPL 3, also in host operations and implied accesses", () => {
  const m = bareMachine("compat", 3);
  m.state.setU64(S.CR0, m.state.cr0 | 0x40000n);
  m.state.rflags = 0x40002n;
  m.cpu.accessRightsChanged();
  const ac = fault(Vector.AC, 0);
  expect(m.run("a101900000", 1)).toMatchObject(ac);
  expect(m.run("a102900000", 1)).toMatchObject(ac);
  expect(m.run("66a102900000", 1)).toMatchObject({ kind: 1 });
  expect(m.run("a001900000", 1)).toMatchObject({ kind: 1 });
  m.state.setGpr(Reg.RSP, BigInt(STACK + 1));
  for (const code of ["50", "58", "60", "61", "c3", "cb", "cf", "e800000000", "c8000000", "9c"])
    expect([code, { ...m.run(code, 1) }]).toMatchObject([code, ac]);
  // A descriptor table may lie anywhere.
  m.state.setU64(S.GDTR_BASE, 0x7001n);
  m.memory.write(0x7001, m.memory.bytes(0x7000, 0x70).slice());
  m.state.setGpr(Reg.RAX, 0x2bn);
  expect(m.run("8ed8", 1)).toMatchObject({ kind: 1 });
});
