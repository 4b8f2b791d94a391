// Validation of page tables: what an entry may say, which references it holds, and every change of a validated table.
// Used by mmu_update, mmuext_op, update_va_mapping, emulated writes (pv/ptwr.ts), grants and the domain builder; nobody else
// writes into a frame of type L1..L4. See frame-table.ts for the rules, tlb-sync.ts for what changes do to translations.
//
// An entry of level 2..4 names a table of the level below, or (linear page table) read-only a table of its own level: itself,
// which holds no reference, or another one. Linear links don't chain: a table that others link to so may not do it itself.
// A leaf entry may name a frame of the domain given (its own, or for a privileged caller another's), or permitted I/O space.

import type { MachineMemory } from "../mmu/machine-memory.js";
import { type FrameTable, FrameType, OWNER_IO } from "./frame-table.js";
import {
  isGuestSlot,
  PTE_A,
  PTE_D,
  PTE_G,
  PTE_HIGH_BEYOND,
  PTE_HIGH_GUEST_KERNEL,
  PTE_HIGH_NX,
  PTE_P,
  PTE_RW,
  PTE_SIZE,
  PTE_US,
  PTES_PER_PAGE,
  pteFrame,
  SAME_REFERENCES_HIGH,
  SAME_REFERENCES_LOW,
  TABLE_DISALLOWED,
} from "./pte.js";
import { errno } from "./public/errno.js";
import { TableLinks } from "./table-links.js";
import type { TlbSync } from "./tlb-sync.js";

/** The domain that owns a page table, as far as page tables need it. */
export interface TableSpace {
  readonly id: number;
  readonly tlb: TlbSync;
  /** May this domain map a machine frame that is no RAM? */
  iomemPermitted(mfn: number): boolean;
}

export class PageTypes {
  /** Checks, and where allowed corrects, the 512 descriptors of a frame that becomes SegDesc (pv/descriptors.ts). */
  segmentValidator: (mfn: number) => boolean = () => false;
  /** A read-only mapping of a descriptor frame went away: cached LDT pages of the domain must let go of it. */
  segmentUnmapped: (owner: number) => void = () => {};

  readonly #memory: MachineMemory;
  readonly #frames: FrameTable;
  readonly #spaceOf: (owner: number) => TableSpace | undefined;
  readonly #fillXenSlots: (l4: number) => void;
  readonly #links: TableLinks;
  /** Linear links: positive, how often others link to this table; negative, how many linear links it holds. */
  readonly #linear = new Map<number, number>();
  #linearEntries = 0;

  constructor(
    memory: MachineMemory,
    frames: FrameTable,
    spaceOf: (owner: number) => TableSpace | undefined,
    fillXenSlots: (l4: number) => void,
  ) {
    this.#memory = memory;
    this.#frames = frames;
    this.#spaceOf = spaceOf;
    this.#fillXenSlots = fillXenSlots;
    this.#links = new TableLinks(frames.frames);
  }

  /** FrameHooks.validate */
  validate(mfn: number, type: FrameType): boolean {
    if (type === FrameType.SegDesc) return this.segmentValidator(mfn);
    const space = this.#spaceOf(this.#frames.ownerOf(mfn));
    if (space === undefined) return false;
    const base = mfn * 4096;
    for (let slot = 0; slot < PTES_PER_PAGE; slot++) {
      const at = base + slot * PTE_SIZE;
      const low = this.#memory.u32[at >>> 2]!;
      if (!(low & PTE_P) || !isGuestSlot(type, slot)) continue;
      const high = this.#memory.u32[(at >>> 2) + 1]!;
      const error =
        type === FrameType.L1
          ? this.#getLeaf(low, high, space, space.id)
          : this.#getTable(type, mfn, slot, low, high, space);
      if (error !== 0) {
        this.#putEntries(mfn, type, slot);
        return false;
      }
      this.#store(at, type, low, high);
    }
    if (type === FrameType.L4) this.#fillXenSlots(mfn);
    return true;
  }

  /** FrameHooks.invalidate */
  invalidate(mfn: number, type: FrameType): void {
    if (type === FrameType.SegDesc) return;
    if (type === FrameType.L4) this.#spaceOf(this.#frames.ownerOf(mfn))?.tlb.dropRoot(mfn);
    this.#putEntries(mfn, type, PTES_PER_PAGE);
  }

  /**
   * Changes one entry of a validated table.
   * @param space the table's owner. @param target owner of the frames that a leaf entry may name.
   * @param preserveAd keep the accessed and dirty bits that are in the entry.
   * @returns 0 or a negative errno; on error nothing has changed.
   */
  modify(
    table: number,
    slot: number,
    newLow: number,
    newHigh: number,
    space: TableSpace,
    target: number,
    preserveAd: boolean,
  ): number {
    const level = this.#frames.types[table]!;
    if (level < FrameType.L1 || level > FrameType.L4 || !this.#frames.isValidated(table, level as FrameType))
      return -errno.EINVAL;
    if (!isGuestSlot(level, slot)) return -errno.EINVAL;
    const at = table * 4096 + slot * PTE_SIZE;
    const oldLow = this.#memory.u32[at >>> 2]!;
    const oldHigh = this.#memory.u32[(at >>> 2) + 1]!;
    let low = newLow;
    if (preserveAd) low = (low & ~(PTE_A | PTE_D)) | (oldLow & (PTE_A | PTE_D));

    if (low & PTE_P) {
      const sameReferences =
        oldLow & PTE_P &&
        ((low ^ oldLow) & ~SAME_REFERENCES_LOW) === 0 &&
        ((newHigh ^ oldHigh) & ~SAME_REFERENCES_HIGH) === 0;
      if (sameReferences) {
        if (level !== FrameType.L1 && low & TABLE_DISALLOWED) return -errno.EINVAL;
        this.#store(at, level, low, newHigh);
        this.#dropTranslations(level, table, slot, space, oldLow, oldHigh, low, newHigh);
        return 0;
      }
      const error =
        level === FrameType.L1
          ? this.#getLeaf(low, newHigh, space, target)
          : this.#getTable(level, table, slot, low, newHigh, space);
      if (error !== 0) return error;
    }
    this.#store(at, level, low, newHigh);
    if (oldLow & PTE_P) {
      this.#dropTranslations(level, table, slot, space, oldLow, oldHigh, low, newHigh);
      if (level === FrameType.L1) this.#putLeaf(oldLow, oldHigh, space.id);
      else this.#putTable(level, table, slot, oldLow, oldHigh);
    }
    return 0;
  }

  /**
   * Puts a grant mapping into a level-1 entry. The caller holds a reference of the frame, and a Writable one when the entry is
   * writable; the entry takes both over. @returns 0 or -errno (nothing changed, references still the caller's).
   */
  installGrantEntry(space: TableSpace, slotAddress: number, entry: bigint): number {
    const table = Math.floor(slotAddress / 4096);
    if (slotAddress % PTE_SIZE !== 0 || !this.#isTableOf(table, space)) return -errno.EINVAL;
    const slot = (slotAddress % 4096) / PTE_SIZE;
    const oldLow = this.#memory.u32[slotAddress >>> 2]!;
    const oldHigh = this.#memory.u32[(slotAddress >>> 2) + 1]!;
    const low = Number(entry & 0xffff_ffffn);
    const high = Number(entry >> 32n);
    this.#store(slotAddress, FrameType.L1, low, high);
    if (oldLow & PTE_P) {
      this.#dropTranslations(FrameType.L1, table, slot, space, oldLow, oldHigh, low, high);
      this.#putLeaf(oldLow, oldHigh, space.id);
    }
    return 0;
  }

  /**
   * Removes a grant mapping of `mfn`; the entry's references go back to the caller.
   * @param entry what the entry becomes: must not be present. @returns 0, or -errno when the entry isn't that mapping: the guest
   * may have changed it, also in what it allows, and then it holds other references.
   */
  removeGrantEntry(space: TableSpace, slotAddress: number, mfn: number, isReadonly: boolean, entry = 0n): number {
    const table = Math.floor(slotAddress / 4096);
    if (slotAddress % PTE_SIZE !== 0 || !this.#isTableOf(table, space) || entry & 1n) return -errno.EINVAL;
    const oldLow = this.#memory.u32[slotAddress >>> 2]!;
    const oldHigh = this.#memory.u32[(slotAddress >>> 2) + 1]!;
    if (!(oldLow & PTE_P) || pteFrame(oldLow, oldHigh) !== mfn) return -errno.EINVAL;
    if (((oldLow & PTE_RW) === 0) !== isReadonly) return -errno.EINVAL;
    const slot = (slotAddress % 4096) / PTE_SIZE;
    this.#store(slotAddress, FrameType.L1, Number(entry & 0xffff_ffffn), Number(entry >> 32n));
    this.#dropTranslations(FrameType.L1, table, slot, space, oldLow, oldHigh, 0, 0);
    return 0;
  }

  #isTableOf(table: number, space: TableSpace): boolean {
    return this.#frames.ownerOf(table) === space.id && this.#frames.isValidated(table, FrameType.L1);
  }

  #getLeaf(low: number, high: number, space: TableSpace, target: number): number {
    if (high & PTE_HIGH_BEYOND) return -errno.EINVAL;
    const mfn = pteFrame(low, high);
    const frames = this.#frames;
    if (!frames.isRam(mfn)) {
      if (target !== space.id && target !== OWNER_IO) return -errno.EPERM;
      return space.iomemPermitted(mfn) ? 0 : -errno.EPERM;
    }
    if (!frames.getPage(mfn, target)) return -errno.EBUSY;
    if (low & PTE_RW && !frames.getPageType(mfn, FrameType.Writable)) {
      frames.putPage(mfn);
      return -errno.EBUSY;
    }
    return 0;
  }

  #putLeaf(low: number, high: number, owner: number): void {
    const mfn = pteFrame(low, high);
    const frames = this.#frames;
    if (!frames.isRam(mfn)) return;
    if (low & PTE_RW) {
      frames.putPageAndType(mfn);
      return;
    }
    if (frames.types[mfn] === FrameType.SegDesc && frames.typeCounts[mfn]! > 0) this.segmentUnmapped(owner);
    frames.putPage(mfn);
  }

  #getTable(level: number, table: number, slot: number, low: number, high: number, space: TableSpace): number {
    if (low & TABLE_DISALLOWED || high & PTE_HIGH_BEYOND) return -errno.EINVAL;
    const child = pteFrame(low, high);
    if (this.#frames.getPageAndType(child, space.id, (level - 1) as FrameType)) {
      this.#links.add(child, table, level === FrameType.L4, slot);
      return 0;
    }
    return this.#getLinear(level, table, child, low, space) ? 0 : -errno.EINVAL;
  }

  #getLinear(level: number, table: number, child: number, low: number, space: TableSpace): boolean {
    if (low & PTE_RW) return false;
    if (child !== table) {
      const frames = this.#frames;
      const tableLinks = this.#linear.get(table) ?? 0;
      const childLinks = this.#linear.get(child) ?? 0;
      if (tableLinks > 0 || childLinks < 0 || !frames.isRam(child) || !frames.isValidated(child, level as FrameType))
        return false;
      if (!frames.getPageAndType(child, space.id, level as FrameType)) return false;
      this.#setLinear(table, tableLinks - 1);
      this.#setLinear(child, childLinks + 1);
    }
    this.#linearEntries++;
    return true;
  }

  #putTable(level: number, table: number, slot: number, low: number, high: number): void {
    const child = pteFrame(low, high);
    if (this.#frames.types[child] !== level) {
      this.#links.remove(child, table, level === FrameType.L4, slot);
      this.#frames.putPageAndType(child);
      return;
    }
    this.#linearEntries--;
    if (child === table) return;
    this.#setLinear(table, (this.#linear.get(table) ?? 0) + 1);
    this.#setLinear(child, (this.#linear.get(child) ?? 0) - 1);
    this.#frames.putPageAndType(child);
  }

  #setLinear(table: number, count: number): void {
    if (count === 0) this.#linear.delete(table);
    else this.#linear.set(table, count);
  }

  /** Gives back what entries [0, end) hold. */
  #putEntries(table: number, level: FrameType, end: number): void {
    const owner = this.#frames.ownerOf(table);
    const base = (table * 4096) >>> 2;
    for (let slot = 0; slot < end; slot++) {
      const low = this.#memory.u32[base + slot * 2]!;
      if (!(low & PTE_P) || !isGuestSlot(level, slot)) continue;
      const high = this.#memory.u32[base + slot * 2 + 1]!;
      if (level === FrameType.L1) this.#putLeaf(low, high, owner);
      else this.#putTable(level, table, slot, low, high);
    }
  }

  /** Writes an entry with the bits that Xen adds: U/S everywhere, in leaves bit 52 for kernel pages and G for user pages. */
  #store(at: number, level: number, low: number, high: number): void {
    let newLow = low;
    let newHigh = high;
    if (low & PTE_P) {
      if (level !== FrameType.L1) newLow |= PTE_US;
      else if (!(low & PTE_US)) {
        newLow |= PTE_US;
        newHigh |= PTE_HIGH_GUEST_KERNEL;
      } else if (!(high & PTE_HIGH_GUEST_KERNEL)) newLow |= PTE_G;
    }
    const index = at >>> 2;
    if (this.#memory.u32[index + 1] !== newHigh >>> 0) this.#memory.writeU32(at + 4, newHigh);
    if (this.#memory.u32[index] !== newLow >>> 0) this.#memory.writeU32(at, newLow);
  }

  #isEmpty(table: number): boolean {
    const first = (table * 4096) >>> 2;
    for (let i = first; i < first + 2 * PTES_PER_PAGE; i += 2) if (this.#memory.u32[i]! & PTE_P) return false;
    return true;
  }

  #dropTranslations(
    level: number,
    table: number,
    slot: number,
    space: TableSpace,
    oldLow: number,
    oldHigh: number,
    low: number,
    high: number,
  ): void {
    const lost = oldLow & ~low & (PTE_P | PTE_RW | PTE_A | PTE_D);
    const newlyNx = ~oldHigh & high & PTE_HIGH_NX;
    if (lost === 0 && newlyNx === 0 && pteFrame(oldLow, oldHigh) === pteFrame(low, high)) return;
    if (this.#linearEntries > 0) space.tlb.markDirty();
    else if (level !== FrameType.L1) {
      // Each change of what a table held was seen to when it came: an empty one serves no address.
      if (!this.#isEmpty(pteFrame(oldLow, oldHigh))) space.tlb.markDirty();
    } else if (!this.#links.addresses(table, slot, (page) => space.tlb.invalidate(page))) space.tlb.markDirty();
  }
}
