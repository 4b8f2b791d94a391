// Writes the bootstrap page tables of a PV domain into its frames. They are plain data until the root is pinned: then the frame
// table checks them like any guest's tables. Frames are taken from the table area in Xen's order: the root, then for each address
// what is missing, lowest level first (Linux gives back the root's page only, because its L3 and L2 don't follow it).

import type { MachineMemory } from "../../mmu/machine-memory.js";
import { PTE_A, PTE_D, PTE_HIGH_GUEST_KERNEL, PTE_P, PTE_RW, PTE_US, pteFrame } from "../pte.js";

const TABLE_FLAGS = PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D;
const LEAF_FLAGS = PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D;

/** Pages below one entry of L4, L3, L2. */
const LEVEL_PAGES = [2 ** 27, 2 ** 18, 2 ** 9];

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
    let table = this.#root;
    let at = 0;
    let missing = 0;
    for (const size of LEVEL_PAGES) {
      at = table * 4096 + (Math.floor(page / size) % 512) * 8;
      const low = this.#memory.readU32(at);
      if (!(low & PTE_P)) {
        missing = LEVEL_PAGES.indexOf(size);
        break;
      }
      table = pteFrame(low, this.#memory.readU32(at + 4));
      missing = LEVEL_PAGES.length;
    }
    const fresh = Array.from({ length: LEVEL_PAGES.length - missing }, newTable).reverse();
    for (const [i, frame] of fresh.entries()) {
      this.#write(at, frame, TABLE_FLAGS, 0);
      table = frame;
      at = table * 4096 + (Math.floor(page / (LEVEL_PAGES[missing + i + 1] ?? 1)) % 512) * 8;
    }
    const flags = writable ? LEAF_FLAGS : LEAF_FLAGS & ~(PTE_RW | PTE_D);
    this.#write(table * 4096 + (page % 512) * 8, mfn, flags, PTE_HIGH_GUEST_KERNEL);
  }

  #write(at: number, mfn: number, low: number, high: number): void {
    this.#memory.writeU32(at, ((mfn << 12) | low) >>> 0);
    this.#memory.writeU32(at + 4, (high | (mfn >>> 20)) >>> 0);
  }
}
