// Writes the bootstrap page tables of a PV domain into its frames. They are plain data until the root is pinned: then the frame
// table checks them like any guest's tables. Frames are taken from the table area in Xen's order: the root, then for each address
// what is missing, lowest level first (Linux gives back the root's page only, because its L3 and L2 don't follow it).

import type { MachineMemory } from "../../mmu/machine-memory.js";
import {
  PTE_A,
  PTE_D,
  PTE_HIGH_GUEST_KERNEL,
  PTE_P,
  PTE_RW,
  PTE_SIZE,
  PTE_US,
  PTES_PER_PAGE,
  pteFrame,
} from "../pte.js";

const TABLE_FLAGS = PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D;
const LEAF_FLAGS = PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D;

/** Steps from the root to a level-1 table. */
const LEAF_DEPTH = 3;

/** Where the entry for a page (its number in virtual memory) lies in a table so many steps from the root. */
function slotAddress(frame: number, page: number, depth: number): number {
  const slot = Math.floor(page / PTES_PER_PAGE ** (LEAF_DEPTH - depth)) % PTES_PER_PAGE;
  return frame * 4096 + slot * PTE_SIZE;
}

export class BootstrapTables {
  readonly #memory: MachineMemory;
  readonly #root: number;

  constructor(memory: MachineMemory, rootMfn: number) {
    this.#memory = memory;
    this.#root = rootMfn;
  }

  /** Maps the pages from `va` on to these frames; `newTable` supplies zeroed frames for missing tables. */
  map(va: bigint, mfns: ArrayLike<number>, isWritable: (index: number) => boolean, newTable: () => number): void {
    const first = Number((va >> 12n) & 0xf_ffff_ffffn);
    let table = -1;
    for (let i = 0; i < mfns.length; i++) {
      const page = first + i;
      if (table < 0 || page % PTES_PER_PAGE === 0) table = this.#leafTable(page, newTable);
      const flags = isWritable(i) ? LEAF_FLAGS : LEAF_FLAGS & ~(PTE_RW | PTE_D);
      this.#write(slotAddress(table, page, LEAF_DEPTH), mfns[i]!, flags, PTE_HIGH_GUEST_KERNEL);
    }
  }

  /** The level-1 table of a page, made with what leads to it where it's missing. */
  #leafTable(page: number, newTable: () => number): number {
    let table = this.#root;
    let depth = 0;
    for (; depth < LEAF_DEPTH; depth++) {
      const at = slotAddress(table, page, depth);
      const low = this.#memory.readU32(at);
      if (!(low & PTE_P)) break;
      table = pteFrame(low, this.#memory.readU32(at + 4));
    }
    const missing = Array.from({ length: LEAF_DEPTH - depth }, newTable).reverse();
    for (const frame of missing) {
      this.#write(slotAddress(table, page, depth++), frame, TABLE_FLAGS, 0);
      table = frame;
    }
    return table;
  }

  #write(at: number, mfn: number, low: number, high: number): void {
    this.#memory.writeU32(at, ((mfn << 12) | low) >>> 0);
    this.#memory.writeU32(at + 4, (high | (mfn >>> 20)) >>> 0);
  }
}
