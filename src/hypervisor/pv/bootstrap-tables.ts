// Writes the bootstrap page tables of a PV domain into its frames. They are plain data until the root is pinned: then the frame
// table checks them like any guest's tables. Frames are taken from the table area in Xen's order: the root, then for each address
// what is missing, lowest level first (Linux gives back the root's page only, because its L3 and L2 don't follow it).

import type { MachineMemory } from "../../mmu/machine-memory.js";
import { PTE_A, PTE_D, PTE_HIGH_GUEST_KERNEL, PTE_P, PTE_RW, PTE_US, pteFrame } from "../pte.js";

const TABLE_FLAGS = PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D;
const LEAF_FLAGS = PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D;

/** Steps from the root to a level-1 table. */
const LEAF_DEPTH = 3;

export class BootstrapTables {
  readonly #memory: MachineMemory;
  readonly #root: number;

  constructor(memory: MachineMemory, rootMfn: number) {
    this.#memory = memory;
    this.#root = rootMfn;
  }

  /** Maps the page at `va`; `newTable` supplies zeroed frames for missing tables. */
  map(va: bigint, mfn: number, writable: boolean, newTable: () => number): void {
    const page = Number((va >> 12n) & 0xf_ffff_ffffn);
    const slotAddress = (frame: number, depth: number) =>
      frame * 4096 + (Math.floor(page / 512 ** (LEAF_DEPTH - depth)) % 512) * 8;
    let table = this.#root;
    let depth = 0;
    for (; depth < LEAF_DEPTH; depth++) {
      const at = slotAddress(table, depth);
      const low = this.#memory.readU32(at);
      if (!(low & PTE_P)) break;
      table = pteFrame(low, this.#memory.readU32(at + 4));
    }
    const missing = Array.from({ length: LEAF_DEPTH - depth }, newTable).reverse();
    for (const frame of missing) {
      this.#write(slotAddress(table, depth++), frame, TABLE_FLAGS, 0);
      table = frame;
    }
    const flags = writable ? LEAF_FLAGS : LEAF_FLAGS & ~(PTE_RW | PTE_D);
    this.#write(slotAddress(table, LEAF_DEPTH), mfn, flags, PTE_HIGH_GUEST_KERNEL);
  }

  #write(at: number, mfn: number, low: number, high: number): void {
    this.#memory.writeU32(at, ((mfn << 12) | low) >>> 0);
    this.#memory.writeU32(at + 4, (high | (mfn >>> 20)) >>> 0);
  }
}
