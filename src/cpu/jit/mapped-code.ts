// The code pages around a place. What is new is looked for where the code TLB says; what is known already also where the page tables do,
// since pages that share an entry of the TLB are there by turns, and some were not run yet. Nothing is changed by looking, and nothing
// rests on the answer: a region compares the TLB where it goes to another page.

import { type MachineMemory, PAGE_SIZE } from "../../mmu/machine-memory.js";
import type { CodeCache, CodePage } from "../interpreter/code-cache.js";
import * as S from "../state-layout.js";
import { CODE_TLB_ENTRIES, CODE_TLB_ENTRY_SHIFT, CODE_TLB_PAGE, CODE_TLB_TAG } from "../tlb-layout.js";

/** Where code is to be compiled. */
export interface Place {
  /** Linear address of the code TLB of its address space. */
  readonly codeTlb: number;
  /** Machine address of the root of its 4-level page tables. */
  readonly root: number;
  /** Virtual address of the page. */
  readonly va: bigint;
}

/** Where the vCPU is whose struct lies at `cpu`, in 64-bit code. */
export function placeOf(view: DataView, cpu: number): Place {
  return {
    codeTlb: view.getUint32(cpu + S.CODE_TLB, true),
    root: view.getUint32(cpu + S.CR3, true) & ~(PAGE_SIZE - 1),
    va: view.getBigUint64(cpu + S.PAGE_VA, true),
  };
}

/** CODE_MODE of 64-bit code. */
const LONG_MODE = 2;
/** Bits of an entry, SDM volume 3A, 4.5.4; in its high word: no execution, and beyond our physical addresses. */
const P = 1;
const A = 0x20;
const PS = 0x80;
const NX_OR_RESERVED = 0x800fff00;

export class MappedCode {
  readonly #memory: MachineMemory;
  readonly #cache: CodeCache;

  constructor(memory: MachineMemory, cache: CodeCache) {
    this.#memory = memory;
    this.#cache = cache;
  }

  /** The page that was run at a virtual address of late. */
  pageAt(place: Place, va: bigint): CodePage | undefined {
    const { view } = this.#memory;
    const at = BigInt.asUintN(64, va);
    const entry = place.codeTlb + (Number((at >> 12n) & BigInt(CODE_TLB_ENTRIES - 1)) << CODE_TLB_ENTRY_SHIFT);
    if (view.getBigUint64(entry + CODE_TLB_TAG, true) !== (at | BigInt(LONG_MODE))) return undefined;
    return this.#cache.pageOfTable(view.getUint32(entry + CODE_TLB_PAGE, true));
  }

  /** The frame at a virtual address, run of late or not; -1 where no code can. */
  frameAt(place: Place, va: bigint): number {
    return this.pageAt(place, va)?.frame ?? this.#walk(place.root, BigInt.asUintN(64, va));
  }

  /** The frame of a page of 4 KiB or more that was run or looked at before; else -1. */
  #walk(root: number, va: bigint): number {
    const { frames, u32 } = this.#memory;
    const page = Number(BigInt.asUintN(36, va >> 12n));
    if (BigInt.asUintN(64, BigInt.asIntN(48, va)) !== va) return -1;
    let table = root >>> 12;
    for (let level = 3; ; level--) {
      if (table >= frames) return -1;
      const index = Math.floor(page / 2 ** (9 * level)) & 0x1ff;
      const word = table * (PAGE_SIZE / 4) + 2 * index;
      const low = u32[word]!;
      const high = u32[word + 1]!;
      if ((low & (P | A)) !== (P | A) || high & NX_OR_RESERVED) return -1;
      const frame = (high & 0xff) * 0x100000 + (low >>> 12);
      const isLarge = level > 0 && (low & PS) !== 0;
      if (isLarge && level === 3) return -1;
      if (level > 0 && !isLarge) {
        table = frame;
        continue;
      }
      const pages = 2 ** (9 * level);
      const found = frame - (frame % pages) + (page % pages);
      return found < frames ? found : -1;
    }
  }
}
