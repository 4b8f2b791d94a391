// The machine-to-physical table (xen-x86_64.h: MACH2PHYS_VIRT_START): for each machine frame the pseudo-physical frame number
// that its owner calls it by. Guests read it at ffff800000000000 and change it through MMU_MACHPHYS_UPDATE only. Its frames and
// the tables that map it (read-only, no execute) belong to the hypervisor; each validated L4 links them at slot 256, and the
// other slots of the hypervisor's hole are kept empty.

import type { MachineMemory } from "../mmu/machine-memory.js";
import { FIRST_XEN_SLOT, LAST_XEN_SLOT, PTE_A, PTE_D, PTE_HIGH_NX, PTE_P, PTE_US } from "./pte.js";

/** What a frame without a pseudo-physical number has. */
export const INVALID_M2P_ENTRY = 0xffff_ffff_ffff_ffffn;

const ENTRIES_PER_FRAME = 512;
/** Frames of the table behind one entry of XENMEM_machphys_mfn_list: 2 MiB. */
const FRAMES_PER_EXTENT = 512;

export class MachineToPhys {
  readonly #memory: MachineMemory;
  readonly #firstFrame: number;
  readonly #l3: number;
  /** Frames of the table itself. */
  readonly tableFrames: number;

  /** Frames needed for the table and for what maps it. */
  static framesFor(machineFrames: number): { table: number; total: number } {
    const table = Math.ceil(machineFrames / ENTRIES_PER_FRAME);
    return { table, total: table + Math.ceil(table / 512) + 2 };
  }

  /** @param firstFrame the first of `framesFor(memory.frames).total` consecutive frames that are the hypervisor's. */
  constructor(memory: MachineMemory, firstFrame: number) {
    this.#memory = memory;
    this.#firstFrame = firstFrame;
    const { table, total } = MachineToPhys.framesFor(memory.frames);
    this.tableFrames = table;
    memory.fill(firstFrame * 4096, table * 4096, 0xff);
    memory.fill((firstFrame + table) * 4096, (total - table) * 4096, 0);
    const l1 = firstFrame + table;
    const l2 = firstFrame + total - 2;
    this.#l3 = firstFrame + total - 1;
    for (let i = 0; i < table; i++) this.#link(l1 * 4096 + i * 8, firstFrame + i, PTE_HIGH_NX);
    for (let i = 0; l1 + i < l2; i++) this.#link(l2 * 4096 + i * 8, l1 + i, 0);
    this.#link(this.#l3 * 4096, l2, 0);
  }

  set(mfn: number, pfn: bigint): void {
    this.#memory.writeU64(this.#firstFrame * 4096 + mfn * 8, pfn);
  }

  /** `set` where the number is one of ours: without a bigint for each frame of a domain. */
  setPfn(mfn: number, pfn: number): void {
    const at = this.#firstFrame * 4096 + mfn * 8;
    this.#memory.writeU32(at, pfn);
    this.#memory.writeU32(at + 4, 0);
  }

  get(mfn: number): bigint {
    return this.#memory.readU64(this.#firstFrame * 4096 + mfn * 8);
  }

  /** Writes the hypervisor's slots of an L4 table. */
  fillXenSlots(l4: number): void {
    const base = l4 * 4096;
    this.#link(base + FIRST_XEN_SLOT * 8, this.#l3, 0);
    this.#memory.fill(base + (FIRST_XEN_SLOT + 1) * 8, (LAST_XEN_SLOT - FIRST_XEN_SLOT) * 8, 0);
  }

  /** First frame of each 2 MiB of the table. */
  extents(): number[] {
    const count = Math.ceil(this.tableFrames / FRAMES_PER_EXTENT);
    return Array.from({ length: count }, (_, i) => this.#firstFrame + i * FRAMES_PER_EXTENT);
  }

  #link(at: number, mfn: number, high: number): void {
    this.#memory.writeU32(at, ((mfn << 12) | PTE_P | PTE_US | PTE_A | PTE_D) >>> 0);
    this.#memory.writeU32(at + 4, high | (mfn >>> 20));
  }
}
