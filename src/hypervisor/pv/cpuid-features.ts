// CPUID feature words and the ones that a PV guest may see (arch-x86/cpufeatureset.h: those marked "A"). Paging
// extensions that only a real kernel ring can use (PSE, PGE, SMEP, SMAP, MTRR, ...) are hidden from PV.

import { FEATURE_BITS } from "../../cpu/features.js";

/** Feature words as CPUID reports them; unsigned 32-bit. */
export interface CpuFeatureWords {
  readonly leaf1Edx: number;
  readonly leaf1Ecx: number;
  readonly leaf7Ebx: number;
  readonly leaf7Ecx: number;
  readonly leaf7Edx: number;
  readonly extendedEdx: number;
  readonly extendedEcx: number;
  /** Leaf 0xd, subleaf 1, EAX. */
  readonly xsaveEax: number;
}

const WORD_PLACES = {
  leaf1Edx: [1, 0, "edx"],
  leaf1Ecx: [1, 0, "ecx"],
  leaf7Ebx: [7, 0, "ebx"],
  leaf7Ecx: [7, 0, "ecx"],
  leaf7Edx: [7, 0, "edx"],
  extendedEdx: [0x8000_0001, 0, "edx"],
  extendedEcx: [0x8000_0001, 0, "ecx"],
  xsaveEax: [0xd, 1, "eax"],
} as const;

/** The words of a set of feature names (cpu/features.ts). */
export function cpuFeatureWords(names: ReadonlySet<string>): CpuFeatureWords {
  const words: { -readonly [K in keyof CpuFeatureWords]: number } = {
    leaf1Edx: 0,
    leaf1Ecx: 0,
    leaf7Ebx: 0,
    leaf7Ecx: 0,
    leaf7Edx: 0,
    extendedEdx: 0,
    extendedEcx: 0,
    xsaveEax: 0,
  };
  for (const [key, [leaf, subleaf, register]] of Object.entries(WORD_PLACES)) {
    for (const [name, at] of FEATURE_BITS) {
      if (!names.has(name) || at.leaf !== leaf || at.subleaf !== subleaf || at.register !== register) continue;
      words[key as keyof CpuFeatureWords] = (words[key as keyof CpuFeatureWords] | (1 << at.bit)) >>> 0;
    }
  }
  return words;
}

function bits(...numbers: number[]): number {
  let word = 0;
  for (const n of numbers) word |= 1 << n;
  return word >>> 0;
}

const FPU_TO_CX8 = [0, 2, 4, 5, 6, 8];

export const PV_FEATURES: CpuFeatureWords = {
  leaf1Edx: bits(...FPU_TO_CX8, 7, 9, 11, 14, 15, 16, 19, 23, 24, 25, 26, 27),
  leaf1Ecx: bits(0, 1, 9, 12, 13, 19, 20, 22, 23, 25, 26, 28, 29, 30, 31),
  leaf7Ebx: bits(0, 3, 5, 6, 8, 9, 13, 18, 19, 23, 24, 29),
  leaf7Ecx: bits(8, 22),
  leaf7Edx: bits(4, 14),
  extendedEdx: bits(11, 20, 22, 25, 27, 29),
  extendedEcx: bits(0, 5, 6, 7, 8),
  xsaveEax: bits(0, 1, 2),
};

/** Leaf 1 EDX: the local APIC that Xen virtualises for PV guests (physdev_op). */
export const FEATURE_APIC = 1 << 9;
/** Leaf 1 ECX. */
export const FEATURE_XSAVE = 1 << 26;
export const FEATURE_OSXSAVE = 1 << 27;
export const FEATURE_HYPERVISOR = 0x8000_0000;
/** Leaf 7 EBX. */
export const FEATURE_FSGSBASE = 1;
/** Leaf 0x80000001 EDX. */
export const FEATURE_RDTSCP = 1 << 27;
/** Bits of leaf 1 EDX that AMD processors repeat in leaf 0x80000001 EDX (AMD APM 3, appendix E). */
export const AMD_SHARED_EDX = bits(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 23, 24);

/** What the processor has and the guest may see. */
export function pvFeatures(cpu: CpuFeatureWords): CpuFeatureWords {
  const words = {
    leaf1Edx: ((cpu.leaf1Edx & PV_FEATURES.leaf1Edx) | FEATURE_APIC) >>> 0,
    leaf1Ecx: ((cpu.leaf1Ecx & PV_FEATURES.leaf1Ecx) | FEATURE_HYPERVISOR) >>> 0,
    leaf7Ebx: (cpu.leaf7Ebx & PV_FEATURES.leaf7Ebx) >>> 0,
    leaf7Ecx: (cpu.leaf7Ecx & PV_FEATURES.leaf7Ecx) >>> 0,
    leaf7Edx: (cpu.leaf7Edx & PV_FEATURES.leaf7Edx) >>> 0,
    extendedEcx: (cpu.extendedEcx & PV_FEATURES.extendedEcx) >>> 0,
    extendedEdx: 0,
    xsaveEax: cpu.leaf1Ecx & FEATURE_XSAVE ? (cpu.xsaveEax & PV_FEATURES.xsaveEax) >>> 0 : 0,
  };
  words.extendedEdx = ((cpu.extendedEdx & PV_FEATURES.extendedEdx) | (words.leaf1Edx & AMD_SHARED_EDX)) >>> 0;
  return words;
}
