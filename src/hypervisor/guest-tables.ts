// Finding the entry that maps an address in a guest's 4-level tables, without access checks: what update_va_mapping, grants and
// emulated page table writes change. Guest tables have no large pages (page-types.ts refuses them).

import type { MachineMemory } from "../mmu/machine-memory.js";
import { PTE_P, pteFrame } from "./pte.js";

/** Machine address of the level-1 entry for `va` under the root, or -1 when a level above isn't present. */
export function findL1Slot(memory: MachineMemory, rootMfn: number, va: bigint): number {
  if (rootMfn < 0) return -1;
  const low = Number(va & 0xffff_ffffn);
  const high = Number((va >> 32n) & 0xffff_ffffn);
  const sign = high >>> 15;
  if (sign !== 0 && sign !== 0x1_ffff) return -1;
  let table = child(memory, rootMfn, (high >>> 7) & 511);
  if (table >= 0) table = child(memory, table, ((high & 0x7f) << 2) | (low >>> 30));
  if (table >= 0) table = child(memory, table, (low >>> 21) & 511);
  return table < 0 ? -1 : table * 4096 + ((low >>> 12) & 511) * 8;
}

function child(memory: MachineMemory, table: number, slot: number): number {
  const index = (table * 4096 + slot * 8) >>> 2;
  const low = memory.u32[index]!;
  if (!(low & PTE_P)) return -1;
  const frame = pteFrame(low, memory.u32[index + 1]!);
  return frame < memory.frames ? frame : -1;
}
