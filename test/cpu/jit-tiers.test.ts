// The JIT against the interpreter: random loops of integer instructions leave the same registers, flags, memory and instruction
// count, whatever the budget.

import fc from "fast-check";
import { expect, test } from "vitest";
import { Cpu } from "../../src/cpu/cpu.js";
import { Engine } from "../../src/cpu/engine.js";
import { DEFAULT_FEATURES } from "../../src/cpu/features.js";
import { Reg } from "../../src/cpu/state-layout.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";

const CODE = 0x1000;
const DATA = 0x6000;
const hooks = { cpuid: (_l: number, _s: number, out: Uint32Array) => out.fill(0), rdtsc: () => 1n, random64: () => 4n };

function machine(jit: boolean) {
  const memory = new MachineMemory({ frames: 16, engineBytes: 8 << 20 });
  const engine = new Engine(memory, { features: DEFAULT_FEATURES, codeBytes: 2 << 20, jit });
  return { memory, engine, cpu: new Cpu(engine, { hooks, paravirtual: false }) };
}
const tiers = { interpreter: machine(false), jit: machine(true) };

/** rCX counts, rSP and rBX (data) stay. */
const register = fc.constantFrom(0, 2, 5, 6, 7);
const rex = fc.constantFrom<number[]>([], [0x48], [0x66]);
const modrm = fc.oneof(
  fc.tuple(register, register).map(([a, b]) => [0xc0 | (a << 3) | b]),
  // [rbx + disp8]
  fc.tuple(register, fc.integer({ min: 0, max: 127 })).map(([a, d]) => [0x40 | (a << 3) | 3, d]),
);
const binary = fc.constantFrom(
  0x01,
  0x03,
  0x09,
  0x0b,
  0x11,
  0x13,
  0x19,
  0x1b,
  0x21,
  0x23,
  0x29,
  0x2b,
  0x31,
  0x33,
  0x39,
  0x3b,
  0x85,
  0x87,
  0x89,
  0x8b,
);
const instruction = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(rex, binary, modrm).map(([r, op, m]) => [...r, op, ...m]) },
  // byte operations, AH and the like included
  {
    weight: 2,
    arbitrary: fc
      .tuple(binary, fc.constantFrom(0, 2, 4, 6), fc.constantFrom(0, 2, 4, 6))
      .map(([op, a, b]) => [op & ~1, 0xc0 | (a << 3) | b]),
  },
  // shifts and rotates by an immediate
  {
    weight: 2,
    arbitrary: fc
      .tuple(rex, fc.integer({ min: 0, max: 7 }), register, fc.integer({ min: 0, max: 70 }))
      .map(([r, n, reg, by]) => [...r, 0xc1, 0xc0 | (n << 3) | reg, by]),
  },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom(0xc0, 0xc8), register).map(([n, reg]) => [0xff, n | reg]) },
  // SETcc, CMOVcc
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.integer({ min: 0, max: 15 }), fc.constantFrom(0, 2))
      .map(([cc, reg]) => [0x0f, 0x90 | cc, 0xc0 | reg]),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.integer({ min: 0, max: 15 }), register, register)
      .map(([cc, a, b]) => [0x0f, 0x40 | cc, 0xc0 | (a << 3) | b]),
  },
  // Jcc over a two-byte instruction
  {
    weight: 3,
    arbitrary: fc.tuple(fc.integer({ min: 0, max: 15 }), register).map(([cc, reg]) => [0x70 | cc, 2, 0xf7, 0xd0 | reg]),
  },
  // PUSH, POP; PUSHF, POP; LAHF; IMUL
  { weight: 1, arbitrary: fc.tuple(register, register).map(([a, b]) => [0x50 | a, 0x58 | b]) },
  { weight: 1, arbitrary: register.map((a) => [0x9c, 0x58 | a]) },
  { weight: 1, arbitrary: fc.constant([0x9f]) },
  { weight: 1, arbitrary: fc.tuple(rex, modrm).map(([r, m]) => [...r, 0x0f, 0xaf, ...m]) },
);

function run(tier: keyof typeof tiers, body: number[], values: bigint[], budgets: number[]): string[] {
  const { memory, engine, cpu } = tiers[tier];
  const { state } = cpu;
  // mov ecx, 5; body; dec ecx; jnz body; hlt
  const back = -(body.length + 8);
  const loop = [
    0xb9,
    5,
    0,
    0,
    0,
    ...body,
    0xff,
    0xc9,
    0x0f,
    0x85,
    ...[0, 8, 16, 24].map((s) => (back >> s) & 0xff),
    0xf4,
  ];
  memory.fill(CODE, 0x1000);
  memory.fill(DATA, 0x200);
  memory.write(CODE, Uint8Array.from(loop));
  for (let i = 0; i < 16; i++) state.setGpr(i, values[i]!);
  state.setGpr(Reg.RSP, 0x8000n);
  state.setGpr(Reg.RBX, BigInt(DATA));
  state.rflags = 2n;
  state.codeMode = 2;
  state.rip = BigInt(CODE);
  const start = cpu.instructions;
  const seen: string[] = [];
  for (let i = 0; i < 400; i++) {
    const exit = cpu.run(budgets[i % budgets.length]!);
    const registers = Array.from({ length: 16 }, (_, r) => state.gpr(r).toString(16)).join();
    seen.push(`${exit.kind} ${exit.vector} ${cpu.instructions - start} ${state.rip} ${state.rflags} ${registers}`);
    if (exit.kind !== 1) break;
    // Compiled when the code has been seen, from its start and from the loop.
    if (i === 0 && engine.jit) for (const at of [0, 5]) engine.jit.compileAt(engine.cache.page(CODE / 4096, 2), at);
  }
  seen.push(
    Buffer.from(memory.bytes(DATA, 0x200)).toString("hex"),
    Buffer.from(memory.bytes(0x7f00, 0x100)).toString("hex"),
  );
  return seen;
}

test("random loops run the same in both tiers", () => {
  fc.assert(
    fc.property(
      fc.array(instruction, { minLength: 1, maxLength: 12 }),
      fc.array(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), { minLength: 16, maxLength: 16 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 }),
      (body, values, budgets) => {
        const bytes = body.flat();
        expect(run("jit", bytes, values, budgets)).toEqual(run("interpreter", bytes, values, budgets));
      },
    ),
    { numRuns: Number(process.env.XEN_TS_RUNS ?? 60) },
  );
  expect(tiers.jit.engine.jit?.regions).toBeGreaterThan(20);
});
