// CPUID features of our processor (SDM volume 2, CPUID, tables 3-10 to 3-12): where each one is reported. The decoder leaves out
// the instructions of features that are off, CPUID reports those that are on; both read this list.

export type CpuidRegister = "eax" | "ebx" | "ecx" | "edx";

export interface FeatureBit {
  readonly leaf: number;
  readonly subleaf: number;
  readonly register: CpuidRegister;
  readonly bit: number;
}

function bits(leaf: number, subleaf: number, register: CpuidRegister, names: Readonly<Record<string, number>>) {
  return Object.entries(names).map(([name, bit]): [string, FeatureBit] => [name, { leaf, subleaf, register, bit }]);
}

/** Every feature this project knows, by SDM (or for leaf 80000001 AMD APM) name. */
export const FEATURE_BITS: ReadonlyMap<string, FeatureBit> = new Map([
  ...bits(1, 0, "edx", {
    FPU: 0,
    VME: 1,
    DE: 2,
    PSE: 3,
    TSC: 4,
    MSR: 5,
    PAE: 6,
    MCE: 7,
    CX8: 8,
    APIC: 9,
    SEP: 11,
    MTRR: 12,
    PGE: 13,
    MCA: 14,
    CMOV: 15,
    PAT: 16,
    "PSE-36": 17,
    CLFSH: 19,
    MMX: 23,
    FXSR: 24,
    SSE: 25,
    SSE2: 26,
    SS: 27,
    HTT: 28,
  }),
  ...bits(1, 0, "ecx", {
    SSE3: 0,
    PCLMULQDQ: 1,
    MONITOR: 3,
    SSSE3: 9,
    CMPXCHG16B: 13,
    PCID: 17,
    "SSE4.1": 19,
    "SSE4.2": 20,
    x2APIC: 21,
    MOVBE: 22,
    POPCNT: 23,
    "TSC-Deadline": 24,
    AESNI: 25,
    XSAVE: 26,
    OSXSAVE: 27,
    RDRAND: 30,
    HYPERVISOR: 31,
  }),
  ...bits(7, 0, "ebx", {
    FSGSBASE: 0,
    BMI1: 3,
    SMEP: 7,
    BMI2: 8,
    ERMS: 9,
    INVPCID: 10,
    RDSEED: 18,
    ADX: 19,
    SMAP: 20,
    CLFLUSHOPT: 23,
  }),
  ...bits(7, 0, "ecx", { UMIP: 2 }),
  ...bits(7, 0, "edx", { SERIALIZE: 14 }),
  ...bits(0xd, 1, "eax", { XSAVEOPT: 0 }),
  ...bits(0x80000001, 0, "ecx", { "LAHF-SAHF": 0, LZCNT: 5, PREFETCHW: 8 }),
  ...bits(0x80000001, 0, "edx", { SYSCALL: 11, NX: 20, Page1GB: 26, RDTSCP: 27, LM: 29 }),
]);

/** What our processor has by default: x86-64-v2 with the integer extensions of v3, no AVX. */
export const DEFAULT_FEATURES: ReadonlySet<string> = new Set([
  ...["FPU", "VME", "DE", "PSE", "TSC", "MSR", "PAE", "MCE", "CX8", "APIC", "SEP", "MTRR", "PGE", "MCA", "CMOV", "PAT"],
  ...["PSE-36", "CLFSH", "MMX", "FXSR", "SSE", "SSE2", "SSE3", "PCLMULQDQ", "SSSE3", "CMPXCHG16B", "SSE4.1", "SSE4.2"],
  ...["MOVBE", "POPCNT", "AESNI", "XSAVE", "XSAVEOPT", "RDRAND", "RDSEED", "FSGSBASE", "BMI1", "BMI2", "SMEP", "SMAP"],
  ...[
    "ADX",
    "ERMS",
    "SERIALIZE",
    "CLFLUSHOPT",
    "LAHF-SAHF",
    "LZCNT",
    "PREFETCHW",
    "SYSCALL",
    "NX",
    "Page1GB",
    "RDTSCP",
    "LM",
  ],
]);
