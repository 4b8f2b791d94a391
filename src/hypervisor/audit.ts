// Recounts all references that page tables, pins and claims stand for, and compares them with the frame table. For tests and for
// debugging: the counts must agree at any moment between hypercalls.

import type { MemoryHost } from "./domain-memory.js";
import { FrameFlag, FrameType } from "./frame-table.js";
import { isGuestSlot, PTE_P, PTE_RW, PTES_PER_PAGE, pteFrame } from "./pte.js";

/** References that something other than page tables holds: vCPU roots, descriptor tables, grant mappings' owners. */
export interface OtherReference {
  readonly mfn: number;
  readonly references: number;
  readonly types: number;
}

/** @returns one line for each disagreement; empty when all is well. */
export function auditFrames(host: MemoryHost, others: Iterable<OtherReference> = []): string[] {
  const { frames, memory } = host;
  const references = new Uint32Array(frames.frames);
  const types = new Uint32Array(frames.frames);
  const problems: string[] = [];
  const hex = (mfn: number) => mfn.toString(16);
  const add = (mfn: number, type: number) => {
    references[mfn] = references[mfn]! + 1;
    types[mfn] = types[mfn]! + type;
  };

  for (let mfn = 0; mfn < frames.frames; mfn++) {
    const flags = frames.flags[mfn]!;
    if (!frames.isRam(mfn)) continue;
    if (flags & FrameFlag.Allocated) add(mfn, 0);
    if (flags & FrameFlag.Pinned) add(mfn, 1);
    const level = frames.types[mfn]!;
    if (!(flags & FrameFlag.Validated) || level < FrameType.L1 || level > FrameType.L4) continue;
    for (let slot = 0; slot < PTES_PER_PAGE; slot++) {
      const low = memory.readU32(mfn * 4096 + slot * 8);
      if (!(low & PTE_P) || !isGuestSlot(level, slot)) continue;
      const target = pteFrame(low, memory.readU32(mfn * 4096 + slot * 8 + 4));
      if (level === FrameType.L1) {
        if (!frames.isRam(target)) continue;
        add(target, low & PTE_RW ? 1 : 0);
        if (low & PTE_RW && frames.types[target] !== FrameType.Writable)
          problems.push(`frame ${hex(target)} of type ${frames.types[target]} is mapped writable by table ${hex(mfn)}`);
      } else if (target !== mfn) {
        add(target, 1);
        if (!frames.isValidated(target, (level - 1) as FrameType) && !frames.isValidated(target, level as FrameType))
          problems.push(`table ${hex(mfn)} of level ${level} links frame ${hex(target)}, which is no table`);
      }
    }
  }
  for (const { mfn, references: count, types: typeCount } of others) {
    references[mfn] = references[mfn]! + count;
    types[mfn] = types[mfn]! + typeCount;
  }

  for (let mfn = 0; mfn < frames.frames; mfn++) {
    // A hypervisor frame that is shared holds a type reference for good.
    if (!frames.isRam(mfn) || frames.flags[mfn]! & FrameFlag.XenHeap) continue;
    if (frames.referenceCounts[mfn] !== references[mfn])
      problems.push(`frame ${hex(mfn)}: ${frames.referenceCounts[mfn]} references, ${references[mfn]} found`);
    if (frames.typeCounts[mfn] !== types[mfn])
      problems.push(`frame ${hex(mfn)}: ${frames.typeCounts[mfn]} type references, ${types[mfn]} found`);
  }
  return problems;
}
