// Single-stepping, breakpoints, RF, and the shadows of STI and MOV SS. SDM volume 3B, chapter 18.

import { describe, expect, test } from "vitest";
import { ExitKind, Vector } from "../../../src/cpu/exit.js";
import * as S from "../../../src/cpu/state-layout.js";
import { type BareMachine, bareMachine, CODE, fault, halted, STACK } from "./bare-machine.js";

const [TF, RF, IF] = [0x100n, 0x10000n, 0x200n];
const BS = 0x4000n;
const causes = (m: BareMachine) => m.state.dr(6) & 0xe00fn;

/** DR7: breakpoint `i` of a kind (0 execute, 1 write, 3 access) and length in bytes. */
function arm(m: BareMachine, i: number, address: bigint, kind: number, bytes = 1): void {
  const length = { 1: 0n, 2: 1n, 4: 3n, 8: 2n }[bytes]!;
  m.state.setU64(S.DR + 8 * i, address);
  const old = m.state.dr(7);
  m.state.setU64(S.DR + 56, old | (2n << BigInt(2 * i)) | (((length << 2n) | BigInt(kind)) << BigInt(16 + 4 * i)));
  m.cpu.accessRightsChanged();
}

describe("single step", () => {
  test("traps after each instruction, with DR6.BS", () => {
    const m = bareMachine("long");
    m.state.rflags = 2n | TF;
    m.cpu.accessRightsChanged();
    expect(m.run("90 ffc0 f4")).toMatchObject(fault(Vector.DB));
    expect(m.state.rip).toBe(BigInt(CODE + 1));
    expect(causes(m)).toBe(BS);
    expect(m.go()).toMatchObject(fault(Vector.DB));
    expect(m.state.rip).toBe(BigInt(CODE + 3));
    expect(m.go()).toMatchObject(halted);
  });

  test("POPF that sets TF traps after the following instruction", () => {
    const m = bareMachine("long");
    // pushfq; or dword [rsp], 100; popfq; nop; nop
    expect(m.run("9c 810c2400010000 9d 90 90 f4")).toMatchObject(fault(Vector.DB));
    expect(m.state.rip).toBe(BigInt(CODE + 10));
  });

  test("REP traps after each iteration", () => {
    const m = bareMachine("long");
    m.state.rflags = 2n | TF;
    m.state.setGpr(S.Reg.RCX, 3n);
    m.state.setGpr(S.Reg.RDI, 0x9000n);
    m.cpu.accessRightsChanged();
    m.run("f3aa f4");
    for (const left of [2n, 1n]) {
      expect([m.state.gpr(S.Reg.RCX), m.state.rip]).toEqual([left, BigInt(CODE)]);
      expect(m.go()).toMatchObject(fault(Vector.DB));
    }
    expect([m.state.gpr(S.Reg.RCX), m.state.rip]).toEqual([0n, BigInt(CODE + 2)]);
  });

  test("a fault comes instead of the trap", () => {
    const m = bareMachine("long");
    m.state.rflags = 2n | TF;
    m.cpu.accessRightsChanged();
    expect(m.run("0f0b")).toMatchObject(fault(Vector.UD));
    expect(causes(m)).toBe(0n);
  });

  test("MOV SS holds the trap off for one instruction", () => {
    const m = bareMachine("long");
    m.state.setGpr(S.Reg.RAX, 0x18n);
    m.state.rflags = 2n | TF;
    m.cpu.accessRightsChanged();
    // mov ss, eax; nop; nop
    expect(m.run("8ed0 90 90")).toMatchObject(fault(Vector.DB));
    expect(m.state.rip).toBe(BigInt(CODE + 3));
  });

  test("INT n and SYSCALL leave before and after their instruction, without a trap of their own", () => {
    const m = bareMachine("long", 3);
    expect(m.run("cd80")).toMatchObject({ kind: ExitKind.SoftwareInterrupt, vector: 0x80, length: 2 });
    expect(m.state.rip).toBe(BigInt(CODE));
    expect(m.run("0f05")).toMatchObject({ kind: ExitKind.Syscall });
    expect(m.state.rip).toBe(BigInt(CODE + 2));
    expect(m.run("f1")).toMatchObject({ kind: ExitKind.SoftwareInterrupt, vector: Vector.DB, length: 1 });
  });
});

describe("breakpoints", () => {
  test("on an instruction: a fault before it, once RF is set it runs, and RF clears", () => {
    const m = bareMachine("long");
    arm(m, 1, BigInt(CODE + 1), 0);
    expect(m.run("90 ffc0 90 f4")).toMatchObject(fault(Vector.DB));
    expect(m.state.rip).toBe(BigInt(CODE + 1));
    expect(m.state.gpr(S.Reg.RAX)).toBe(0n);
    expect(causes(m)).toBe(2n);
    m.state.rflags |= RF;
    m.cpu.accessRightsChanged();
    expect(m.go()).toMatchObject(halted);
    expect(m.state.gpr(S.Reg.RAX)).toBe(1n);
    expect(m.state.rflags & RF).toBe(0n);
  });

  test("on data: a trap after the access that touches any byte of it", () => {
    const m = bareMachine("long");
    arm(m, 0, 0x9004n, 1, 4);
    arm(m, 2, 0x9010n, 3, 8);
    // mov eax, [0x9004]; mov byte [0x9003], 1; mov word [0x9003], 1; mov al, [0x9017]
    const code = "8b042504900000 c604250390000001 66c7042503900000 0100 8a042517900000 f4";
    expect(m.run(code)).toMatchObject(fault(Vector.DB));
    expect(m.state.rip).toBe(BigInt(CODE + 25));
    expect(causes(m)).toBe(1n);
    m.state.setU64(S.DR + 48, 0xffff0ff0n);
    expect(m.go()).toMatchObject(fault(Vector.DB));
    expect(m.state.rip).toBe(BigInt(CODE + 32));
    expect(causes(m)).toBe(4n);
    expect(m.go()).toMatchObject(halted);
  });

  test("on a push by a host operation", () => {
    const m = bareMachine("protected32");
    arm(m, 0, BigInt(STACK - 32), 1, 4);
    expect(m.run("60 f4")).toMatchObject(fault(Vector.DB));
    expect(m.state.rip).toBe(BigInt(CODE + 1));
  });

  test("MOV to DR7 arms them at once; DR7.GD makes accesses to debug registers fault", () => {
    const m = bareMachine("long");
    m.state.setGpr(S.Reg.RAX, BigInt(CODE + 10));
    m.state.setGpr(S.Reg.RBX, 0x402n);
    // mov dr0, rax; mov dr7, rbx; nop x 4; (10:) nop
    expect(m.run("0f23c0 0f23fb 90909090 90 f4")).toMatchObject(fault(Vector.DB));
    expect(m.state.rip).toBe(BigInt(CODE + 10));
    m.state.setGpr(S.Reg.RBX, 0x2400n);
    m.state.setU64(S.DR + 48, 0xffff0ff0n);
    expect(m.run("0f23fb 0f21f0", 10, 0x8100)).toMatchObject(fault(Vector.DB));
    expect(m.state.rip).toBe(0x8103n);
    expect(causes(m)).toBe(0x2000n);
    expect(m.state.dr(7) & 0x2000n).toBe(0n);
  });

  test("DR4 and DR5 are DR6 and DR7, unless CR4.DE", () => {
    const m = bareMachine("long");
    expect(m.run("0f21e8 f4")).toMatchObject(halted);
    expect(m.state.gpr(S.Reg.RAX)).toBe(0x400n);
    m.state.setU64(S.CR4, m.state.cr4 | 8n);
    expect(m.run("0f21e8 f4")).toMatchObject(fault(Vector.UD));
    m.state.setGpr(S.Reg.RAX, 1n << 32n);
    expect(m.run("0f23f8 f4")).toMatchObject(fault(Vector.GP, 0));
  });
});

test("STI keeps interrupts off for one instruction, when they were off", () => {
  const m = bareMachine("long");
  m.run("fb 90 90 f4", 1);
  expect(m.state.rflags & IF).toBe(IF);
  expect(m.cpu.interruptShadow).toBe(true);
  m.go(1);
  expect(m.cpu.interruptShadow).toBe(false);
  m.run("fb 90 f4", 1);
  expect(m.cpu.interruptShadow).toBe(false);
});
