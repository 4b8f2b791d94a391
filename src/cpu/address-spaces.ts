// The soft TLBs of one vCPU: a pool of arrays, one for each recently used page-table root and privilege, so that a switch back
// to a root finds its translations (ARCHITECTURE.md: PV page tables change only with the hypervisor's knowledge).
// Slot 0 is never filled: accesses that need checking one by one (alignment, data breakpoints) run on it.

import type { MachineMemory } from "../mmu/machine-memory.js";
import { FRAME_WRITE_CACHED, PAGE_SIZE } from "../mmu/machine-memory.js";
import {
  ADDRESS_SPACE_BYTES,
  CODE_TLB_ENTRIES,
  CODE_TLB_ENTRY_SHIFT,
  CODE_TLB_PAGE,
  CODE_TLB_TAG,
  TLB_BYTES,
  TLB_ENTRIES,
  TLB_ENTRY_SHIFT,
  TLB_LINEAR,
  TLB_READ,
  TLB_WRITE,
} from "./tlb-layout.js";

const SLOTS = 24;
/** Engine memory that the TLBs of one vCPU take. */
export const ADDRESS_SPACES_BYTES = SLOTS * ADDRESS_SPACE_BYTES;
const EMPTY = 0xff;

export class AddressSpaces {
  readonly #memory: MachineMemory;
  readonly #base: number;
  readonly #keys = new Float64Array(SLOTS).fill(-1);
  readonly #lastUse = new Float64Array(SLOTS);
  /** Slots to be emptied before they are used again. */
  readonly #stale = new Uint8Array(SLOTS);
  readonly #slotOf = new Map<number, number>();
  #clock = 0;
  #current = 1;
  flushes = 0;

  /** `base`: linear address of ADDRESS_SPACES_BYTES of engine memory. */
  constructor(memory: MachineMemory, base: number) {
    this.#memory = memory;
    this.#base = base;
    memory.linear.fill(EMPTY, base, base + ADDRESS_SPACES_BYTES);
  }

  /** Linear addresses of the data and code TLBs of the current slot. */
  get dataTlb(): number {
    return this.#base + this.#current * ADDRESS_SPACE_BYTES;
  }
  get codeTlb(): number {
    return this.dataTlb + TLB_BYTES;
  }
  /** A data TLB that never hits. */
  get emptyTlb(): number {
    return this.#base;
  }

  /** Makes the slot of `key` current, taking the least recently used one for a new key. */
  select(key: number): void {
    let slot = this.#slotOf.get(key);
    if (slot === undefined) {
      slot = 1;
      for (let i = 2; i < SLOTS; i++) if (this.#lastUse[i]! < this.#lastUse[slot]!) slot = i;
      this.#slotOf.delete(this.#keys[slot]!);
      this.#keys[slot] = key;
      this.#slotOf.set(key, slot);
      this.#empty(slot);
    } else if (this.#stale[slot]) this.#empty(slot);
    this.#lastUse[slot] = ++this.#clock;
    this.#current = slot;
  }

  #empty(slot: number): void {
    const start = this.#base + slot * ADDRESS_SPACE_BYTES;
    this.#memory.linear.fill(EMPTY, start, start + ADDRESS_SPACE_BYTES);
    this.#stale[slot] = 0;
    this.flushes++;
  }

  flushCurrent(): void {
    this.#empty(this.#current);
  }

  /** The other slots are emptied when they are next selected. */
  flushAll(): void {
    this.#stale.fill(1, 1);
    this.flushCurrent();
  }

  /** Forgets all kept translations of `key`. */
  drop(key: number): void {
    const slot = this.#slotOf.get(key);
    if (slot === undefined) return;
    if (slot === this.#current) this.flushCurrent();
    else this.#stale[slot] = 1;
  }

  /** Forgets one page (given by the halves of its address) in every slot. */
  invalidatePage(vaLow: number): void {
    const { linear } = this.#memory;
    const data = ((vaLow >>> 12) & (TLB_ENTRIES - 1)) << TLB_ENTRY_SHIFT;
    const code = TLB_BYTES + (((vaLow >>> 12) & (CODE_TLB_ENTRIES - 1)) << CODE_TLB_ENTRY_SHIFT);
    for (let slot = 1; slot < SLOTS; slot++) {
      const start = this.#base + slot * ADDRESS_SPACE_BYTES;
      linear.fill(EMPTY, start + data, start + data + 16);
      linear.fill(EMPTY, start + code, start + code + 8);
    }
  }

  /** Enters a translation of the current slot: page address halves, machine page, and whether writes hit. */
  fill(vaLow: number, vaHigh: number, machinePage: number, writable: boolean): void {
    const { view, ramBase } = this.#memory;
    if (writable) this.#memory.frameFlags[machinePage / PAGE_SIZE]! |= FRAME_WRITE_CACHED;
    const entry = this.dataTlb + (((vaLow >>> 12) & (TLB_ENTRIES - 1)) << TLB_ENTRY_SHIFT);
    const page = vaLow & ~0xfff;
    view.setInt32(entry + TLB_READ, page, true);
    view.setInt32(entry + TLB_READ + 4, vaHigh | 0, true);
    view.setInt32(entry + TLB_WRITE, writable ? page : -1, true);
    view.setInt32(entry + TLB_WRITE + 4, writable ? vaHigh | 0 : -1, true);
    view.setInt32(entry + TLB_LINEAR, (ramBase + machinePage - page) | 0, true);
  }

  /** Enters the record table of a page for one code mode. */
  fillCode(vaLow: number, vaHigh: number, table: number, mode: number): void {
    const { view } = this.#memory;
    const entry = this.codeTlb + (((vaLow >>> 12) & (CODE_TLB_ENTRIES - 1)) << CODE_TLB_ENTRY_SHIFT);
    view.setInt32(entry + CODE_TLB_TAG, (vaLow & ~0xfff) | mode, true);
    view.setInt32(entry + CODE_TLB_TAG + 4, vaHigh | 0, true);
    view.setUint32(entry + CODE_TLB_PAGE, table, true);
  }

  /** Takes away write hits on a frame that now holds code; the caller clears FRAME_WRITE_CACHED. */
  protectFrame(frame: number): void {
    const { view, ramBase } = this.#memory;
    const linear = (ramBase + frame * PAGE_SIZE) | 0;
    for (let slot = 1; slot < SLOTS; slot++) {
      if (this.#keys[slot] === -1 || this.#stale[slot]) continue;
      const start = this.#base + slot * ADDRESS_SPACE_BYTES;
      for (let entry = start; entry < start + TLB_BYTES; entry += 1 << TLB_ENTRY_SHIFT) {
        const page = view.getInt32(entry + TLB_WRITE, true);
        if (page === -1 || ((page + view.getInt32(entry + TLB_LINEAR, true)) | 0) !== linear) continue;
        view.setInt32(entry + TLB_WRITE, -1, true);
        view.setInt32(entry + TLB_WRITE + 4, -1, true);
      }
    }
  }
}
