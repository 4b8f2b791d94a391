// One virtual CPU: runs guest code until something needs the host (see exit.ts), and offers the services that host
// operations and the hypervisor use on it.

import { DOUBLE_ZERO } from "../mmu/double.js";
import type { MachineMemory } from "../mmu/machine-memory.js";
import { PAGE_SIZE } from "../mmu/machine-memory.js";
import { ACCESS_READ, ACCESS_WRITE, PagingMode } from "../mmu/page-walk.js";
import { AddressSpaces } from "./address-spaces.js";
import { CpuState } from "./cpu-state.js";
import { DR6_BS, instructionBreakpoints, Shadow } from "./debug.js";
import type { CpuBlock, Engine } from "./engine.js";
import { type Exit, ExitKind, Vector } from "./exit.js";
import type { AccessKind, CpuHooks, HostCpu, HostOperation } from "./host/host-operation.js";
import type { CodePage } from "./interpreter/code-cache.js";
import { EXIT_JUMP, EXIT_NEED_CODE, EXIT_NEED_CODE_UNCOUNTED, Slot } from "./interpreter/core-module.js";
import * as R from "./interpreter/record.js";
import { MemoryAccess } from "./memory-access.js";
import * as S from "./state-layout.js";

export interface CpuOptions {
  readonly hooks: CpuHooks;
  /** Xen PV guest: page tables ignore U/S, and address spaces are chosen with setAddressSpace. */
  readonly paravirtual: boolean;
}

const { Inside, Enters } = R.Compiled;

/** Thrown by HostCpu.raise after the exit was described; caught where the host operation was called. */
const GUEST_FAULT = Symbol("guest fault");

export class Cpu implements HostCpu {
  readonly engine: Engine;
  readonly memory: MachineMemory;
  /** Its place in engine memory. */
  readonly block: CpuBlock;
  readonly state: CpuState;
  readonly spaces: AddressSpaces;
  readonly access: MemoryAccess;
  readonly hooks: CpuHooks;
  readonly exit: Exit = { kind: ExitKind.Budget, vector: 0, hasErrorCode: false, errorCode: 0, length: 0 };
  /** Instructions executed since the CPU was made. */
  instructions = DOUBLE_ZERO;
  readonly #paravirtual: boolean;
  #hostRecord = 0;
  #jumped = false;
  /** RIP of the instruction that INTERRUPT_SHADOW protects. */
  #shadowRip = 0n;

  constructor(engine: Engine, options: CpuOptions) {
    this.engine = engine;
    this.memory = engine.memory;
    this.hooks = options.hooks;
    this.#paravirtual = options.paravirtual;
    this.block = engine.takeBlock();
    this.state = new CpuState(engine.memory, this.block.state);
    this.spaces = new AddressSpaces(engine.memory, this.block.spaces, this.block.state);
    this.access = new MemoryAccess(engine.memory, this.state, this.spaces);
    this.access.paging.ignoreUser = options.paravirtual;
    engine.cpus.push(this);
    this.accessRightsChanged();
  }

  /** Runs at most `budget` instructions. The result is reused by the next call. */
  run(budget: number): Exit {
    const { state, engine } = this;
    engine.current = this;
    // What it protected is the instruction that runs now.
    state.setU32(S.INTERRUPT_SHADOW, 0);
    state.setU32(S.FLOAT_CAREFUL, 0);
    let left = budget;
    while (left > 0) {
      const stepping = state.u32(S.STEP_MODE) !== 0;
      const slice = stepping ? 1 : left;
      state.setU32(S.BUDGET, slice);
      const rflags = stepping ? state.u32(S.EFLAGS) : 0;
      if (stepping && !this.#beforeStep(rflags)) break;
      this.#runSlice();
      const done = slice - (state.u32(S.BUDGET) | 0);
      left -= done;
      this.instructions += done;
      if (this.exit.kind !== ExitKind.Budget) break;
      if (stepping && !this.#afterStep(rflags)) break;
    }
    return this.exit;
  }

  /** Instruction breakpoints: false after describing #DB, a fault before the instruction (SDM volume 3B, 18.3.1.1). */
  #beforeStep(rflags: number): boolean {
    this.access.breakpointHits = 0;
    if (rflags & S.RF) return true;
    const hits = instructionBreakpoints(this.state, this.#linearRip());
    if (hits === 0) return true;
    this.#debugException(hits);
    return false;
  }

  /** After one instruction: clears RF; false after describing #DB, a trap, for TF or a data breakpoint. */
  #afterStep(rflags: number): boolean {
    const { state, access } = this;
    if (rflags & S.RF) {
      state.setU32(S.EFLAGS, state.u32(S.EFLAGS) & ~S.RF);
      this.accessRightsChanged();
    }
    // The instruction after MOV SS or POP SS comes first; its data breakpoints are lost here as they are on some processors.
    if (state.u32(S.INTERRUPT_SHADOW) === Shadow.MovSs && this.#shadowRip === state.rip) return true;
    const causes = (rflags & S.TF ? DR6_BS : 0) | access.breakpointHits;
    if (causes === 0) return true;
    this.#debugException(causes);
    return false;
  }

  #debugException(causes: number): void {
    this.state.setU64(S.DR + 48, this.state.dr(6) | BigInt(causes));
    this.#describe(ExitKind.Exception, Vector.DB, -1);
  }

  /** True while STI or a load of SS holds off interrupts for the instruction at RIP (SDM volume 3A, 6.8.3). */
  get interruptShadow(): boolean {
    return this.state.u32(S.INTERRUPT_SHADOW) !== 0 && this.#shadowRip === this.state.rip;
  }
  setInterruptShadow(shadow: number): void {
    this.state.setU32(S.INTERRUPT_SHADOW, shadow);
    this.#shadowRip = this.nextRip;
  }

  #describe(kind: ExitKind, vector: number, errorCode: number): void {
    const { exit } = this;
    exit.kind = kind;
    exit.vector = vector;
    exit.hasErrorCode = errorCode >= 0;
    exit.errorCode = Math.max(errorCode, 0);
    exit.length = 0;
  }

  /** Until the slice's budget is used or there is an exit for the host; leaves RIP right. */
  #runSlice(): void {
    const { state, engine } = this;
    let record = this.#recordAtRip();
    for (;;) {
      if (record === 0) {
        this.#describe(ExitKind.Exception, state.u32(S.EXIT_VECTOR), state.u32(S.EXIT_ERROR) | 0);
        return;
      }
      engine.core.run(state.base, record);
      const kind = state.u32(S.EXIT_KIND);
      if (kind >= EXIT_NEED_CODE) {
        if (kind !== EXIT_JUMP) this.#setLinearRip(state.u32(S.EXIT_VALUE), state.u32(S.EXIT_VALUE + 4));
        // An instruction that leads to code not decoded yet, or jumps by a host operation, is complete, but not counted yet.
        if (kind !== EXIT_NEED_CODE_UNCOUNTED) {
          const left = state.u32(S.BUDGET) - 1;
          state.setU32(S.BUDGET, left);
          if (left === 0 || state.u32(S.STEP_MODE) !== 0) {
            this.#describe(ExitKind.Budget, 0, -1);
            return;
          }
        }
        record = this.#recordAtRip();
        continue;
      }
      const at = state.u32(S.EXIT_RECORD);
      if (kind === ExitKind.Budget && engine.isBusy) engine.jit?.ran(at);
      if (kind === ExitKind.Budget || kind === ExitKind.Exception) {
        this.#setRecordRip(at, false);
        this.#describe(kind, state.u32(S.EXIT_VECTOR), kind === ExitKind.Budget ? -1 : state.u32(S.EXIT_ERROR) | 0);
        return;
      }
      const before = state.u32(S.EXIT_ERROR) !== 0;
      this.#setRecordRip(at, !before);
      this.#describe(kind as ExitKind, state.u32(S.EXIT_VECTOR), -1);
      this.exit.length = this.memory.linear[at + R.LENGTH]!;
      if (!before) state.setU32(S.BUDGET, state.u32(S.BUDGET) - 1);
      return;
    }
  }

  /** The record of the instruction at RIP. */
  #recordAtRip(): number {
    const { state } = this;
    const low = state.u32(S.RIP);
    if (state.codeMode === 2) return this.#resolve(low, state.u32(S.RIP + 4));
    return this.#resolve((low + state.u32(S.SEG_BASE + 8 * S.Seg.CS)) >>> 0, 0);
  }

  #linearRip(): bigint {
    const { state } = this;
    if (state.codeMode === 2) return state.rip;
    return (state.rip + state.segmentBase(S.Seg.CS)) & 0xffffffffn;
  }

  /** RIP for a linear address given by its halves. */
  #setLinearRip(low: number, high: number): void {
    const { state } = this;
    const long = state.codeMode === 2;
    state.setU32(S.RIP, long ? low : low - state.u32(S.SEG_BASE + 8 * S.Seg.CS));
    state.setU32(S.RIP + 4, long ? high : 0);
  }

  /** RIP at a record's instruction, or behind it. */
  #setRecordRip(record: number, after: boolean): void {
    const { state } = this;
    const { view, linear } = this.memory;
    const offset = view.getUint16(record + R.OFFSET, true) + (after ? linear[record + R.LENGTH]! : 0);
    const low = state.u32(S.PAGE_VA) + offset;
    this.#setLinearRip(low >>> 0, state.u32(S.PAGE_VA + 4) + (low > 0xffffffff ? 1 : 0));
  }

  #recordRip(record: number, after: boolean): bigint {
    const { state } = this;
    const { view, linear } = this.memory;
    const offset = view.getUint16(record + R.OFFSET, true) + (after ? linear[record + R.LENGTH]! : 0);
    const at = BigInt.asUintN(64, state.u64(S.PAGE_VA) + BigInt(offset));
    return state.codeMode === 2 ? at : (at - state.segmentBase(S.Seg.CS)) & 0xffffffffn;
  }

  /** The record of the code at a linear address, decoding it if need be; 0 after describing a fault. */
  #resolve(low: number, high: number): number {
    const { state, engine } = this;
    const known = engine.core.lookup(state.base, low, high);
    // A guard of a crossing instruction is looked at afresh: its second page may have changed.
    if (known !== 0 && !this.#isGuard(known) && this.memory.view.getUint32(known + R.HANDLER, true) >= Slot.First)
      return known;
    if (state.codeMode !== 2) {
      const ip = (low - state.u32(S.SEG_BASE + 8 * S.Seg.CS)) >>> 0;
      if (ip > state.u32(S.SEG_LIMIT + 4 * S.Seg.CS)) return this.access.fault(0, Vector.GP, 0);
    }
    if (!engine.cache.hasRoom) engine.dropCode();
    const page = this.#codePage(low, high);
    if (!page) return 0;
    state.setU32(S.PAGE_VA, low & ~0xfff);
    state.setU32(S.PAGE_VA + 4, high);
    const offset = low & 0xfff;
    let record = engine.cache.recordAt(page, offset);
    if (record !== 0) {
      if (!this.#isGuard(record)) return record;
      const next = this.#nextCodePage(low, high);
      if (!next) return 0;
      if (next.table === this.memory.view.getUint32(record + R.LINK, true)) return record;
      this.memory.view.setUint32(record + R.HANDLER, Slot.Stale, true);
    }
    const { observer, predecoder } = engine;
    const before = predecoder.instructions;
    observer?.begin();
    record = predecoder.decode(page, offset, () => this.#nextCodePage(low, high));
    observer?.end("decode", predecoder.instructions - before);
    return record;
  }

  /** Of an instruction that crosses into the next page, also while the guard enters a compiled region. */
  #isGuard(record: number): boolean {
    const { view } = this.memory;
    return view.getUint16(record + R.OFFSET, true) + view.getUint8(record + R.LENGTH) > PAGE_SIZE;
  }

  #nextCodePage(low: number, high: number): CodePage | undefined {
    const nextLow = ((low & ~0xfff) + PAGE_SIZE) >>> 0;
    return this.#codePage(nextLow, nextLow === 0 ? this.access.nextHigh(high) : high);
  }

  #codePage(low: number, high: number): CodePage | undefined {
    const maddr = this.access.fetch(low, high);
    if (maddr < 0) return undefined;
    const page = this.engine.cache.page(Math.floor(maddr / PAGE_SIZE), this.state.codeMode);
    this.spaces.fillCode(low, high, page.table, this.state.codeMode);
    return page;
  }

  /** After a Budget exit: whether the place where it stopped is part of a compiled region. */
  get stoppedInRegion(): boolean {
    const record = this.state.u32(S.EXIT_RECORD);
    return record !== 0 && (this.memory.view.getUint8(record + R.COMPILED) & (Inside | Enters)) !== 0;
  }

  // --- address spaces ---

  /** Xen PV: selects the page-table root by machine frame. */
  setAddressSpace(rootMfn: number): void {
    this.state.setU32(S.CR3, rootMfn * PAGE_SIZE);
    this.state.setU32(S.CR3 + 4, 0);
    this.#selectSpace();
  }

  #selectSpace(): void {
    const { state, access } = this;
    const key = this.#paravirtual
      ? state.u32(S.CR3)
      : access.paging.root * 8 +
        (state.cpl === 3 ? 1 : 0) +
        (access.paging.smap ? 2 : 0) +
        (access.paging.writeProtect ? 4 : 0);
    this.spaces.select(key, this.#paravirtual);
    state.setU32(S.TLB, access.checked ? this.spaces.emptyTlb : this.spaces.dataTlb);
    state.setU32(S.CODE_TLB, this.spaces.codeTlb);
  }

  /** Forgets the translations of the current address space. */
  flushTlb(): void {
    this.spaces.flushCurrent();
  }
  /** Forgets the translations of all kept address spaces. */
  flushTlbAll(): void {
    this.spaces.flushAll();
  }
  /** Forgets one page in all kept address spaces. */
  invalidatePage(va: bigint): void {
    this.spaces.invalidatePage(Number(va & 0xffffffffn));
  }
  /** A page-table root is no more, or another one now. */
  dropAddressSpace(rootMfn: number): void {
    this.spaces.drop(rootMfn * PAGE_SIZE);
  }

  accessRightsChanged(): void {
    const { state, access } = this;
    const { paging } = access;
    const cr0 = state.u32(S.CR0);
    const cr4 = state.u32(S.CR4);
    const flags = state.u32(S.EFLAGS);
    if (this.#paravirtual) {
      paging.mode = PagingMode.FourLevel;
    } else {
      paging.mode = !(cr0 & 0x80000000) ? 0 : state.u32(S.EFER) & 0x400 ? 4 : cr4 & 0x20 ? 3 : 2;
      const cr3 = Number(state.cr3 & (paging.mode === PagingMode.FourLevel ? 0xffffffffffn : 0xffffffffn));
      paging.root = cr3 - (cr3 & (paging.mode === PagingMode.Pae ? 0x1f : 0xfff));
      paging.writeProtect = (cr0 & 0x10000) !== 0;
      paging.nxe = (state.u32(S.EFER) & 0x800) !== 0;
      paging.pse = (cr4 & 0x10) !== 0;
      paging.smep = (cr4 & 0x100000) !== 0;
      paging.smap = (cr4 & 0x200000) !== 0 && !(flags & S.AC);
    }
    const breakpoints = (state.u32(S.DR + 56) & 0xff) !== 0;
    access.checked = ((flags & S.AC) !== 0 && (cr0 & 0x40000) !== 0 && state.cpl === 3) || breakpoints;
    state.setU32(S.STEP_MODE, flags & (S.TF | S.RF) || breakpoints ? 1 : 0);
    state.setU32(S.PV_WALK, this.#paravirtual && !access.checked ? 1 : 0);
    state.setU32(S.FPU_TRAP, cr0 & 0xc ? 1 : 0);
    state.setU32(S.SSE_TRAP, cr0 & 0xc || !(cr4 & 0x200) ? 1 : 0);
    this.#selectSpace();
  }

  // --- host operations ---

  /** Called from Wasm. Returns 0 to go on with the next instruction, 1 after an exit or jump was set up. */
  hostCall(record: number, operation: HostOperation): number {
    this.#hostRecord = record;
    this.#jumped = false;
    try {
      operation(this);
    } catch (error) {
      if (error === GUEST_FAULT) return 1;
      throw error;
    }
    if (!this.#jumped) return 0;
    this.state.setU32(S.EXIT_KIND, EXIT_JUMP);
    return 1;
  }

  get currentRip(): bigint {
    return this.#recordRip(this.#hostRecord, false);
  }
  get nextRip(): bigint {
    return this.#recordRip(this.#hostRecord, true);
  }
  arg(index: number): bigint {
    return this.state.u64(S.ARGS + 8 * index);
  }
  argNumber(index: number): number {
    return this.state.u32(S.ARGS + 8 * index);
  }
  setResult(index: number, value: bigint): void {
    this.state.setU64(S.ARGS + 8 * index, BigInt.asUintN(64, value));
  }
  raise(vector: number, errorCode = -1): never {
    this.access.fault(this.#hostRecord, vector, errorCode);
    throw GUEST_FAULT;
  }
  jump(rip: bigint): void {
    this.state.rip = BigInt.asUintN(64, rip);
    this.#jumped = true;
  }

  /** Machine address of a linear one; `note` is how many bytes from it count for data breakpoints. */
  #linear(address: bigint, access: number, kind: AccessKind, note: number): number {
    const wrapped = BigInt.asUintN(this.state.codeMode === 2 || kind === "system" ? 64 : 32, address);
    const low = Number(wrapped & 0xffffffffn);
    const high = Number(wrapped >> 32n);
    const maddr = this.access.translate(this.#hostRecord, low, high, access, kind === "stack", kind === "system");
    if (maddr < 0) throw GUEST_FAULT;
    if (note && kind !== "system") this.access.noteBreakpoints(low, high, note, access === ACCESS_WRITE);
    return maddr;
  }
  #checkAlignment(linear: bigint, bytes: number, kind: AccessKind): void {
    const low = Number(linear & 0xffffffffn);
    if (kind === "system" || !this.access.misaligned(low, bytes)) return;
    const top = this.state.codeMode === 2 ? BigInt.asUintN(64, linear) >> 47n : 0n;
    if (top === 0n || top === 0x1ffffn) this.raise(Vector.AC, 0);
  }
  checkSegment(segment: number, offset: bigint, bytes: number, write: boolean): void {
    if (this.state.codeMode === 2) return;
    const at = Number(offset & 0xffffffffn);
    if (this.access.checkSegment(this.#hostRecord, segment, at, bytes | (write ? 0x100 : 0)) === 0) throw GUEST_FAULT;
  }
  readBytes(linear: bigint, length: number, kind: AccessKind = "data"): Uint8Array {
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = linear + BigInt(done);
      const chunk = Math.min(length - done, PAGE_SIZE - Number(at & 0xfffn));
      const maddr = this.#linear(at, ACCESS_READ, kind, chunk);
      out.set(this.memory.u8.subarray(maddr, maddr + chunk), done);
      done += chunk;
    }
    return out;
  }
  probeWrite(linear: bigint, length: number, kind: AccessKind = "data"): void {
    if (length <= 8) this.#checkAlignment(linear, length, kind);
    for (let done = 0; done < length; ) {
      const at = linear + BigInt(done);
      this.#linear(at, ACCESS_WRITE, kind, 0);
      done += PAGE_SIZE - Number(at & 0xfffn);
    }
  }
  writableAt(linear: bigint, length: number): number {
    if (this.access.checked || Number(linear & 0xfffn) + length > PAGE_SIZE) return -1;
    return this.#linear(linear, ACCESS_WRITE, "data", 0);
  }
  readableAt(linear: bigint, length: number): number {
    if (this.access.checked || Number(linear & 0xfffn) + length > PAGE_SIZE) return -1;
    return this.#linear(linear, ACCESS_READ, "data", 0);
  }
  writeBytes(linear: bigint, bytes: Uint8Array, kind: AccessKind = "data"): void {
    this.probeWrite(linear, bytes.length, kind);
    for (let done = 0; done < bytes.length; ) {
      const at = linear + BigInt(done);
      const chunk = Math.min(bytes.length - done, PAGE_SIZE - Number(at & 0xfffn));
      this.memory.write(this.#linear(at, ACCESS_WRITE, kind, chunk), bytes.subarray(done, done + chunk));
      done += chunk;
    }
  }
  read(linear: bigint, bytes: 1 | 2 | 4 | 8, kind: AccessKind = "data"): bigint {
    this.#checkAlignment(linear, bytes, kind);
    if (Number(linear & 0xfffn) + bytes <= PAGE_SIZE) {
      const at = this.memory.ramBase + this.#linear(linear, ACCESS_READ, kind, bytes);
      const { view } = this.memory;
      if (bytes === 8) return view.getBigUint64(at, true);
      return BigInt(
        bytes === 4 ? view.getUint32(at, true) : bytes === 2 ? view.getUint16(at, true) : view.getUint8(at),
      );
    }
    const data = this.readBytes(linear, bytes, kind);
    let value = 0n;
    for (let i = bytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(data[i]!);
    return value;
  }
  write(linear: bigint, bytes: 1 | 2 | 4 | 8, value: bigint, kind: AccessKind = "data"): void {
    this.#checkAlignment(linear, bytes, kind);
    if (bytes === 8 && (linear & 7n) === 0n) {
      this.memory.writeU64(this.#linear(linear, ACCESS_WRITE, kind, bytes), BigInt.asUintN(64, value));
      return;
    }
    const data = new Uint8Array(bytes);
    for (let i = 0; i < bytes; i++) data[i] = Number((value >> BigInt(8 * i)) & 0xffn);
    this.writeBytes(linear, data, kind);
  }
}
