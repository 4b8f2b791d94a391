// The soft TLBs of one vCPU: a pool of arrays, one for each recently used page-table root and privilege, so that a switch back
// to a root finds its translations (ARCHITECTURE.md: PV page tables change only with the hypervisor's knowledge).
// A root that is new begins with what is known of the kernel's half, where it has the same tables there as another one.
// Slot 0 is never filled: accesses that need checking one by one (alignment, data breakpoints) run on it.

import type { MachineMemory } from "../mmu/machine-memory.js";
import { PAGE_SIZE } from "../mmu/machine-memory.js";
import { PV_KERNEL_SPACE, PV_USER_SPACE, SPACE } from "./state-layout.js";
import {
  ADDRESS_SPACE_BYTES,
  CODE_TLB_EMPTY,
  CODE_TLB_ENTRIES,
  CODE_TLB_ENTRY_SHIFT,
  CODE_TLB_PAGE,
  CODE_TLB_TAG,
  emptyTag,
  TLB_BYTES,
  TLB_ENTRIES,
  TLB_ENTRY_SHIFT,
  TLB_LINEAR,
  TLB_PART_SHIFT,
  TLB_READ,
  TLB_WRITE,
} from "./tlb-layout.js";

const SLOTS = 16;
/** Engine memory that the TLBs of one vCPU take. */
export const ADDRESS_SPACES_BYTES = SLOTS * ADDRESS_SPACE_BYTES;
/** Bits of an entry of the highest level that say nothing about what it leads to. */
const ACCESSED_DIRTY = 0x60;

export class AddressSpaces {
  readonly #memory: MachineMemory;
  /** The whole linear memory in words; entries are word-aligned. */
  readonly #words: Int32Array;
  readonly #base: number;
  /** Word index of the vCPU's struct: generated code switches slots by itself, so which one is current is noted there. */
  readonly #state: number;
  readonly #keys = new Float64Array(SLOTS).fill(-1);
  readonly #lastUse = new Float64Array(SLOTS);
  /** Slots to be emptied before they are used again. */
  readonly #stale = new Uint8Array(SLOTS);
  readonly #slotOf = new Map<number, number>();
  #clock = 0;
  #random = 0;
  flushes = 0;

  /** `base`: linear address of ADDRESS_SPACES_BYTES of engine memory; `state`: of the vCPU's struct. */
  constructor(memory: MachineMemory, base: number, state: number) {
    this.#memory = memory;
    this.#words = memory.words;
    this.#base = base;
    this.#state = state >> 2;
    this.#words[this.#state + (SPACE >> 2)] = base + ADDRESS_SPACE_BYTES;
    this.#clear(0);
    this.#clear(1);
    // Memory that no root needs yet isn't touched.
    this.#stale.fill(1, 2);
  }

  /** Linear addresses of the data and code TLBs of the current slot. */
  get dataTlb(): number {
    return this.#words[this.#state + (SPACE >> 2)]!;
  }
  get codeTlb(): number {
    return this.dataTlb + TLB_BYTES;
  }
  /** A data TLB that never hits. */
  get emptyTlb(): number {
    return this.#base;
  }

  /**
   * Makes the slot of `key` current, taking another's for a new key. `sharesKernel`: keys are roots of 4-level tables, by machine address,
   * whose every change is told, and rights don't depend on who asks.
   */
  select(key: number, sharesKernel = false): void {
    let slot = this.#slotOf.get(key);
    if (slot === undefined) {
      slot = this.#victim();
      this.#slotOf.delete(this.#keys[slot]!);
      this.#keys[slot] = -1;
      const like = sharesKernel ? this.#likeIn(key) : 0;
      if (like !== 0) this.#inherit(slot, like);
      else this.#empty(slot);
      this.#keys[slot] = key;
      this.#slotOf.set(key, slot);
      this.#forgetPair();
    } else if (this.#stale[slot]) this.#empty(slot);
    this.#lastUse[slot] = ++this.#clock;
    this.#words[this.#state + (SPACE >> 2)] = this.#base + slot * ADDRESS_SPACE_BYTES;
  }

  /**
   * A slot that is free, or any that wasn't used just now: processes that take turns, one more than there are slots, would never find
   * theirs if the one that was used longest ago went.
   */
  #victim(): number {
    for (let slot = 1; slot < SLOTS; slot++) if (this.#lastUse[slot] === 0) return slot;
    for (;;) {
      this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0;
      const slot = 1 + ((this.#random >>> 16) % (SLOTS - 1));
      if (this.#clock - this.#lastUse[slot]! >= SLOTS / 2) return slot;
    }
  }

  /** Linear address of the slot of `key` when it can be used as it is, else 0. Good until PV_KERNEL_SPACE and PV_USER_SPACE are cleared. */
  find(key: number): number {
    const slot = this.#slotOf.get(key);
    if (slot === undefined || this.#stale[slot]) return 0;
    this.#lastUse[slot] = ++this.#clock;
    return this.#base + slot * ADDRESS_SPACE_BYTES;
  }

  /** Some slot isn't any more what generated code knew about it. */
  #forgetPair(): void {
    this.#words[this.#state + (PV_KERNEL_SPACE >> 2)] = 0;
    this.#words[this.#state + (PV_USER_SPACE >> 2)] = 0;
  }

  get #current(): number {
    return (this.dataTlb - this.#base) / ADDRESS_SPACE_BYTES;
  }

  #empty(slot: number): void {
    this.#clear(slot);
    this.#stale[slot] = 0;
    this.flushes++;
  }
  #clear(slot: number): void {
    const start = this.#base + slot * ADDRESS_SPACE_BYTES;
    const code = start + TLB_BYTES;
    this.#memory.linear.fill(0, start, code);
    this.#forget(start >> 2, 0);
    this.#memory.linear.fill(CODE_TLB_EMPTY, code, start + ADDRESS_SPACE_BYTES);
  }
  /** The data entry of this index, whose word index is given, says nothing any more. */
  #forget(entry: number, index: number): void {
    const words = this.#words;
    const tag = emptyTag(index);
    for (const place of [TLB_READ >> 2, TLB_WRITE >> 2]) {
      words[entry + place] = tag;
      words[entry + place + 1] = tag >> 31;
    }
  }

  /** The slot used last of those whose root has the same upper half as `root`: the same tables for the kernel's addresses. 0: none. */
  #likeIn(root: number): number {
    let found = 0;
    for (let slot = 1; slot < SLOTS; slot++) {
      const other = this.#keys[slot]!;
      if (other === -1 || this.#stale[slot] || (found !== 0 && this.#lastUse[slot]! < this.#lastUse[found]!)) continue;
      if (this.#sharesUpperHalf(root, other)) found = slot;
    }
    return found;
  }

  #sharesUpperHalf(a: number, b: number): boolean {
    const { u32 } = this.#memory;
    for (let at = PAGE_SIZE / 2; at < PAGE_SIZE; at += 8) {
      const [i, j] = [(a + at) >>> 2, (b + at) >>> 2];
      if ((u32[i]! ^ u32[j]!) & ~ACCESSED_DIRTY || u32[i + 1] !== u32[j + 1]) return false;
    }
    return true;
  }

  /** The translations of the upper half of another slot, and no others. */
  #inherit(slot: number, from: number): void {
    const base = this.#base + slot * ADDRESS_SPACE_BYTES;
    const source = this.#base + from * ADDRESS_SPACE_BYTES;
    this.#memory.linear.copyWithin(base, source, source + ADDRESS_SPACE_BYTES);
    const words = this.#words;
    const code = (base + TLB_BYTES) >> 2;
    const end = (base + ADDRESS_SPACE_BYTES) >> 2;
    // Addresses of the upper half are negative, and their tags positive.
    for (let entry = base >> 2, index = 0; entry < code; entry += 1 << (TLB_ENTRY_SHIFT - 2), index++) {
      const low = words[entry + (TLB_READ >> 2)]!;
      const high = words[entry + (TLB_READ >> 2) + 1]!;
      if (high < 0 || (high | low) === 0) this.#forget(entry, index);
    }
    for (let entry = code; entry < end; entry += 1 << (CODE_TLB_ENTRY_SHIFT - 2)) {
      if (words[entry + (CODE_TLB_TAG >> 2) + 1]! >= 0) words[entry + (CODE_TLB_TAG >> 2)] = -1;
    }
    this.#stale[slot] = 0;
    this.flushes++;
  }

  flushCurrent(): void {
    this.#empty(this.#current);
  }

  /** The other slots are emptied when they are next selected. */
  flushAll(): void {
    this.#stale.fill(1, 1);
    this.#forgetPair();
    this.flushCurrent();
  }

  /** Forgets all kept translations of `key`, which may never come back: its slot is the first to be taken for another. */
  drop(key: number): void {
    const slot = this.#slotOf.get(key);
    if (slot === undefined) return;
    if (slot === this.#current) {
      this.flushCurrent();
      return;
    }
    this.#slotOf.delete(key);
    this.#keys[slot] = -1;
    this.#lastUse[slot] = 0;
    this.#stale[slot] = 1;
    this.#forgetPair();
  }

  /** Forgets one page (given by the low half of its address) in every slot that isn't to be emptied anyway. */
  invalidatePage(vaLow: number): void {
    const words = this.#words;
    const page = vaLow >>> 12;
    const index = page & (TLB_ENTRIES - 1);
    const data = (index << TLB_ENTRY_SHIFT) >> 2;
    const code = (TLB_BYTES + ((page & (CODE_TLB_ENTRIES - 1)) << CODE_TLB_ENTRY_SHIFT)) >> 2;
    // The low half of a code tag can't be -1: it's a page address.
    for (let slot = 1; slot < SLOTS; slot++) {
      if (this.#stale[slot]) continue;
      const start = (this.#base + slot * ADDRESS_SPACE_BYTES) >> 2;
      this.#forget(start + data, index);
      words[start + code + (CODE_TLB_TAG >> 2)] = -1;
    }
  }

  /** Enters a translation of the current slot: page address halves, machine page, and whether writes hit. */
  fill(vaLow: number, vaHigh: number, machinePage: number, writable: boolean): void {
    const words = this.#words;
    const index = (vaLow >>> 12) & (TLB_ENTRIES - 1);
    if (writable) this.#memory.frameWriters[machinePage / PAGE_SIZE]! |= 1 << (index >> TLB_PART_SHIFT);
    const entry = (this.dataTlb + (index << TLB_ENTRY_SHIFT)) >> 2;
    const page = vaLow & ~0xfff;
    const low = -page;
    const high = page === 0 ? -vaHigh : ~vaHigh;
    const empty = emptyTag(index);
    words[entry + (TLB_READ >> 2)] = low;
    words[entry + (TLB_READ >> 2) + 1] = high;
    words[entry + (TLB_WRITE >> 2)] = writable ? low : empty;
    words[entry + (TLB_WRITE >> 2) + 1] = writable ? high : empty >> 31;
    words[entry + (TLB_LINEAR >> 2)] = this.#memory.ramBase + machinePage - page;
  }

  /** Enters the record table of a page for one code mode. */
  fillCode(vaLow: number, vaHigh: number, table: number, mode: number): void {
    const words = this.#words;
    const entry = (this.codeTlb + (((vaLow >>> 12) & (CODE_TLB_ENTRIES - 1)) << CODE_TLB_ENTRY_SHIFT)) >> 2;
    words[entry + (CODE_TLB_TAG >> 2)] = (vaLow & ~0xfff) | mode;
    words[entry + (CODE_TLB_TAG >> 2) + 1] = vaHigh;
    words[entry + (CODE_TLB_PAGE >> 2)] = table;
  }

  /** Takes away write hits on `count` frames in some parts of the TLBs (as in MachineMemory.frameWriters, which the caller clears). */
  protectFrames(frame: number, count: number, parts: number): void {
    const words = this.#words;
    const step = 1 << (TLB_ENTRY_SHIFT - 2);
    const partWords = step << TLB_PART_SHIFT;
    const linear = (this.#memory.ramBase + frame * PAGE_SIZE) | 0;
    const bytes = count * PAGE_SIZE;
    for (let slot = 1; slot < SLOTS; slot++) {
      if (this.#keys[slot] === -1 || this.#stale[slot]) continue;
      const start = (this.#base + slot * ADDRESS_SPACE_BYTES) >> 2;
      for (let left = parts; left !== 0; left &= left - 1) {
        const first = start + (31 - Math.clz32(left & -left)) * partWords;
        for (let entry = first; entry < first + partWords; entry += step) {
          const page = words[entry + (TLB_LINEAR >> 2)]! - words[entry + (TLB_WRITE >> 2)]!;
          if ((page - linear) >>> 0 >= bytes) continue;
          const tag = emptyTag((entry - start) / step);
          words[entry + (TLB_WRITE >> 2)] = tag;
          words[entry + (TLB_WRITE >> 2) + 1] = tag >> 31;
        }
      }
    }
  }
}
