// The CPU under test as a machine that executes cases: long mode, CPL 3, Linux's segment selectors, the pages of layout.ts.
import { Cpu } from "../../src/cpu/cpu.js";
import { Engine } from "../../src/cpu/engine.js";
import { ExitKind } from "../../src/cpu/exit.js";
import { DEFAULT_FEATURES } from "../../src/cpu/features.js";
import { placeOf } from "../../src/cpu/jit/mapped-code.js";
import * as S from "../../src/cpu/state-layout.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";
import { COMPLETED, USER_END } from "./compare.js";
import {
  BACKGROUND_SIZE,
  backgroundOffset,
  CASE_SIZE,
  CODE_BASE,
  CODE_OFFSET,
  CODE_SIZE,
  DATA_BASE,
  DATA_SIZE,
  ERROR_OFFSET,
  FAULT_ADDRESS_OFFSET,
  FCW_OFFSET,
  FS_BASE_OFFSET,
  FSW_OFFSET,
  FTW_OFFSET,
  GPR_OFFSET,
  GS_BASE_OFFSET,
  LENGTH_OFFSET,
  MODE_OFFSET,
  MXCSR_OFFSET,
  PATCH_COUNT_OFFSET,
  PATCH_SIZE,
  PATCHES_OFFSET,
  READ_ONLY_SIZE,
  RESULT_SIZE,
  RFLAGS_OFFSET,
  RIP_OFFSET,
  RUNS_OFFSET,
  SELECTORS_OFFSET,
  ST_OFFSET,
  STACK_BASE,
  STACK_SIZE,
  VECTOR_OFFSET,
  XMM_OFFSET,
} from "./layout.js";
import { makeBackground } from "./random-state.js";

/** Something that executes cases as native.ts does; `result` is RESULT_SIZE bytes, COMPLETED in the vector field when all went well. */
export interface VectorMachine {
  execute(input: Uint8Array, result: Uint8Array): void;
}

/** The vector field of an exit that no instruction of a case should cause. */
export const UNEXPECTED_EXIT = 0xe0;

const PML4 = 0x1000;
const PDPT = 0x2000;
const DIRECTORY = 0x3000;
const CODE_TABLE = 0x4000;
const DATA_TABLE = 0x5000;
const CODE_FRAMES = 0x10000;
const DATA_FRAMES = 0x20000;
const NX = 1n << 63n;
const REP_LIMIT = 200_000;

/** Linux's GDT: kernel 32-bit code, kernel code, kernel data, user 32-bit code, user data, user code. */
const DESCRIPTORS = [
  0n,
  0x00cf9b000000ffffn,
  0x00af9b000000ffffn,
  0x00cf93000000ffffn,
  0x00cffb000000ffffn,
  0x00cff3000000ffffn,
  0x00affb000000ffffn,
];

export class CpuMachine implements VectorMachine {
  readonly memory = new MachineMemory({ frames: 64, engineBytes: 48 << 20 });
  readonly cpu: Cpu;
  /** What data memory holds when a case starts without patches, and what it should hold if the instruction writes nothing. */
  private readonly background = makeBackground(BACKGROUND_SIZE);
  private readonly shadow = this.background.slice();
  private readonly jit: boolean;
  private readonly shadowWords = new Uint32Array(this.shadow.buffer);

  /** With `jit`, 64-bit instructions run in a region compiled of them and a NOP behind, where they leave room for it. */
  constructor(options: { readonly jit?: boolean } = {}) {
    const { memory } = this;
    this.jit = options.jit ?? false;
    const engine = new Engine(memory, { features: DEFAULT_FEATURES, codeBytes: 16 << 20, jit: this.jit });
    const hooks = {
      cpuid: (_leaf: number, _subleaf: number, out: Uint32Array) => {
        out.fill(0);
      },
      rdtsc: () => 0n,
      random64: () => 0n,
      readDescriptor: (selector: number) => (selector & 4 ? undefined : DESCRIPTORS[selector >> 3]),
    };
    this.cpu = new Cpu(engine, { hooks, paravirtual: false });
    this.buildPages();
    memory.fill(CODE_FRAMES, CODE_SIZE, 0xcc);
    memory.write(DATA_FRAMES, this.background);
    const { state } = this.cpu;
    state.setU64(S.CR0, 0x80050033n); // PE MP ET NE WP AM PG
    state.setU64(S.CR3, BigInt(PML4));
    state.setU64(S.CR4, 0x10628n | 0x300000n | 0x800n); // DE PAE OSFXSR OSXMMEXCPT FSGSBASE, SMEP SMAP, UMIP
    state.setU64(S.EFER, 0xd01n); // SCE LME LMA NXE
    state.setU64(S.XCR0, 3n);
  }

  private buildPages(): void {
    const { memory } = this;
    const entry = (table: number, index: number, value: bigint): void => memory.writeU64(table + 8 * index, value);
    const branch = 0x27n; // present, writable, user, accessed
    entry(PML4, 0, BigInt(PDPT) | branch);
    entry(PDPT, 0, BigInt(DIRECTORY) | branch);
    entry(DIRECTORY, CODE_BASE >>> 21, BigInt(CODE_TABLE) | branch);
    entry(DIRECTORY, DATA_BASE >>> 21, BigInt(DATA_TABLE) | branch);
    for (let at = 0; at < CODE_SIZE; at += 4096) entry(CODE_TABLE, at >> 12, BigInt(CODE_FRAMES + at) | 0x65n);
    for (let at = DATA_BASE; at < STACK_BASE + STACK_SIZE; at += 4096) {
      const offset = backgroundOffset(at);
      if (offset < 0) continue;
      const writable = offset < DATA_SIZE || offset >= DATA_SIZE + READ_ONLY_SIZE;
      entry(DATA_TABLE, (at - DATA_BASE) >> 12, BigInt(DATA_FRAMES + offset) | (writable ? 0x67n : 0x65n) | NX);
    }
  }

  execute(input: Uint8Array, result: Uint8Array): void {
    const { memory } = this;
    const view = new DataView(input.buffer, input.byteOffset, CASE_SIZE);
    const start = view.getUint32(RIP_OFFSET, true);
    const length = input[LENGTH_OFFSET] as number;
    this.patch(input, view, false);
    this.load(input, view);
    const inside = Math.min(length, CODE_BASE + CODE_SIZE - start);
    const codeAt = CODE_FRAMES + start - CODE_BASE;
    memory.write(codeAt, input.subarray(CODE_OFFSET, CODE_OFFSET + inside));
    // One NOP: two instructions make a region; the budget stops before the second.
    const nop = this.jit && inside === length && start + length < CODE_BASE + CODE_SIZE;
    if (nop) memory.writeU8(codeAt + length, 0x90);
    try {
      if (nop && input[MODE_OFFSET] === 64 && (codeAt & 0xfff) + length < 4096) this.runCompiled(start, codeAt, length);
      else this.step(start);
      this.store(input, result);
      this.describeExit(result, BigInt(start));
      this.reportMemory(new DataView(result.buffer, result.byteOffset, RESULT_SIZE));
    } finally {
      this.patch(input, view, true);
      memory.fill(codeAt, nop ? inside + 1 : inside, 0xcc);
    }
  }

  /** Regions compiled so far. */
  get regions(): number {
    return this.cpu.engine.jit?.regions ?? 0;
  }

  /** Compiles the instruction and the NOP behind it, and runs until RIP leaves the instruction. */
  private runCompiled(start: number, codeAt: number, length: number): void {
    const { cpu } = this;
    const { engine, state } = cpu;
    if (!engine.cache.hasRoom) engine.dropCode();
    const page = engine.cache.page(codeAt >>> 12, 2);
    const offset = codeAt & 0xfff;
    if (engine.cache.recordAt(page, offset) === 0) engine.predecoder.decode(page, offset, () => undefined);
    engine.jit?.compileAt(page, offset, { ...placeOf(cpu.memory.view, state.base), va: BigInt(start - offset) });
    for (let i = 0; i < REP_LIMIT; i++) {
      // Two, or the region isn't entered; a branch elsewhere finds INT3 or no page there, which leaves RIP at it.
      const exit = cpu.run(2);
      const rip = Number(state.rip);
      if (exit.kind === ExitKind.Budget && rip === start) continue;
      if (exit.kind === ExitKind.Budget && rip === start + length + 1) state.rip = BigInt(start + length);
      const elsewhere = rip !== start && rip !== start + length;
      const stopped =
        exit.kind === ExitKind.Exception || (exit.kind === ExitKind.SoftwareInterrupt && exit.vector === 3);
      if (elsewhere && stopped) exit.kind = ExitKind.Budget;
      return;
    }
  }

  private step(start: number): void {
    const { cpu } = this;
    const { state } = cpu;
    let exit = cpu.run(1);
    // A repeated string instruction counts as one instruction per iteration.
    for (let i = 0; i < REP_LIMIT; i++) {
      if (exit.kind !== ExitKind.Budget || state.u32(S.RIP) !== start || state.u32(S.RIP + 4) !== 0) return;
      exit = cpu.run(1);
    }
  }

  private describeExit(result: Uint8Array, start: bigint): void {
    const { state, exit } = this.cpu;
    const out = new DataView(result.buffer, result.byteOffset, RESULT_SIZE);
    out.setUint32(ERROR_OFFSET, 0, true);
    out.setBigUint64(FAULT_ADDRESS_OFFSET, 0n, true);
    if (exit.kind === ExitKind.Budget) result[VECTOR_OFFSET] = COMPLETED;
    else if (exit.kind === ExitKind.Exception) {
      result[VECTOR_OFFSET] = exit.vector;
      if (exit.hasErrorCode) out.setUint32(ERROR_OFFSET, exit.errorCode, true);
      if (exit.vector === 14) {
        const address = state.cr2;
        out.setBigUint64(FAULT_ADDRESS_OFFSET, address, true);
        if (address >= USER_END) out.setUint32(ERROR_OFFSET, exit.errorCode & ~1, true);
      }
    } else if (exit.kind === ExitKind.SoftwareInterrupt) {
      result[VECTOR_OFFSET] = exit.vector;
      out.setBigUint64(RIP_OFFSET, state.rip + BigInt(exit.length), true);
    } else if (exit.kind === ExitKind.Io) {
      // The host decides about ports; this one, like Linux, gives user programs none.
      result[VECTOR_OFFSET] = 13;
      out.setBigUint64(RIP_OFFSET, start, true);
    } else result[VECTOR_OFFSET] = UNEXPECTED_EXIT + exit.kind;
  }

  private load(input: Uint8Array, view: DataView): void {
    const { state } = this.cpu;
    const wide = input[MODE_OFFSET] === 64;
    state.bytes(S.GPR, 128).set(input.subarray(GPR_OFFSET, GPR_OFFSET + 128));
    state.bytes(S.RIP, 8).set(input.subarray(RIP_OFFSET, RIP_OFFSET + 8));
    const flags = view.getUint32(RFLAGS_OFFSET, true);
    state.setU32(S.EFLAGS, ((flags & ~S.STATUS_FLAGS) | 2) >>> 0);
    state.statusFlags = flags;
    state.setU32(S.CPL, 3);
    state.setU32(S.CODE_MODE, wide ? 2 : 1);
    state.setU32(S.STACK_MASK, 0xffffffff);
    state.setU32(S.INTERRUPT_SHADOW, 0);
    for (let i = 0; i < 6; i++) {
      const selector = view.getUint16(SELECTORS_OFFSET + 2 * i, true);
      state.setU32(S.SEG_SELECTOR + 4 * i, selector);
      state.setU32(S.SEG_LIMIT + 4 * i, selector === 0 ? 0 : 0xffffffff);
      state.setU32(S.SEG_ATTR + 4 * i, i === S.Seg.CS ? (wide ? 0xa0fb : 0xc0fb) : selector === 0 ? 0x10000 : 0xc0f3);
      state.setU64(S.SEG_BASE + 8 * i, 0n);
    }
    state.bytes(S.SEG_BASE + 8 * S.Seg.FS, 8).set(input.subarray(FS_BASE_OFFSET, FS_BASE_OFFSET + 8));
    state.bytes(S.SEG_BASE + 8 * S.Seg.GS, 8).set(input.subarray(GS_BASE_OFFSET, GS_BASE_OFFSET + 8));
    state.setU32(S.MXCSR, view.getUint32(MXCSR_OFFSET, true));
    state.bytes(S.XMM, 256).set(input.subarray(XMM_OFFSET, XMM_OFFSET + 256));
    const status = view.getUint16(FSW_OFFSET, true);
    const top = (status >> 11) & 7;
    state.setU32(S.FCW, view.getUint16(FCW_OFFSET, true));
    state.setU32(S.FSW, status & ~0x3800);
    state.setU32(S.FTOP, top);
    state.setU32(S.FTW, input[FTW_OFFSET] as number);
    for (let i = 0; i < 8; i++)
      state.bytes(S.FPR + 16 * ((top + i) & 7), 16).set(input.subarray(ST_OFFSET + 16 * i, ST_OFFSET + 16 * i + 16));
    this.cpu.accessRightsChanged();
  }

  private store(input: Uint8Array, result: Uint8Array): void {
    const { state } = this.cpu;
    const out = new DataView(result.buffer, result.byteOffset, RESULT_SIZE);
    result[MODE_OFFSET] = input[MODE_OFFSET] as number;
    result.set(state.bytes(S.GPR, 128), GPR_OFFSET);
    result.set(state.bytes(S.RIP, 8), RIP_OFFSET);
    out.setUint32(RFLAGS_OFFSET, (state.u32(S.EFLAGS) | state.statusFlags) >>> 0, true);
    out.setUint32(RFLAGS_OFFSET + 4, 0, true);
    for (let i = 0; i < 6; i++) out.setUint16(SELECTORS_OFFSET + 2 * i, state.u32(S.SEG_SELECTOR + 4 * i), true);
    result.set(state.bytes(S.SEG_BASE + 8 * S.Seg.FS, 16), FS_BASE_OFFSET);
    out.setUint32(MXCSR_OFFSET, state.u32(S.MXCSR), true);
    result.set(state.bytes(S.XMM, 256), XMM_OFFSET);
    const top = state.u32(S.FTOP) & 7;
    out.setUint16(FCW_OFFSET, state.u32(S.FCW), true);
    out.setUint16(FSW_OFFSET, (state.u32(S.FSW) & ~0x3800) | (top << 11), true);
    result[FTW_OFFSET] = state.u32(S.FTW);
    for (let i = 0; i < 8; i++) result.set(state.bytes(S.FPR + 16 * ((top + i) & 7), 16), ST_OFFSET + 16 * i);
  }

  private patch(input: Uint8Array, view: DataView, undo: boolean): void {
    const { memory, shadow, background } = this;
    const count = view.getUint32(PATCH_COUNT_OFFSET, true);
    for (let i = 0; i < count; i++) {
      const at = PATCHES_OFFSET + i * PATCH_SIZE;
      const address = view.getUint32(at, true);
      const length = view.getUint32(at + 4, true);
      for (let k = 0; k < length; k++) {
        const offset = backgroundOffset(address + k);
        if (offset < 0) continue;
        const value = (undo ? background[offset] : input[at + 8 + k]) as number;
        shadow[offset] = value;
        memory.writeU8(DATA_FRAMES + offset, value);
      }
    }
  }

  /** Lists what differs from the shadow as runs, and restores it. */
  private reportMemory(out: DataView): void {
    const { memory, shadow, shadowWords } = this;
    const { u32, u8 } = memory;
    const first = DATA_FRAMES / 4;
    let at = RUNS_OFFSET + 4;
    let runs = 0;
    for (let i = 0; i < shadowWords.length; i++) {
      if (u32[first + i] === shadowWords[i]) continue;
      let begin = 4 * i;
      while (u8[DATA_FRAMES + begin] === shadow[begin]) begin++;
      let end = begin;
      while (end < BACKGROUND_SIZE && u8[DATA_FRAMES + end] !== shadow[end]) end++;
      let length = end - begin;
      if (at + 12 + length > RESULT_SIZE) length = RESULT_SIZE - at > 16 ? RESULT_SIZE - at - 16 : 0;
      if (length > 0) {
        const address = begin < DATA_SIZE ? DATA_BASE + begin : STACK_BASE + begin - DATA_SIZE - READ_ONLY_SIZE;
        out.setUint32(at, address, true);
        out.setUint32(at + 4, length, true);
        for (let k = 0; k < length; k++) out.setUint8(at + 8 + k, u8[DATA_FRAMES + begin + k] as number);
        at += 8 + ((length + 3) & ~3);
        runs++;
      }
      memory.write(DATA_FRAMES + begin, shadow.subarray(begin, end));
      i = (end >> 2) - 1;
    }
    out.setUint32(RUNS_OFFSET, runs, true);
  }
}
