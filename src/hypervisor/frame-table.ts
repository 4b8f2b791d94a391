// The frame table: what Xen knows about each machine frame, and the rules that keep domains apart.
//
// A frame has an owner, one type, a type count and a reference count.
//  * References say that somebody may still reach the frame; it goes back to the allocator when the last one is put. The flag
//    Allocated stands for one of them: it is the domain's own claim, given up by decrease_reservation or at the domain's death.
//  * The type says what the frame is used as. It can only change while its count is 0, so a frame cannot be a page table (or a
//    descriptor page) and mapped writable at once: a writable mapping holds the type Writable, a table link the type L1..L4.
//  * A page table or descriptor frame is validated when its count leaves 0 and invalidated when it comes back to 0. While
//    validated, its contents obey the rules (page-types.ts), and only the hypervisor changes them.
//  * Every present leaf entry holds one reference, a writable one also a type reference (Writable); every table entry holds a
//    reference and a type reference of the level below; a pin holds one of both. Removing the entry gives back exactly these.
// Sources: xen/xen.h (mmu_update, mmuext_op) and the published descriptions of Xen's page types.

import type { MachineMemory } from "../mmu/machine-memory.js";
import { FrameAllocator } from "./frame-allocator.js";

export const FrameType = { None: 0, L1: 1, L2: 2, L3: 3, L4: 4, SegDesc: 5, Shared: 6, Writable: 7 } as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export const FrameFlag = {
  /** The owner's own claim, counted as one reference. */
  Allocated: 1,
  /** Held in its page table type by MMUEXT_PIN_*_TABLE. */
  Pinned: 2,
  /** Contents were checked for the current type. */
  Validated: 4,
  /** A frame of the hypervisor that it shares with a domain (shared_info, grant table, M2P): never part of the domain's memory. */
  XenHeap: 8,
  /** Holds an earlier owner's data: zeroed before it is given out. */
  Dirty: 16,
} as const;

/** Owner ids outside the range of domains, xen/xen.h. */
export const OWNER_IO = 0x7ff1;
export const OWNER_XEN = 0x7ff2;
export const OWNER_NONE = 0x7ff4;

/** Where the table's arrays begin in its engine memory, in bytes for each frame: pv/gate-mmu.ts works on them. */
export const FrameTableOffset = { typeCounts: 0, referenceCounts: 4, owners: 8, types: 10, flags: 11 } as const;
const BYTES_A_FRAME = 12;

/** What the layers above do when a frame changes its nature. */
export interface FrameHooks {
  /** Checks the contents of a frame that becomes `type` (L1..L4, SegDesc) and takes the references it implies. */
  validate(mfn: number, type: FrameType): boolean;
  /** Gives back what `validate` and later updates took. */
  invalidate(mfn: number, type: FrameType): void;
  /** A frame that was mapped writable gets another type, or any frame another owner: no old translation may survive. */
  retype(mfn: number): void;
  /** A domain's frame returns to the allocator. */
  released(mfn: number, owner: number): void;
}

export class FrameTable {
  readonly frames: number;
  /** Linear address of the arrays. */
  readonly base: number;
  readonly allocator: FrameAllocator;
  readonly owners: Uint16Array;
  readonly types: Uint8Array;
  readonly typeCounts: Uint32Array;
  readonly referenceCounts: Uint32Array;
  readonly flags: Uint8Array;
  readonly #hooks: FrameHooks;
  readonly #zero: (mfn: number) => void;

  /** All frames start as I/O space, which is no RAM; `addRam` makes RAM of them. */
  constructor(memory: MachineMemory, hooks: FrameHooks) {
    const { frames } = memory;
    const { buffer } = memory.memory;
    this.frames = frames;
    this.base = memory.allocateEngine(frames * BYTES_A_FRAME);
    const at = (offset: number) => this.base + frames * offset;
    this.allocator = new FrameAllocator(frames);
    this.typeCounts = new Uint32Array(buffer, at(FrameTableOffset.typeCounts), frames);
    this.referenceCounts = new Uint32Array(buffer, at(FrameTableOffset.referenceCounts), frames);
    this.owners = new Uint16Array(buffer, at(FrameTableOffset.owners), frames).fill(OWNER_IO);
    this.types = new Uint8Array(buffer, at(FrameTableOffset.types), frames);
    this.flags = new Uint8Array(buffer, at(FrameTableOffset.flags), frames);
    this.#hooks = hooks;
    this.#zero = (mfn) => memory.fill(mfn * 4096, 4096);
  }

  addRam(first: number, count: number): void {
    this.owners.fill(OWNER_NONE, first, first + count);
    this.allocator.addRange(first, count);
  }

  /** Takes RAM for the hypervisor at start, without the allocator: frames that a privileged domain may map read-only (the M2P). */
  claimForXen(first: number, count: number): void {
    this.claimPrivate(first, count, OWNER_XEN);
    this.typeCounts.fill(1, first, first + count);
  }

  /** The same, for frames that nobody maps. `owner` is an id that no domain has. */
  claimPrivate(first: number, count: number, owner: number): void {
    this.owners.fill(owner, first, first + count);
    this.referenceCounts.fill(1, first, first + count);
    this.flags.fill(FrameFlag.Allocated | FrameFlag.XenHeap, first, first + count);
  }

  /** True for frames that have an entry here: RAM, in use or free. */
  isRam(mfn: number): boolean {
    return mfn < this.frames && this.owners[mfn] !== OWNER_IO;
  }

  ownerOf(mfn: number): number {
    return mfn < this.frames ? this.owners[mfn]! : OWNER_IO;
  }

  /** A zeroed aligned block of 2^order frames, each with the owner's claim; -1 when there is none below `limit`. */
  allocate(owner: number, order = 0, limit?: number): number {
    const first = this.allocator.allocate(order, limit);
    if (first < 0) return -1;
    for (let mfn = first; mfn < first + (1 << order); mfn++) {
      if (this.flags[mfn]! & FrameFlag.Dirty) this.#zero(mfn);
      this.owners[mfn] = owner;
      this.flags[mfn] = FrameFlag.Allocated;
      this.referenceCounts[mfn] = 1;
      this.types[mfn] = FrameType.None;
      this.typeCounts[mfn] = 0;
    }
    return first;
  }

  /** Takes a reference when the frame is in use and belongs to `owner`. */
  getPage(mfn: number, owner: number): boolean {
    if (!this.isHeldBy(mfn, owner)) return false;
    this.referenceCounts[mfn] = this.referenceCounts[mfn]! + 1;
    return true;
  }

  putPage(mfn: number): void {
    const count = this.referenceCounts[mfn]! - 1;
    if (count < 0) throw new Error(`frame ${mfn.toString(16)}: reference put twice`);
    this.referenceCounts[mfn] = count;
    if (count === 0) this.#release(mfn);
  }

  /** Takes a type reference; the caller holds a reference. False when the frame is in use as another type or isn't valid as this one. */
  getPageType(mfn: number, type: FrameType): boolean {
    const count = this.typeCounts[mfn]!;
    if (count === 0) {
      if (this.types[mfn] !== type) {
        if (this.types[mfn] === FrameType.Writable) this.#hooks.retype(mfn);
        this.types[mfn] = type;
      }
      if (type === FrameType.None || type >= FrameType.Shared) {
        this.typeCounts[mfn] = 1;
        return true;
      }
      this.typeCounts[mfn] = 1;
      if (this.#hooks.validate(mfn, type)) {
        this.flags[mfn] = this.flags[mfn]! | FrameFlag.Validated;
        return true;
      }
      this.typeCounts[mfn] = 0;
      this.types[mfn] = FrameType.None;
      return false;
    }
    if (this.types[mfn] !== type) return false;
    // Being validated right now, further up the recursion: a loop of tables, which only linear mappings may form.
    if (type !== FrameType.None && type < FrameType.Shared && !(this.flags[mfn]! & FrameFlag.Validated)) return false;
    this.typeCounts[mfn] = count + 1;
    return true;
  }

  putPageType(mfn: number): void {
    const count = this.typeCounts[mfn]! - 1;
    if (count < 0) throw new Error(`frame ${mfn.toString(16)}: type reference put twice`);
    if (count === 0 && this.flags[mfn]! & FrameFlag.Validated) {
      // Still counted while it is being taken apart, so that nothing can retype it meanwhile.
      this.flags[mfn] = this.flags[mfn]! & ~FrameFlag.Validated;
      this.#hooks.invalidate(mfn, this.types[mfn]! as FrameType);
    }
    this.typeCounts[mfn] = count;
  }

  getPageAndType(mfn: number, owner: number, type: FrameType): boolean {
    if (!this.getPage(mfn, owner)) return false;
    if (this.getPageType(mfn, type)) return true;
    this.putPage(mfn);
    return false;
  }

  putPageAndType(mfn: number): void {
    this.putPageType(mfn);
    this.putPage(mfn);
  }

  /** What `getPage` would answer: for who is done with the frame before the guest runs again. */
  isHeldBy(mfn: number, owner: number): boolean {
    return mfn < this.frames && this.owners[mfn] === owner && this.referenceCounts[mfn] !== 0;
  }
  /** The same of `getPageAndType` as writable, which the frame becomes where it can. */
  isWritableBy(mfn: number, owner: number): boolean {
    if (!this.isHeldBy(mfn, owner)) return false;
    if (this.types[mfn] === FrameType.Writable && this.typeCounts[mfn] !== 0) return true;
    if (!this.getPageType(mfn, FrameType.Writable)) return false;
    this.putPageType(mfn);
    return true;
  }

  /** True while the frame counts as a checked page table of that level. */
  isValidated(mfn: number, type: FrameType): boolean {
    return this.types[mfn] === type && this.typeCounts[mfn]! > 0 && (this.flags[mfn]! & FrameFlag.Validated) !== 0;
  }

  /** Gives up the owner's claim. False when it was given up before. */
  dropClaim(mfn: number): boolean {
    if (!(this.flags[mfn]! & FrameFlag.Allocated)) return false;
    this.flags[mfn] = this.flags[mfn]! & ~FrameFlag.Allocated;
    this.putPage(mfn);
    return true;
  }

  /** Makes a frame another domain's, contents and claim included. The caller has checked that the claim is its only reference. */
  giveTo(mfn: number, owner: number): void {
    this.#hooks.retype(mfn);
    this.owners[mfn] = owner;
    this.types[mfn] = FrameType.None;
  }

  #release(mfn: number): void {
    const owner = this.owners[mfn]!;
    this.#hooks.retype(mfn);
    const xenHeap = (this.flags[mfn]! & FrameFlag.XenHeap) !== 0;
    this.owners[mfn] = OWNER_NONE;
    this.types[mfn] = FrameType.None;
    this.flags[mfn] = FrameFlag.Dirty;
    if (!xenHeap) this.#hooks.released(mfn, owner);
    this.allocator.free(mfn, 0);
  }
}
