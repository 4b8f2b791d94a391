// Random code on a random state, in every mode and at every privilege: the CPU may only leave with an exit. A JavaScript
// exception or a Wasm trap is a bug of ours. fast-check prints the seed; XEN_TS_RUNS sets the number of runs.
import fc from "fast-check";
import { expect, it } from "vitest";
import { Cpu } from "../../src/cpu/cpu.js";
import { Engine } from "../../src/cpu/engine.js";
import { ExitKind } from "../../src/cpu/exit.js";
import { DEFAULT_FEATURES } from "../../src/cpu/features.js";
import * as S from "../../src/cpu/state-layout.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";
import { Random } from "../conformance/random.js";

const FRAMES = 64;
const BYTES = FRAMES * 4096;
const GDT = 0x7000;
const BUDGET = 64;
const RESUMES = 8;

const KINDS = new Set<number>(Object.values(ExitKind));

class Fuzzed {
  readonly memory = new MachineMemory({ frames: FRAMES, engineBytes: 24 << 20 });
  readonly cpu: Cpu;

  private readonly paravirtual: boolean;
  private descriptors: readonly bigint[] = [];

  constructor(paravirtual: boolean) {
    this.paravirtual = paravirtual;
    // Little room for code, so that it's dropped now and then.
    const engine = new Engine(this.memory, { features: DEFAULT_FEATURES, codeBytes: 2 << 20 });
    const hooks = { cpuid: () => {}, rdtsc: () => 5n, random64: () => 6n };
    const readDescriptor = (selector: number) => this.descriptors[(selector >> 3) & 15];
    this.cpu = new Cpu(engine, { hooks: paravirtual ? { ...hooks, readDescriptor } : hooks, paravirtual });
  }

  prepare(r: Random): void {
    const { memory } = this;
    const { state } = this.cpu;
    const word = () => BigInt(r.u32()) | (BigInt(r.u32()) << 32n);
    const below = (n: number) => r.u32() % n;
    const chance = (n: number) => below(n) === 0;
    memory.fill(0, BYTES);
    const bytes = new Uint8Array(0x800);
    for (let i = 0; i < bytes.length; i++) bytes[i] = r.u32() >>> 8;
    const start = chance(4) ? 0x8c00 : 0x8000 + below(0x20000);
    memory.write(start, bytes);
    this.pageTables(below);
    for (let i = 1; i < 16; i++) memory.writeU64(GDT + 8 * i, word());
    memory.writeU64(GDT + 16, 0x00af9b000000ffffn);
    memory.writeU64(GDT + 24, 0x00cf93000000ffffn);
    memory.writeU64(GDT + 32, 0x00cffb000000ffffn);
    memory.writeU64(GDT + 40, 0x00cff3000000ffffn);
    for (let i = 0; i < 16; i++) state.setGpr(i, chance(3) ? word() : BigInt(below(BYTES)));
    if (chance(2)) state.setGpr(S.Reg.RCX, BigInt(below(20)));
    const { paravirtual } = this;
    const long = paravirtual || chance(2);
    const paged = long || chance(2);
    const protectedMode = paged || chance(2);
    const cpl = protectedMode && (paravirtual || chance(2)) ? 3 : 0;
    const codeMode = long && !chance(3) ? 2 : below(2);
    state.setU64(S.CR0, BigInt((protectedMode ? 1 : 0) | (paged ? 0x80000000 : 0)) | (word() & 0x5003en));
    state.setU64(S.CR4, (long ? 0x20n : 0n) | (word() & 0x350fffn));
    state.setU64(S.CR3, 0x1000n);
    state.setU64(S.EFER, (long ? 0x500n : 0n) | (word() & 0x801n));
    state.setU64(S.XCR0, 3n);
    for (const field of [S.STAR, S.LSTAR, S.KERNEL_GS_BASE, S.SYSENTER_CS]) state.setU64(field, word());
    state.setU64(S.GDTR_BASE, BigInt(GDT));
    state.setU32(S.GDTR_LIMIT, 127);
    for (let i = 0; i < 6; i++) {
      const code = i === S.Seg.CS;
      const attributes = code ? (codeMode === 2 ? 0xa09b : codeMode === 1 ? 0xc09b : 0x809b) : 0xc093;
      state.setSegment(i, {
        selector: (code ? 16 : 24) | cpl,
        base: chance(4) && codeMode !== 2 ? BigInt(below(BYTES)) : 0n,
        limit: chance(8) ? below(BYTES) : 0xffffffff,
        attributes: chance(16) && !code ? r.u32() & 0x1f0ff : attributes | (cpl << 5),
      });
    }
    state.setU32(S.STACK_MASK, chance(3) ? 0xffff : 0xffffffff);
    for (let i = 0; i < 4; i++) state.setU64(S.DR + 8 * i, BigInt(below(BYTES)));
    state.setU64(S.DR + 56, chance(4) ? 0x400n | (word() & 0xffff0000n) | BigInt(below(256)) : 0x400n);
    state.rflags = (word() & (chance(4) ? 0x2770d7n : 0x3cd5n)) | 2n;
    state.setU32(S.MXCSR, r.u32() & 0xffff);
    state.setU32(S.FCW, r.u32() & 0xffff);
    state.setU32(S.FSW, r.u32() & 0xc7ff);
    state.setU32(S.FTOP, below(8));
    state.setU32(S.FTW, below(256));
    for (let i = 0; i < 8; i++) {
      state.setU64(S.FPR + 16 * i, word());
      state.setU32(S.FPR + 16 * i + 8, below(65536));
    }
    for (let i = 0; i < 32; i++) state.setU64(S.XMM + 8 * i, word());
    state.setU32(S.INTERRUPT_SHADOW, 0);
    state.cpl = cpl;
    state.codeMode = codeMode;
    state.rip = BigInt(start + below(0x700)) - state.segmentBase(S.Seg.CS);
    if (state.rip >> 63n) state.rip &= 0xffffffffn;
    this.descriptors = Array.from({ length: 14 }, (_, i) => memory.readU64(GDT + 8 * i));
    this.cpu.accessRightsChanged();
    if (paravirtual) this.cpu.setAddressSpace(1);
    this.cpu.flushTlbAll();
  }

  /** Tables that hold for all three formats well enough: identity with random rights, some entries wild. */
  private pageTables(below: (n: number) => number): void {
    const { memory } = this;
    memory.writeU64(0x1000, 0x2027n);
    memory.writeU64(0x2000, 0x3027n);
    memory.writeU64(0x3000, 0x4027n);
    for (let i = 0; i < FRAMES; i++) {
      const rights = below(8) === 0 ? BigInt(below(0x1000)) : 0x67n;
      memory.writeU64(0x4000 + 8 * i, (BigInt(i) << 12n) | rights);
    }
  }

  /** Runs, skipping a byte after each fault. */
  run(): number {
    const { cpu } = this;
    const before = cpu.instructions;
    for (let i = 0; i < RESUMES; i++) {
      const exit = cpu.run(BUDGET);
      expect(KINDS.has(exit.kind)).toBe(true);
      expect(exit.vector).toBeLessThan(256);
      if (exit.kind !== ExitKind.Budget) cpu.state.rip = BigInt.asUintN(64, cpu.state.rip + 1n);
    }
    const done = cpu.instructions - before;
    expect(done).toBeGreaterThanOrEqual(0);
    expect(done).toBeLessThanOrEqual(BUDGET * RESUMES);
    return done;
  }
}

it.each([false, true])("random code only ever exits (paravirtual: %s)", (paravirtual) => {
  let machine = new Fuzzed(paravirtual);
  let instructions = 0;
  const runs = Number(process.env.XEN_TS_RUNS ?? 20_000);
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      try {
        machine.prepare(new Random(seed));
        instructions += machine.run();
      } catch (error) {
        // What is left of a broken machine says nothing about the next run.
        machine = new Fuzzed(paravirtual);
        throw error;
      }
    }),
    { numRuns: runs },
  );
  console.log(`${runs} runs, ${instructions} instructions, ${machine.cpu.engine.handlers.count} handlers`);
  expect(instructions).toBeGreaterThan(runs);
});
