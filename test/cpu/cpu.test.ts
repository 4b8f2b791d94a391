// The CPU as a whole: decoding, dispatch, branches, memory, faults, budget, self-modifying code.

import { describe, expect, test } from "vitest";
import { ExitKind, Vector } from "../../src/cpu/exit.js";
import { Reg } from "../../src/cpu/state-layout.js";
import { flatMachine } from "./flat-machine.js";

function machine(code: number[], at = 0x1000) {
  const { memory, engine, cpu } = flatMachine();
  memory.write(at, Uint8Array.from(code));
  cpu.state.rip = BigInt(at);
  cpu.state.setGpr(Reg.RSP, 0x8000n);
  return { memory, engine, cpu, state: cpu.state };
}

describe("64-bit code", () => {
  test("a counting loop runs and ends at HLT", () => {
    // mov ecx, 1000; xor eax, eax; l: add rax, rcx; dec ecx; jnz l; hlt
    const { cpu, state } = machine([0xb9, 0xe8, 3, 0, 0, 0x31, 0xc0, 0x48, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xf9, 0xf4]);
    const exit = cpu.run(1_000_000);
    expect(exit.kind).toBe(ExitKind.Halt);
    expect(state.gpr(Reg.RAX)).toBe(500500n);
    expect(cpu.instructions).toBe(2 + 3 * 1000 + 1);
    expect(state.rip).toBe(0x100fn);
  });

  test("the budget stops exactly, and running on gives the same result", () => {
    const code = [0xb9, 0xe8, 3, 0, 0, 0x31, 0xc0, 0x48, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xf9, 0xf4];
    const { cpu, state } = machine(code);
    for (let i = 0; i < 3002; i++) {
      expect(cpu.run(1).kind).toBe(ExitKind.Budget);
      expect(cpu.instructions).toBe(i + 1);
    }
    expect(cpu.run(1).kind).toBe(ExitKind.Halt);
    expect(state.gpr(Reg.RAX)).toBe(500500n);
  });

  test("call, ret, push, pop and memory operands", () => {
    // call f; mov [0x5000], eax; hlt; f: mov eax, 7; push rax; pop rbx; ret
    const code = [0xe8, 8, 0, 0, 0, 0x89, 0x04, 0x25, 0, 0x50, 0, 0, 0xf4, 0xb8, 7, 0, 0, 0, 0x50, 0x5b, 0xc3];
    const { cpu, state, memory } = machine(code);
    expect(cpu.run(100).kind).toBe(ExitKind.Halt);
    expect(memory.readU32(0x5000)).toBe(7);
    expect(state.gpr(Reg.RBX)).toBe(7n);
    expect(state.gpr(Reg.RSP)).toBe(0x8000n);
  });

  test("undefined opcode and non-canonical access raise, leaving RIP at the instruction", () => {
    const { cpu, state } = machine([0x90, 0x0f, 0x0b]);
    expect(cpu.run(10)).toMatchObject({ kind: ExitKind.Exception, vector: Vector.UD, hasErrorCode: false });
    expect(state.rip).toBe(0x1001n);
    // mov rax, 0x8000000000000000; mov rbx, [rax]
    const other = machine([0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x48, 0x8b, 0x18]);
    expect(other.cpu.run(10)).toMatchObject({ kind: ExitKind.Exception, vector: Vector.GP, errorCode: 0 });
    expect(other.state.rip).toBe(0x100an);
  });

  test.each([
    ["jmp rax", [0xff, 0xe0]],
    ["call rax", [0xff, 0xd0]],
    ["ret", [0xc3]],
  ])("%s to an address that isn't canonical raises and changes nothing", (_name, code) => {
    for (const target of [0x8000_0000_0000n, 0xffff_7fff_ffff_ffffn, 0x2e80_0000_0000_0000n]) {
      const { cpu, state, memory } = machine(code);
      state.setGpr(Reg.RAX, target);
      memory.writeU64(0x8000, target);
      expect(cpu.run(10)).toMatchObject({ kind: ExitKind.Exception, vector: Vector.GP, errorCode: 0 });
      expect([state.rip, state.gpr(Reg.RSP), memory.readU64(0x7ff8)]).toEqual([0x1000n, 0x8000n, 0n]);
    }
  });

  test("code that overwrites itself runs the new bytes", () => {
    // mov byte [rip+1], 2 (the immediate of the next instruction); mov eax, 1; hlt
    const { cpu, state } = machine([0xc6, 0x05, 1, 0, 0, 0, 2, 0xb8, 1, 0, 0, 0, 0xf4]);
    expect(cpu.run(10).kind).toBe(ExitKind.Halt);
    expect(state.gpr(Reg.RAX)).toBe(2n);
  });

  test("an instruction that crosses a page runs, and again after either half changed", () => {
    const at = 0x1ffe;
    // mov eax, 5 across 0x2000; hlt
    const { cpu, state, memory } = machine([0xb8, 5, 0, 0, 0, 0xf4], at);
    expect(cpu.run(10).kind).toBe(ExitKind.Halt);
    expect(state.gpr(Reg.RAX)).toBe(5n);
    memory.writeU8(0x2000, 1);
    state.rip = BigInt(at);
    expect(cpu.run(10).kind).toBe(ExitKind.Halt);
    expect(state.gpr(Reg.RAX)).toBe(0x105n);
    expect(cpu.instructions).toBe(4);
  });

  test("reads and writes across a page", () => {
    // mov rax, [0x5ffc]; mov [0x6ffd], rax; hlt
    const { cpu, state, memory } = machine([
      0x48, 0x8b, 0x04, 0x25, 0xfc, 0x5f, 0, 0, 0x48, 0x89, 0x04, 0x25, 0xfd, 0x6f, 0, 0, 0xf4,
    ]);
    memory.writeU64(0x5ffc, 0x1122334455667788n);
    expect(cpu.run(10).kind).toBe(ExitKind.Halt);
    expect(state.gpr(Reg.RAX)).toBe(0x1122334455667788n);
    expect(memory.readU64(0x6ffd)).toBe(0x1122334455667788n);
  });

  test("rep stosb fills and counts", () => {
    // mov edi, 0x5000; mov ecx, 5000; mov al, 0xaa; rep stosb; hlt
    const { cpu, state, memory } = machine([0xbf, 0, 0x50, 0, 0, 0xb9, 0x88, 0x13, 0, 0, 0xb0, 0xaa, 0xf3, 0xaa, 0xf4]);
    expect(cpu.run(10000).kind).toBe(ExitKind.Halt);
    expect(state.gpr(Reg.RDI)).toBe(0x5000n + 5000n);
    expect(memory.bytes(0x5000, 5000).every((b) => b === 0xaa)).toBe(true);
    expect(memory.readU8(0x5000 + 5000)).toBe(0);
  });
});
