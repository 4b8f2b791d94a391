// Regions over several pages, their calls, returns and indirect jumps: the same machine state as the interpreter's after every
// number of instructions, also when what a region was made of changes.

import { describe, expect, test } from "vitest";
import * as S from "../../../src/cpu/state-layout.js";
import { CODE, compileHere, Tier } from "./tiers.js";

const CALLEE = CODE + 0x1000;
const STACK = 0x15000n;
const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));

/** Code on the page of CODE, and on the one behind it. */
function program(main: string, callee = ""): Uint8Array {
  const bytes = new Uint8Array(0x1100).fill(0xf4);
  bytes.set(hex(main));
  bytes.set(hex(callee), 0x1000);
  return bytes;
}

class Machines {
  readonly interpreted = new Tier(false);
  readonly compiled = new Tier(true);
  readonly #registers: readonly bigint[];

  constructor(bytes: Uint8Array, registers: Readonly<Record<number, bigint>>) {
    this.#registers = Array.from({ length: 16 }, (_, i) => registers[i] ?? (i === 4 ? STACK : 0x11000n));
    for (const tier of this.both) {
      tier.load({ bytes, starts: [] }, this.#registers);
      tier.warm();
      // All pages are known to the code TLB before anything is compiled.
      tier.cpu.run(200);
    }
    this.#restart();
    expect(compileHere(this.compiled.cpu)).toBe(true);
  }

  get both(): Tier[] {
    return [this.interpreted, this.compiled];
  }
  get regions(): number {
    return this.compiled.cpu.engine.jit!.installed.count;
  }

  #restart(): void {
    for (const { cpu } of this.both) {
      for (const [i, value] of this.#registers.entries()) cpu.state.setGpr(i, value);
      cpu.state.rip = BigInt(CODE);
      cpu.instructions = 0;
    }
  }

  /** From the start with a budget, then, after the change, to the end, in both. */
  agree(budget: number, change = () => {}): void {
    this.#restart();
    for (const most of [budget, 1000]) {
      for (const { cpu } of this.both) cpu.run(most);
      expect(this.compiled.observe(), `budget ${budget}`).toBe(this.interpreted.observe());
      if (most === budget) change();
    }
  }
  agreeAtEveryBudget(most = 60): void {
    for (let budget = 1; budget <= most; budget++) this.agree(budget);
  }
  write(at: number, bytes: Uint8Array): void {
    for (const { memory } of this.both) memory.write(at, bytes);
  }
}

// l: call CALLEE; dec ecx; jnz l; hlt
const LOOP = "e8 fb 0f 00 00 ff c9 75 f7 f4";
// push rbx; add rax, [rbx]; pop rbx; ret
const ADD = "53 48 03 03 5b c3";

describe("a callee on another page", () => {
  test("is part of the region", () => {
    const machines = new Machines(program(LOOP, ADD), { 1: 5n });
    expect(machines.compiled.cpu.engine.jit!.compiledInstructions).toBeGreaterThanOrEqual(7);
    machines.agreeAtEveryBudget();
  });

  test("that is mapped elsewhere later is not run any more", () => {
    const machines = new Machines(program(LOOP, ADD), { 1: 5n });
    machines.agree(1000);
    for (const { memory, cpu } of machines.both) {
      // sub rax, 7; ret
      memory.write(0x18000, hex("48 83 e8 07 c3"));
      memory.writeU64(0x4000 + 8 * (CALLEE >> 12), 0x18067n);
      cpu.flushTlbAll();
    }
    machines.agreeAtEveryBudget();
    expect(Number(BigInt.asIntN(64, machines.compiled.cpu.state.gpr(0) - 0x11000n))).toBe(-35);
  });

  test("that changes takes the region with it, and the caller's page keeps its code", () => {
    const machines = new Machines(program(LOOP, ADD), { 1: 5n });
    machines.agree(1000);
    expect(machines.regions).toBe(1);
    // lea eax, [rax+2]; nop; nop; ret
    machines.write(CALLEE, hex("8d 40 02 90 90 c3"));
    expect(machines.regions).toBe(0);
    machines.agreeAtEveryBudget();
  });

  test("that the loop itself changes", () => {
    // l: call CALLEE; inc byte [rip+0xff6] (the callee's immediate); dec ecx; jnz l; hlt / add eax, 1; ret
    const main = "e8 fb 0f 00 00 fe 05 f7 0f 00 00 ff c9 75 f1 f4";
    const machines = new Machines(program(main, "83 c0 01 c3"), { 1: 5n });
    for (let budget = 1; budget <= 40; budget++) {
      machines.agree(budget);
      compileHere(machines.compiled.cpu);
    }
  });
});

test("a callee that returns elsewhere than behind its call", () => {
  // l: call CALLEE; inc edx; dec ecx; jnz l; hlt / add qword [rsp], 2; ret
  const machines = new Machines(program("e8 fb 0f 00 00 ff c2 ff c9 75 f5 f4", "48 83 04 24 02 c3"), { 1: 5n });
  machines.agreeAtEveryBudget();
  expect(machines.compiled.cpu.state.gpr(2)).toBe(0x11000n);
});

test.each(["ff d2", "ff e2", "52 c3"])("a branch (%s) to what isn't canonical", (branch) => {
  // l: dec ecx; jz +2; jmp l; the branch, to RDX
  for (const target of [0x8000_0000_0000n, 0xffff_7fff_ffff_ffffn]) {
    const machines = new Machines(program(`ff c9 74 02 eb fa ${branch}`), { 1: 5n, 2: target });
    machines.agreeAtEveryBudget(20);
    expect(machines.compiled.cpu.state.rip).toBe(BigInt(CODE + 6 + (branch === "52 c3" ? 1 : 0)));
  }
});

describe("a function too long to be copied", () => {
  // Five times call CALLEE; inc edx; then dec ecx; jnz to the start; hlt
  // / mov edi, 3; h: 14 times inc eax; dec edi; jnz h; 30 times inc eax; ret
  const calls = [0, 7, 14, 21, 28].map(
    (at) => `e8 ${(0xffb - at).toString(16).replace(/(.)(..)/, "$2 0$1")} 00 00 ff c2`,
  );
  const main = `${calls.join("")} ff c9 75 d9 f4`;
  const long = `bf 03 00 00 00 ${"ff c0".repeat(14)} ff cf 75 e0 ${"ff c0".repeat(30)} c3`;

  test("returns to each of its calls", () => {
    const machines = new Machines(program(main, long), { 0: 0n, 1: 2n, 2: 0n });
    for (let budget = 1; budget < 800; budget += 5) machines.agree(budget);
    expect(machines.compiled.cpu.state.gpr(0)).toBe(720n);
    expect(machines.compiled.cpu.state.gpr(2)).toBe(10n);
  });

  test("returns to what is mapped there now", () => {
    const machines = new Machines(program(main, long), { 0: 0n, 1: 2n, 2: 0n });
    // dec edx instead of inc edx
    const other = hex(main.replaceAll("ff c2", "ff ca"));
    const map = (frame: number) => {
      for (const { memory, cpu } of machines.both) {
        memory.writeU64(0x4000 + 8 * (CODE >> 12), BigInt(frame) | 0x67n);
        cpu.flushTlbAll();
      }
    };
    machines.write(0x18000, other);
    for (let budget = 1; budget < 420; budget += 3) {
      machines.agree(budget, () => map(0x18000));
      map(CODE);
    }
    machines.agree(20, () => map(0x18000));
    expect(machines.compiled.cpu.state.gpr(2)).toBe(BigInt.asUintN(32, -10n));
  });
});

test("a function that calls itself", () => {
  // mov edi, 6; call f; hlt; f: test edi, edi; jz e; push rdi; dec edi; call f; pop rdi; add rax, rdi; e: ret
  const machines = new Machines(
    program("bf 06 00 00 00 e8 01 00 00 00 f4 85 ff 74 0c 57 ff cf e8 f4 ff ff ff 5f 48 01 f8 c3"),
    {},
  );
  machines.agreeAtEveryBudget(80);
});

test("jumps and calls through registers", () => {
  // l: lea rdx, [rip+a]; test cl, 1; jz k; lea rdx, [rip+b]; k: call rdx; dec ecx; jnz l; hlt; a: inc eax; ret; b: jmp rsi
  const main =
    "48 8d 15 17 00 00 00 f6 c1 01 74 07 48 8d 15 0e 00 00 00 ff d2 ff c9 75 e7 f4 90 90 90 90 ff c0 c3 ff e6";
  const machines = new Machines(program(main, "ff c8 c3"), { 1: 9n, 6: BigInt(CALLEE) });
  machines.agreeAtEveryBudget(80);
});

test("a loop on two pages, and an exception in the second one", () => {
  // l: add rax, rcx; jmp CALLEE; m: dec ecx; jnz l; hlt / mov [rbx], rax; add rbx, 0x1000; jmp m
  const main = "48 01 c8 e9 f8 0f 00 00 ff c9 75 f4 f4";
  const callee = "48 89 03 48 81 c3 00 10 00 00 e9 f9 ef ff ff";
  const machines = new Machines(program(main, callee), { 1: 30n, 3: 0x12000n });
  machines.agreeAtEveryBudget(70);
  expect(machines.compiled.cpu.state.u64(S.CR2)).toBe(0x20000n);
});

test("a repeated store of nothing leaves its count, and what is addressed by it, as they were", () => {
  // l: rep stosb; movups xmm3, [rsi+rcx-26]; and [rsi+rcx-30], dl; hlt
  const machines = new Machines(program("f3 aa 0f 10 5c 0e e6 20 54 0e e2 f4"), { 1: 0n, 2: 0n });
  machines.agree(1000);
  expect(Buffer.compare(machines.compiled.memory.u8, machines.interpreted.memory.u8)).toBe(0);
});

describe("an instruction that crosses into the next page", () => {
  /** jmp CODE+0xff8 / at 0xff8: inc edx (or nop); at 0xffe: add eax, 0x01020304; dec ecx; jnz to `head`; hlt */
  const crossing = (head: number) => {
    const bytes = new Uint8Array(0x1100).fill(0x90);
    bytes.set(hex("e9 f3 0f 00 00"));
    bytes.set(hex("ff c2"), 0xff8);
    bytes.set(hex("81 c0 04 03 02 01 ff c9 75 00 f4"), 0xffe);
    bytes[0x1007] = head - 0x1008;
    return bytes;
  };
  const MAPPED_AT = 0x4000 + 8 * (CALLEE >> 12);

  test.each([
    ["in a loop", 0xff8],
    ["at a loop's head", 0xffe],
  ])("%s is compiled", (_, head) => {
    const machines = new Machines(crossing(head), { 1: 5n });
    expect(machines.compiled.cpu.engine.jit!.compiledInstructions).toBe(10);
    machines.agreeAtEveryBudget();
  });

  test.each([0xff8, 0xffe])("whose second page is mapped elsewhere later (loop at %i)", (head) => {
    const machines = new Machines(crossing(head), { 1: 5n });
    machines.agree(1000);
    for (const { memory, cpu } of machines.both) {
      memory.write(0x18000, memory.u8.slice(CALLEE, CALLEE + 0x100));
      memory.writeU8(0x18000, 9);
      memory.writeU64(MAPPED_AT, 0x18067n);
      cpu.flushTlbAll();
    }
    machines.agreeAtEveryBudget();
    for (const { memory, cpu } of machines.both) {
      memory.writeU64(MAPPED_AT, BigInt(CALLEE) | 0x67n);
      cpu.flushTlbAll();
    }
    machines.agreeAtEveryBudget();
    for (const { memory, cpu } of machines.both) {
      memory.writeU64(MAPPED_AT, 0n);
      cpu.flushTlbAll();
    }
    machines.agreeAtEveryBudget(20);
    expect(machines.compiled.cpu.exit.vector).toBe(14);
  });

  test.each([0xff8, 0xffe])("whose second page changes (loop at %i)", (head) => {
    const machines = new Machines(crossing(head), { 1: 5n });
    machines.agree(1000);
    machines.write(CALLEE + 1, Uint8Array.of(7));
    expect(machines.regions).toBe(0);
    machines.agreeAtEveryBudget();
    compileHere(machines.compiled.cpu);
    machines.write(CODE + 0xfff, Uint8Array.of(0xc2));
    machines.agreeAtEveryBudget();
  });
});

test("a page that is mapped twice in a row: a block ends with the page, also where nothing more can begin a block", () => {
  const [interpreted, compiled] = [new Tier(false), new Tier(true)];
  const start = 0xe00;
  for (const tier of [interpreted, compiled]) {
    const { cpu, memory } = tier;
    // add eax, 5; hlt; where the second mapping isn't: add eax, 7; hlt
    const bytes = new Uint8Array(0x1004).fill(0x90);
    bytes.set(hex("83 c0 05 f4"));
    bytes.set(hex("83 c0 07 f4"), 0x1000);
    // jz +0, until a region has as many blocks as it may: the last one runs on to the end of the page.
    for (let i = 0; i < 159; i++) bytes.set(hex("74 00"), start + 2 * i);
    tier.load({ bytes, starts: [] }, new Array(16).fill(0n));
    memory.writeU64(0x4000 + 8 * (1 + (CODE >> 12)), BigInt(CODE) | 0x67n);
    cpu.flushTlbAll();
    for (let round = 0; round < 2; round++) {
      cpu.state.rip = BigInt(CODE + start);
      if (round === 1 && tier === compiled) expect(compileHere(cpu)).toBe(true);
      cpu.run(1000);
    }
    expect(cpu.state.gpr(0)).toBe(10n);
  }
  expect(compiled.observe()).toBe(interpreted.observe());
});
