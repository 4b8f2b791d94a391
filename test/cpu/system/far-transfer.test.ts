// Far jumps, calls and returns, IRET, SYSRET, between code sizes and rings. SDM volume 3A, 5.8; volume 2.

import { describe, expect, test } from "vitest";
import { Vector } from "../../../src/cpu/exit.js";
import * as S from "../../../src/cpu/state-layout.js";
import { type BareMachine, bareMachine, CODE, fault, halted, Sel, STACK } from "./bare-machine.js";

const { Reg, Seg } = S;
const selector = (m: BareMachine, segment: number) => m.state.segmentSelector(segment);
const hex = (value: number, bytes: number) =>
  Array.from({ length: bytes }, (_, i) => ((value >>> (8 * i)) & 0xff).toString(16).padStart(2, "0")).join("");
/** Puts 64-bit (or `bytes` wide) words at the stack's top, first word lowest. */
function stack(m: BareMachine, words: readonly (number | bigint)[], bytes = 8): void {
  const top = STACK - words.length * bytes;
  words.forEach((word, i) => {
    for (let k = 0; k < bytes; k++)
      m.memory.writeU8(top + i * bytes + k, Number((BigInt(word) >> BigInt(8 * k)) & 0xffn));
  });
  m.state.setGpr(Reg.RSP, BigInt(top));
}
const gp = (code: number) => fault(Vector.GP, code);

describe("far jumps", () => {
  test("between 16-, 32- and 64-bit code", () => {
    const m = bareMachine("long");
    m.memory.write(0x9000, Uint8Array.of(0, 0x91, 0, 0, Sel.code32, 0));
    m.memory.write(0x9100, Uint8Array.from([0x40, 0xea, 0, 0x92, 0, 0, Sel.code16, 0]));
    m.memory.write(0x9200, Uint8Array.from([0x66, 0x40, 0xea, 0, 0x93, Sel.code64, 0]));
    m.memory.write(0x9300, Uint8Array.from([0x48, 0xff, 0xc0, 0xf4]));
    expect(m.run("ff2c2500900000")).toMatchObject(halted);
    expect(m.state.gpr(Reg.RAX)).toBe(3n);
    expect([m.state.codeMode, m.state.rip, selector(m, Seg.CS)]).toEqual([2, 0x9304n, Sel.code64]);
  });

  test("faults name the selector, and change nothing", () => {
    const m = bareMachine("protected32");
    const jump = (target: number, offset = 0x9000) => ({ ...m.run(`ea ${hex(offset, 4)} ${hex(target, 2)}`) });
    expect(jump(0)).toMatchObject(gp(0));
    expect(jump(Sel.data)).toMatchObject(gp(Sel.data));
    expect(jump(Sel.userCode32 | 3)).toMatchObject(gp(Sel.userCode32));
    expect(jump(0xff8)).toMatchObject(gp(0xff8));
    m.setDescriptor(Sel.code16, m.descriptor(Sel.code16) & ~(0x80n << 40n));
    expect(jump(Sel.code16)).toMatchObject(fault(Vector.NP, Sel.code16));
    m.setDescriptor(Sel.code16, 0x00009a0000001000n);
    expect(jump(Sel.code16)).toMatchObject(gp(0));
    expect([m.state.rip, selector(m, Seg.CS)]).toEqual([BigInt(CODE), Sel.code32]);
    m.memory.writeU8(0x9000, 0xf4);
    expect(jump(Sel.conforming)).toMatchObject(halted);
    expect(m.descriptor(Sel.conforming) & (1n << 40n)).not.toBe(0n);
  });

  test("64-bit code with D set is refused", () => {
    const m = bareMachine("long");
    m.setDescriptor(Sel.code16, 0x00ef9a000000ffffn);
    m.memory.write(0x9000, Uint8Array.of(0, 0x91, 0, 0, Sel.code16, 0));
    expect(m.run("ff2c2500900000")).toMatchObject(gp(Sel.code16));
  });

  test("real mode, and on to protected mode", () => {
    const m = bareMachine("real");
    // jmp 0900:0010 -> 9010
    m.memory.write(0x9010, Uint8Array.from([0x0f, 0x01, 0xf0, 0xea, 0x20, 0x90, Sel.code32, 0])); // lmsw ax; jmp 08:9020
    m.memory.write(0x9020, Uint8Array.from([0x66, 0xb8, 0x34, 0x12, 0xf4]));
    m.state.setGpr(Reg.RAX, 1n);
    expect(m.run("ea 1000 0009", 1)).toMatchObject({ kind: 1 });
    expect([selector(m, Seg.CS), m.state.segmentBase(Seg.CS), m.state.rip]).toEqual([0x900, 0x9000n, 0x10n]);
    expect(m.go()).toMatchObject(halted);
    expect([m.state.codeMode, m.state.gpr(Reg.RAX)]).toEqual([1, 0x1234n]);
  });
});

describe("far calls and returns", () => {
  test("CALL pushes CS and RIP, RET n takes them off", () => {
    const m = bareMachine("protected32");
    m.memory.write(0x9000, Uint8Array.from([0xca, 8, 0]));
    stack(m, [1, 2], 4);
    expect(m.run(`9a 00900000 ${hex(Sel.code32, 2)} f4`)).toMatchObject(halted);
    expect(m.state.gpr(Reg.RSP)).toBe(BigInt(STACK));
    expect([m.memory.readU32(STACK - 16), m.memory.readU32(STACK - 12)]).toEqual([CODE + 7, Sel.code32]);
  });

  test("RET to an outer ring switches stacks and drops inner segments", () => {
    const m = bareMachine("protected32");
    m.memory.writeU8(0x9000, 0xf4);
    stack(m, [0x9000, Sel.userCode32 | 3, 111, 222, 0xa800, Sel.userData | 3], 4);
    expect(m.run("ca0800")).toMatchObject(gp(0)); // HLT at CPL 3
    expect([m.state.cpl, m.state.rip, m.state.gpr(Reg.RSP)]).toEqual([3, 0x9000n, 0xa808n]);
    expect([selector(m, Seg.SS), selector(m, Seg.DS), selector(m, Seg.ES)]).toEqual([Sel.userData | 3, 0, 0]);
  });

  test("RET to an inner ring is refused", () => {
    const m = bareMachine("protected32", 3);
    stack(m, [0x9000, Sel.code32], 4);
    expect(m.run("cb")).toMatchObject(gp(Sel.code32));
    stack(m, [0x9000, 0], 4);
    expect(m.run("cb")).toMatchObject(gp(0));
  });
});

describe("IRET", () => {
  test("from long mode to user code of either size", () => {
    const m = bareMachine("long");
    m.memory.writeU8(0x9000, 0xf4);
    stack(m, [0x9000, Sel.userCode64 | 3, 0x3202, 0xa800, Sel.userData | 3]);
    expect(m.run("48cf")).toMatchObject(gp(0));
    expect([m.state.cpl, m.state.codeMode, m.state.gpr(Reg.RSP), m.state.rflags]).toEqual([3, 2, 0xa800n, 0x3202n]);
    const other = bareMachine("long");
    other.memory.writeU8(0x9000, 0xf4);
    stack(other, [0x9000, Sel.userCode32 | 3, 0x202, 0xa800, Sel.userData | 3]);
    expect(other.run("48cf")).toMatchObject(gp(0));
    expect([other.state.cpl, other.state.codeMode]).toEqual([3, 1]);
  });

  test("within ring 0 of long mode SS may be null; flags come whole", () => {
    const m = bareMachine("long");
    m.memory.writeU8(0x9000, 0xf4);
    stack(m, [0x9000, Sel.code64, 0x40ed7, 0xa800, 0]);
    expect(m.run("48cf")).toMatchObject(halted);
    expect([m.state.rflags, m.state.gpr(Reg.RSP), selector(m, Seg.SS)]).toEqual([0x40ed7n, 0xa800n, 0]);
  });

  test("faults: target not canonical, bad SS, NT, inner ring", () => {
    const m = bareMachine("long");
    stack(m, [1n << 50n, Sel.code64, 2, 0xa800, 0]);
    expect(m.run("48cf")).toMatchObject(gp(0));
    stack(m, [0x9000, Sel.userCode64 | 3, 2, 0xa800, 0]);
    expect(m.run("48cf")).toMatchObject(gp(0));
    stack(m, [0x9000, Sel.userCode64 | 3, 2, 0xa800, Sel.data]);
    expect(m.run("48cf")).toMatchObject(gp(Sel.data));
    stack(m, [0x9000, Sel.notPresent, 2, 0xa800, 0]);
    expect(m.run("48cf")).toMatchObject(gp(Sel.notPresent));
    m.state.rflags |= 0x4000n;
    expect(m.run("48cf")).toMatchObject(gp(0));
    const user = bareMachine("long", 3);
    stack(user, [0x9000, Sel.code64, 2, 0xa800, 0]);
    expect(user.run("48cf")).toMatchObject(gp(Sel.code64));
  });

  test("at CPL 3 IF and IOPL stay", () => {
    const m = bareMachine("protected32", 3);
    m.memory.writeU8(0x9000, 0x90);
    m.state.rflags = 0x202n;
    stack(m, [0x9000, Sel.userCode32 | 3, 0x3cd7], 4);
    expect(m.run("cf", 1)).toMatchObject({ kind: 1 });
    expect(m.state.rflags).toBe(0xed7n);
  });
});

describe("SYSRET", () => {
  test("to 64-bit and 32-bit code", () => {
    for (const long of [true, false]) {
      const m = bareMachine("long");
      m.memory.writeU8(0x9000, 0xf4);
      m.state.setU64(S.STAR, BigInt(Sel.userCode32 | 3) << 48n);
      m.state.setGpr(Reg.RCX, 0x9000n);
      m.state.setGpr(Reg.R11, 0x33ed7n);
      expect(m.run(long ? "480f07" : "0f07")).toMatchObject(gp(0));
      expect([m.state.cpl, m.state.codeMode, m.state.rip]).toEqual([3, long ? 2 : 1, 0x9000n]);
      expect(m.state.rflags).toBe(0x3ed7n);
      expect([selector(m, Seg.CS), selector(m, Seg.SS)]).toEqual([
        (long ? Sel.userCode64 : Sel.userCode32) | 3,
        Sel.userData | 3,
      ]);
    }
  });
  test("needs EFER.SCE; SYSEXIT is not there in long mode", () => {
    const m = bareMachine("long");
    m.state.setU64(S.EFER, 0xd00n);
    expect(m.run("480f07")).toMatchObject(fault(Vector.UD));
    expect(m.run("0f35")).toMatchObject(fault(Vector.UD));
    const legacy = bareMachine("protected32");
    expect(legacy.run("0f35")).toMatchObject(gp(0));
    legacy.state.setU64(S.SYSENTER_CS, BigInt(Sel.code32));
    legacy.state.setGpr(Reg.RDX, 0x9000n);
    legacy.state.setGpr(Reg.RCX, 0xa800n);
    legacy.memory.writeU8(0x9000, 0xf4);
    expect(legacy.run("0f35")).toMatchObject(gp(0));
    expect([legacy.state.cpl, legacy.state.gpr(Reg.RSP), selector(legacy, Seg.CS)]).toEqual([3, 0xa800n, 0x1b]);
  });
});

describe("near branches outside 64-bit code", () => {
  test("obey the code segment's limit, before anything is pushed", () => {
    const m = bareMachine("protected32");
    m.state.setU32(S.SEG_LIMIT + 4 * Seg.CS, 0x8fff);
    m.state.setGpr(Reg.RAX, 0n);
    expect(m.run("e9fb0f0000")).toMatchObject(gp(0));
    expect(m.run("e8fb0f0000")).toMatchObject(gp(0));
    m.state.setGpr(Reg.RAX, 0x9000n);
    expect(m.run("ffd0")).toMatchObject(gp(0));
    expect(m.run("ffe0")).toMatchObject(gp(0));
    stack(m, [0x9000], 4);
    expect(m.run("c3")).toMatchObject(gp(0));
    expect(m.state.gpr(Reg.RSP)).toBe(BigInt(STACK - 4));
    m.state.rflags = 2n;
    expect(m.run("75f7 ", 1, 0x8ff0)).toMatchObject({ kind: 1 });
    expect(m.run("757e", 1, 0x8ff0)).toMatchObject(gp(0));
    m.state.setGpr(Reg.RCX, 2n);
    expect(m.run("e27e", 1, 0x8ff0)).toMatchObject(gp(0));
    expect(m.state.gpr(Reg.RCX)).toBe(2n);
  });

  test("IP wraps with 16-bit operands", () => {
    const m = bareMachine("protected16");
    m.memory.writeU8(0x0010, 0xf4);
    // jmp short -> (fff0 + 2 + 1e) & ffff = 10
    expect(m.run("eb1e", 5, 0xfff0)).toMatchObject(halted);
    expect(m.state.rip).toBe(0x11n);
  });
});

describe("software interrupts", () => {
  test("INTO and BOUND", () => {
    const m = bareMachine("protected32");
    m.state.rflags = 2n;
    expect(m.run("ce f4")).toMatchObject(halted);
    m.state.rflags = 0x802n;
    expect(m.run("ce f4")).toMatchObject({ kind: 3, vector: 4, length: 1 });
    m.memory.writeU32(0x9000, 5);
    m.memory.writeU32(0x9004, 9);
    for (const [value, outside] of [
      [4, true],
      [5, false],
      [9, false],
      [10, true],
    ] as const) {
      m.state.setGpr(Reg.RAX, BigInt(value));
      expect(m.run("620500900000 f4")).toMatchObject(outside ? fault(Vector.BR) : halted);
    }
  });
});
