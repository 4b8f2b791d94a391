// Two machines that run the same program, one with the interpreter, one with compiled regions, and what differs between them.

import { Cpu } from "../../../src/cpu/cpu.js";
import { Engine, type JitOptions } from "../../../src/cpu/engine.js";
import { ExitKind } from "../../../src/cpu/exit.js";
import { DEFAULT_FEATURES } from "../../../src/cpu/features.js";
import { placeOf } from "../../../src/cpu/jit/mapped-code.js";
import * as S from "../../../src/cpu/state-layout.js";
import { MachineMemory } from "../../../src/mmu/machine-memory.js";
import type { Program } from "./program.js";

export const CODE = 0x8000;
const FRAMES = 64;

/** Compiles the region at RIP, if there is one, for 64-bit code whose linear addresses are machine addresses. */
export function compileHere(cpu: Cpu): boolean {
  const { engine, state } = cpu;
  const at = Number(state.rip);
  const offset = at & 0xfff;
  if (!engine.jit || state.codeMode !== 2 || at >= FRAMES * 4096 || !engine.cache.hasRoom) return false;
  const page = engine.cache.page(at >> 12, 2);
  if (engine.cache.recordAt(page, offset) === 0) engine.predecoder.decode(page, offset, () => undefined);
  return engine.jit.compileAt(page, offset, { ...placeOf(cpu.memory.view, state.base), va: BigInt(at - offset) });
}

/** One tier: long mode, CPL 3, identity paging of 256 KB; page 0x20 is read-only, 0x21 and the page tables the supervisor's, 0x22 absent. */
export class Tier {
  readonly memory = new MachineMemory({ frames: FRAMES, engineBytes: 12 << 20 });
  readonly cpu: Cpu;
  readonly #scattersData: boolean;

  /** `scattersData`: pages 0x10-0x1f lie in reverse order, so that what runs over a page's end isn't where the program sees it. */
  constructor(jit: boolean | JitOptions, scattersData = false) {
    this.#scattersData = scattersData;
    const engine = new Engine(this.memory, { features: DEFAULT_FEATURES, codeBytes: 6 << 20, jit });
    const hooks = {
      cpuid: (leaf: number, subleaf: number, out: Uint32Array) => out.set([leaf, subleaf, 3, 4]),
      rdtsc: () => 0x1_0000_0002n,
      random64: () => 7n,
    };
    this.cpu = new Cpu(engine, { hooks, paravirtual: false });
  }

  load(program: Program, registers: readonly bigint[]): void {
    const { memory, cpu } = this;
    const { state } = cpu;
    memory.fill(0, FRAMES * 4096);
    memory.writeU64(0x1000, 0x2027n);
    memory.writeU64(0x2000, 0x3027n);
    memory.writeU64(0x3000, 0x4027n);
    for (let i = 0; i < FRAMES; i++) {
      // A program that changed its own page tables would see what the TLBs hold, which differs.
      const isTable = i >= 1 && i <= 4;
      const rights = i === 0x20 ? 0x65n : i === 0x21 || isTable ? 0x63n : i === 0x22 ? 0n : 0x67n;
      const frame = this.#scattersData && i >= 0x10 && i < 0x20 ? 0x2f - i : i;
      memory.writeU64(0x4000 + 8 * i, (BigInt(frame) << 12n) | rights);
    }
    const data = new Uint8Array(0x8000);
    for (let i = 0; i < data.length; i++) data[i] = Math.imul(i, 0x9e3779b1) >>> 21;
    memory.write(0x10000, data);
    memory.write(CODE, program.bytes);
    state.setU64(S.CR0, 0x80010011n);
    state.setU64(S.CR2, 0n);
    state.setU64(S.CR3, 0x1000n);
    state.setU64(S.CR4, 0x620n);
    state.setU64(S.EFER, 0xd01n);
    for (let i = 0; i < 6; i++) {
      const attributes = i === S.Seg.CS ? 0xa0fb : 0xc0f3;
      state.setSegment(i, { selector: i === S.Seg.CS ? 0x33 : 0x2b, base: 0n, limit: 0xffffffff, attributes });
    }
    for (let i = 0; i < 16; i++) state.setGpr(i, registers[i]!);
    for (let i = 0; i < 32; i++) state.setU64(S.XMM + 8 * i, registers[i & 15]!);
    for (let i = 0; i < 16; i++) state.setU64(S.FPR + 8 * i, 0n);
    state.setU32(S.MXCSR, 0x1f80);
    state.setU32(S.FCW, 0x37f);
    state.setU32(S.FSW, 0);
    state.setU32(S.FTOP, 0);
    state.setU32(S.FTW, 0);
    state.rflags = 0x202n;
    state.setU32(S.INTERRUPT_SHADOW, 0);
    state.cpl = 3;
    state.codeMode = 2;
    state.rip = BigInt(CODE);
    cpu.instructions = 0;
    cpu.accessRightsChanged();
    cpu.flushTlbAll();
  }

  /** Fills the TLB with the data pages: compiled code leaves what misses it to the interpreter. */
  warm(): void {
    const { access } = this.cpu;
    for (let page = 0x10; page < 0x21; page++) {
      access.miss(0, page << 12, 0, 8);
      if (page < 0x20) access.miss(0, page << 12, 0, 0x108);
    }
  }

  /** Everything a program can observe, memory apart. */
  observe(): string {
    const { state, exit, instructions } = this.cpu;
    const values = [`after ${instructions}`, `exit ${exit.kind}`];
    if (exit.kind === ExitKind.Exception) values.push(`vector ${exit.vector} ${exit.hasErrorCode} ${exit.errorCode}`);
    else if (exit.kind !== ExitKind.Budget) values.push(`vector ${exit.vector} length ${exit.length}`);
    values.push(`rip ${state.rip.toString(16)} rflags ${state.rflags.toString(16)} cr2 ${state.cr2.toString(16)}`);
    for (let i = 0; i < 16; i++) values.push(`r${i} ${state.gpr(i).toString(16)}`);
    for (let i = 0; i < 32; i++) values.push(`x${i >> 1} ${state.u64(S.XMM + 8 * i).toString(16)}`);
    for (let i = 0; i < 16; i++) values.push(`f${i >> 1} ${state.u64(S.FPR + 8 * i).toString(16)}`);
    for (const field of [S.MXCSR, S.FCW, S.FSW, S.FTOP, S.FTW]) values.push(`c ${state.u32(field).toString(16)}`);
    return values.join("\n");
  }
}

export interface Trial {
  readonly program: Program;
  readonly registers: readonly bigint[];
  /** Budgets of the successive runs, repeated. */
  readonly budgets: readonly number[];
  /** Instructions after which the trial ends. */
  readonly limit: number;
}

const MAX_RUNS = 400;
/** Machines are made anew after this many compiled regions: slots and code room aren't given back. */
const MAX_REGIONS = 3000;

/** What gets compiled: every place where a run begins ("entries"), or what the JIT itself finds hot ("heat"). */
export type Compilation = "entries" | "heat";

export class TierPair {
  #interpreter = new Tier(false, true);
  #compiled = new Tier(true, true);
  #trials = 0;
  readonly #compilation: Compilation;
  regions = 0;
  instructions = 0;

  constructor(compilation: Compilation = "entries") {
    this.#compilation = compilation;
  }

  /** Runs the trial in both tiers. Returns what differs first, or undefined. */
  compare(trial: Trial): string | undefined {
    if (this.#compiled.cpu.engine.jit!.regions > MAX_REGIONS || !this.#compiled.cpu.engine.cache.hasRoom) {
      this.#interpreter = new Tier(false, true);
      this.#compiled = new Tier(true, true);
    }
    const [a, b] = [this.#interpreter, this.#compiled];
    const before = b.cpu.engine.jit!.regions;
    a.load(trial.program, trial.registers);
    b.load(trial.program, trial.registers);
    // One of them: what the TLB holds must make no difference.
    if (this.#trials++ % 2 === 0) b.warm();
    try {
      for (let run = 0; run < MAX_RUNS && a.cpu.instructions < trial.limit; run++) {
        const budget = Math.max(1, trial.budgets[run % trial.budgets.length]!);
        // Later entries are compiled now and then only: single steps through a program would compile each instruction.
        const isEntry = run < 3 || run % 16 === 0 || a.cpu.exit.kind !== ExitKind.Budget;
        if (this.#compilation === "entries" && isEntry) compileHere(b.cpu);
        a.cpu.run(budget);
        b.cpu.run(budget);
        const [left, right] = [a.observe(), b.observe()];
        if (left !== right) return this.#difference(run, left, right);
        if (a.cpu.exit.kind === ExitKind.Budget) continue;
        // Goes on with the next item.
        const rip = Number(a.cpu.state.rip) - CODE;
        const next = trial.program.starts.find((start) => start > rip);
        if (next === undefined || rip < 0) break;
        a.cpu.state.rip = b.cpu.state.rip = BigInt(CODE + next);
      }
    } finally {
      this.regions += b.cpu.engine.jit!.regions - before;
      this.instructions += a.cpu.instructions;
    }
    const [left, right] = [a.memory.u8, b.memory.u8];
    if (Buffer.compare(left, right) === 0) return undefined;
    const at = left.findIndex((byte, i) => byte !== right[i]);
    return `memory at ${at.toString(16)}: ${left[at]} interpreted, ${right[at]} compiled`;
  }

  #difference(run: number, left: string, right: string): string {
    const [a, b] = [left.split("\n"), right.split("\n")];
    const lines = a.flatMap((line, i) => (line === b[i] ? [] : [`${line} interpreted, ${b[i]} compiled`]));
    return `run ${run}: ${lines.join("; ")}`;
  }
}
