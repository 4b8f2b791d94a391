// The slow path of guest memory access: TLB misses, page crossings, writes to decoded code, segment limits, alignment checks,
// data breakpoints. A fault is described in the vCPU's exit fields and reported by returning 0.

import { DOUBLE_ZERO } from "../mmu/double.js";
import { FRAME_HAS_CODE, type MachineMemory, PAGE_SIZE } from "../mmu/machine-memory.js";
import {
  ACCESS_EXECUTE,
  ACCESS_READ,
  ACCESS_WRITE,
  newWalkResult,
  type PagingContext,
  walkPage,
} from "../mmu/page-walk.js";
import type { AddressSpaces } from "./address-spaces.js";
import type { CpuState } from "./cpu-state.js";
import { SEGMENT_UNUSABLE } from "./cpu-state.js";
import { ExitKind, Vector } from "./exit.js";
import * as S from "./state-layout.js";

const WRITE = 0x100;
const STACK = 0x200;
const SPAN = 0x400;
/** DR7's LEN field: bytes. */
const breakpointLength = [1, 2, 8, 4] as const;

export class MemoryAccess {
  readonly paging: PagingContext;
  readonly #memory: MachineMemory;
  readonly #state: CpuState;
  readonly #spaces: AddressSpaces;
  readonly #walk = newWalkResult();
  /** Set while every access must be looked at (EFLAGS.AC with CR0.AM at CPL 3, or data breakpoints). */
  checked = false;
  /** Data breakpoints that the current instruction's accesses met: bits B0-B3 of DR6. */
  breakpointHits = 0;
  /** Machine addresses of a crossing write that waits in SCRATCH: first byte, and first byte on the second page. */
  #pendingFirst = DOUBLE_ZERO;
  #pendingSecond = DOUBLE_ZERO;
  #pendingSplit = 0;
  #pendingSize = 0;

  constructor(memory: MachineMemory, state: CpuState, spaces: AddressSpaces) {
    this.#memory = memory;
    this.#state = state;
    this.#spaces = spaces;
    this.paging = {
      mode: 0,
      root: 0,
      writeProtect: true,
      smep: false,
      smap: false,
      nxe: true,
      pse: true,
      ignoreUser: false,
    };
  }

  fault(record: number, vector: number, errorCode: number): 0 {
    const s = this.#state;
    s.setU32(S.EXIT_RECORD, record);
    s.setU32(S.EXIT_KIND, ExitKind.Exception);
    s.setU32(S.EXIT_VECTOR, vector);
    s.setU32(S.EXIT_ERROR, errorCode >>> 0);
    return 0;
  }

  #pageFault(record: number, low: number, high: number, error: number): 0 {
    this.#state.setU32(S.CR2, low >>> 0);
    this.#state.setU32(S.CR2 + 4, high >>> 0);
    return this.fault(record, Vector.PF, error);
  }

  #canonical(high: number): boolean {
    if (this.#state.u32(S.CODE_MODE) !== 2) return true;
    const top = (high >>> 0) >>> 15;
    return top === 0 || top === 0x1ffff;
  }

  /**
   * Machine address of a byte for an access, or -1 after describing the fault. `system`: an implicit supervisor access (to a
   * descriptor table), whatever the CPL (SDM volume 3A, 4.6.1).
   */
  translate(record: number, low: number, high: number, access: number, stack: boolean, system = false): number {
    if (!this.#canonical(high)) {
      this.fault(record, stack ? Vector.SS : Vector.GP, 0);
      return -1;
    }
    const { paging } = this;
    const user = !system && this.#state.u32(S.CPL) === 3;
    // Generated code may have switched roots.
    if (paging.ignoreUser) paging.root = this.#state.u32(S.CR3);
    const { smap } = paging;
    // EFLAGS.AC suspends SMAP for explicit accesses only.
    if (system) paging.smap = !paging.ignoreUser && (this.#state.u32(S.CR4) & 0x200000) !== 0;
    const walk = walkPage(this.#memory, paging, low >>> 0, high >>> 0, access, user, this.#walk);
    paging.smap = smap;
    if (walk.fault >= 0) {
      this.#pageFault(record, low, high, walk.fault);
      return -1;
    }
    return walk.maddr;
  }

  /** Translates for an instruction fetch. */
  fetch(low: number, high: number): number {
    return this.translate(0, low, high, ACCESS_EXECUTE, false);
  }

  /** TLB misses so far. */
  get misses(): number {
    return this.#state.u32(S.TLB_MISSES);
  }

  /** Wasm's slow path. `access`: bytes | WRITE | STACK | SPAN. Returns a linear address for the whole access, or 0. */
  miss(record: number, low: number, high: number, access: number): number {
    const bytes = access & 0xff;
    const write = (access & WRITE) !== 0;
    const stack = (access & STACK) !== 0 || (record !== 0 && this.#memory.linear[record + 7] === S.Seg.SS);
    if (this.checked && low & (bytes - 1) && bytes <= 16 && this.#alignmentChecked()) {
      if (!this.#canonical(high)) return this.fault(record, stack ? Vector.SS : Vector.GP, 0);
      return this.fault(record, Vector.AC, 0);
    }
    const kind = write ? ACCESS_WRITE : ACCESS_READ;
    const inPage = low & 0xfff;
    // An access that runs out of the canonical range faults for that before any page does.
    if (low >>> 0 > 0x1_0000_0000 - bytes && this.#canonical(high) && !this.#canonical(this.nextHigh(high)))
      return this.fault(record, stack ? Vector.SS : Vector.GP, 0);
    const first = this.translate(record, low, high, kind, stack);
    if (first < 0) return 0;
    const { writableNow } = this.#walk;
    const { frameFlags, ramBase } = this.#memory;
    if (this.checked) this.noteBreakpoints(low, high, bytes, write);
    if (inPage + bytes <= PAGE_SIZE) {
      // How much a repeated instruction does at once must not depend on what of the page is decoded: all it is going to write goes.
      const written = access & SPAN ? Math.min(this.#state.u32(S.SPAN), PAGE_SIZE - inPage) : bytes;
      if (write && frameFlags[first >>> 12]! & FRAME_HAS_CODE) this.#memory.onCodeWrite(first, written);
      if (!this.checked) {
        if (access & SPAN) this.#state.setU32(S.SLOW_ACCESS, 0);
        const writable = writableNow && !(frameFlags[first >>> 12]! & FRAME_HAS_CODE);
        this.#spaces.fill(low, high, first - inPage, writable);
      }
      return ramBase + first;
    }
    const nextLow = (low - inPage + PAGE_SIZE) >>> 0;
    const nextHigh = nextLow === 0 ? this.nextHigh(high) : high;
    const second = this.translate(record, nextLow, nextHigh, kind, stack);
    if (second < 0) return 0;
    const split = PAGE_SIZE - inPage;
    const scratch = this.#state.base + S.SCRATCH;
    const { linear } = this.#memory;
    linear.copyWithin(scratch, ramBase + first, ramBase + first + split);
    linear.copyWithin(scratch + split, ramBase + second, ramBase + second + bytes - split);
    this.#state.setU32(S.CROSSING, 0);
    this.#pendingSize = write ? bytes : 0;
    this.#pendingFirst = first;
    this.#pendingSecond = second;
    this.#pendingSplit = split;
    return scratch;
  }

  /** Completes a write that `miss` sent to SCRATCH; nothing to do after one that went straight to RAM. */
  commit(): void {
    const bytes = this.#pendingSize;
    if (bytes === 0) return;
    this.#pendingSize = 0;
    const scratch = this.#state.bytes(S.SCRATCH, bytes);
    this.#memory.write(this.#pendingFirst, scratch.subarray(0, this.#pendingSplit));
    this.#memory.write(this.#pendingSecond, scratch.subarray(this.#pendingSplit));
  }

  /** The upper half of an address after its lower half wrapped to 0: outside 64-bit mode addresses wrap at 4 GB. */
  nextHigh(high: number): number {
    return this.#state.u32(S.CODE_MODE) === 2 ? (high + 1) >>> 0 : 0;
  }

  /** #AC rule for an access of 2, 4 or 8 bytes: true when it is misaligned and that is checked (SDM volume 3A, 6.15, #AC). */
  misaligned(low: number, bytes: number): boolean {
    return this.checked && (low & (bytes - 1)) !== 0 && this.#alignmentChecked();
  }

  /** Notes data breakpoints on [address, address + bytes) (SDM volume 3B, 18.2.5). */
  noteBreakpoints(low: number, high: number, bytes: number, write: boolean): void {
    const s = this.#state;
    const control = s.u32(S.DR + 56);
    if (!(control & 0xff)) return;
    const first = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    for (let i = 0; i < 4; i++) {
      const kind = (control >>> (16 + 4 * i)) & 3;
      if (!((control >>> (2 * i)) & 3) || !(kind === 3 || (kind === 1 && write))) continue;
      const length = breakpointLength[(control >>> (18 + 4 * i)) & 3]!;
      const at = s.u64(S.DR + 8 * i) & ~BigInt(length - 1);
      if (first < at + BigInt(length) && first + BigInt(bytes) > at) this.breakpointHits |= 1 << i;
    }
  }

  #alignmentChecked(): boolean {
    const s = this.#state;
    return s.u32(S.CPL) === 3 && (s.u32(S.EFLAGS) & S.AC) !== 0 && (s.u32(S.CR0) & 0x40000) !== 0;
  }

  /** Segment rules outside 64-bit mode (SDM 3A 5.3-5.5), for what the inline check didn't allow. Returns 1, or 0 after a fault. */
  checkSegment(record: number, segment: number, offset: number, access: number): number {
    const s = this.#state;
    const vector = segment === S.Seg.SS ? Vector.SS : Vector.GP;
    const attributes = s.u32(S.SEG_ATTR + 4 * segment);
    const limit = s.u32(S.SEG_LIMIT + 4 * segment);
    const last = (offset >>> 0) + (access & 0xff) - 1;
    if (attributes & SEGMENT_UNUSABLE) return this.fault(record, vector, 0);
    const code = (attributes & 8) !== 0;
    if (access & WRITE ? code || !(attributes & 2) : code && !(attributes & 2)) return this.fault(record, vector, 0);
    if (!code && attributes & 4) {
      const top = attributes & 0x4000 ? 0xffffffff : 0xffff;
      if (offset >>> 0 <= limit || last > top) return this.fault(record, vector, 0);
    } else if (last > limit) return this.fault(record, vector, 0);
    return 1;
  }
}
