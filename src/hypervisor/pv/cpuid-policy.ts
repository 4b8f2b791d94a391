// The CPUID leaves of a PV guest: AMD's and Intel's standard leaves (APM 3 appendix E, SDM 2A CPUID) and Xen's
// (arch-x86/cpuid.h). There is one view: plain CPUID in guest user or kernel mode answers what the forced emulation answers, as
// on a processor with CPUID faulting; only OSXSAVE depends on who asks (a PV kernel learns from it that Xen enabled XSAVE).

import { type CpuFeatureWords, FEATURE_OSXSAVE, FEATURE_RDTSCP, FEATURE_XSAVE, pvFeatures } from "./cpuid-features.js";

export interface CpuidOptions {
  readonly features: CpuFeatureWords;
  readonly tscKhz: number;
  readonly xenVersion: { readonly major: number; readonly minor: number };
  /** Bits of a machine address, memory hotplug included. */
  readonly machineAddressWidth: number;
}

/** What differs between two CPUID instructions of one domain. */
export interface CpuidCaller {
  readonly vcpuId: number;
  /** OSXSAVE as this caller sees it; ignored without XSAVE. */
  readonly osxsave: boolean;
}

/** EAX EBX ECX EDX, unsigned. Reused: read it before the next query. */
export type CpuidResult = Uint32Array;

const XEN_FIRST_LEAF = 0x4000_0000;
const XEN_MAX_LEAVES = 5;
const EXTENDED_FIRST_LEAF = 0x8000_0000;
const EXTENDED_LAST_LEAF = 0x8000_0008;

/** Family 15, model 107, stepping 1: the processor that QEMU shows by default, so kernels take their plainest path. */
const SIGNATURE = 0x0006_0fb1;
const VENDOR = "AuthenticAMD";
const BRAND = "xen-ts virtual CPU x86-64-v2";
const FEAT1_MMU_PT_UPDATE_PRESERVE_AD = 1;

/** Four ASCII characters as the little-endian word that CPUID returns. */
function word(text: string, offset: number): number {
  let value = 0;
  for (let i = 3; i >= 0; i--) value = (value << 8) | (text.charCodeAt(offset + i) || 0);
  return value >>> 0;
}

export class CpuidPolicy {
  readonly features: CpuFeatureWords;
  readonly #options: CpuidOptions;
  readonly #result = new Uint32Array(4);

  constructor(options: CpuidOptions) {
    this.#options = options;
    this.features = pvFeatures(options.features);
  }

  get hasXsave(): boolean {
    return (this.features.leaf1Ecx & FEATURE_XSAVE) !== 0;
  }

  get #lastBasicLeaf(): number {
    return this.hasXsave ? 0xd : 7;
  }

  query(leaf: number, subleaf: number, caller: CpuidCaller): CpuidResult {
    const { features } = this;
    switch (leaf >>> 0) {
      case 0:
        return this.#set(this.#lastBasicLeaf, word(VENDOR, 0), word(VENDOR, 8), word(VENDOR, 4));
      case 1: {
        const osxsave = this.hasXsave && caller.osxsave ? FEATURE_OSXSAVE : 0;
        // EBX: initial APIC id, one logical processor, CLFLUSH line of 8 * 8 bytes.
        const ebx = ((caller.vcpuId & 0xff) << 24) | (1 << 16) | (8 << 8);
        return this.#set(SIGNATURE, ebx, features.leaf1Ecx | osxsave, features.leaf1Edx);
      }
      case 7:
        return subleaf === 0
          ? this.#set(0, features.leaf7Ebx, features.leaf7Ecx, features.leaf7Edx)
          : this.#set(0, 0, 0, 0);
      case 0xd:
        return this.#xsave(subleaf);
      case EXTENDED_FIRST_LEAF:
        return this.#set(EXTENDED_LAST_LEAF, word(VENDOR, 0), word(VENDOR, 8), word(VENDOR, 4));
      case 0x8000_0001:
        return this.#set(SIGNATURE, 0, features.extendedEcx, features.extendedEdx);
      case 0x8000_0002:
      case 0x8000_0003:
      case 0x8000_0004: {
        const at = ((leaf >>> 0) - 0x8000_0002) * 16;
        return this.#set(word(BRAND, at), word(BRAND, at + 4), word(BRAND, at + 8), word(BRAND, at + 12));
      }
      // TLBs and caches: 2M TLB 255 entries, 4K TLB 512; L1 64 KiB 2-way, L2 512 KiB 16-way, lines of 64 bytes.
      case 0x8000_0005:
        return this.#set(0x01ff_01ff, 0x01ff_01ff, 0x4002_0140, 0x4002_0140);
      case 0x8000_0006:
        return this.#set(0, 0x4200_4200, 0x0200_8140, 0);
      // Widths of linear (48) and physical addresses; one core.
      case 0x8000_0008:
        return this.#set((48 << 8) | 40, 0, 0, 0);
    }
    if (leaf >>> 0 >= XEN_FIRST_LEAF && leaf >>> 0 <= XEN_FIRST_LEAF + XEN_MAX_LEAVES)
      return this.#xen(leaf - XEN_FIRST_LEAF, subleaf);
    return this.#set(0, 0, 0, 0);
  }

  #set(eax: number, ebx: number, ecx: number, edx: number): CpuidResult {
    const result = this.#result;
    result[0] = eax;
    result[1] = ebx;
    result[2] = ecx;
    result[3] = edx;
    return result;
  }

  /** x87 and SSE state: the legacy area of 512 bytes and the header of 64. */
  #xsave(subleaf: number): CpuidResult {
    if (!this.hasXsave) return this.#set(0, 0, 0, 0);
    if (subleaf === 0) return this.#set(3, 576, 576, 0);
    if (subleaf === 1) return this.#set(this.features.xsaveEax, 576, 0, 0);
    return this.#set(0, 0, 0, 0);
  }

  #xen(index: number, subleaf: number): CpuidResult {
    const { tscKhz, xenVersion, machineAddressWidth } = this.#options;
    switch (index) {
      case 0:
        return this.#set(
          XEN_FIRST_LEAF + XEN_MAX_LEAVES,
          word("XenVMMXenVMM", 0),
          word("XenVMMXenVMM", 4),
          word("XenVMMXenVMM", 8),
        );
      case 1:
        return this.#set((xenVersion.major << 16) | xenVersion.minor, 0, 0, 0);
      // One hypercall page, Xen's MSRs from 0x40000000.
      case 2:
        return this.#set(1, 0x4000_0000, FEAT1_MMU_PT_UPDATE_PRESERVE_AD, 0);
      case 3: {
        const rdtscp = this.features.extendedEdx & FEATURE_RDTSCP ? 4 : 0;
        // Not emulated (bit 0 clear), reliable (bit 1); tsc_mode 0; incarnation 0.
        if (subleaf === 0) return this.#set(2 | rdtscp, 0, tscKhz, 0);
        if (subleaf === 1) return this.#tscScale(tscKhz);
        return subleaf === 2 ? this.#set(tscKhz, 0, 0, 0) : this.#set(0, 0, 0, 0);
      }
      case 5:
        return subleaf === 0 ? this.#set(0, machineAddressWidth, 0, 0) : this.#set(0, 0, 0, 0);
      default:
        return this.#set(0, 0, 0, 0);
    }
  }

  /** Offset 0; ns = ((ticks << shift) * multiplier) >> 32, the multiplier's top bit set (struct vcpu_time_info). */
  #tscScale(tscKhz: number): CpuidResult {
    let shift = 0;
    let multiplier = Math.floor((1e6 / tscKhz) * 2 ** 32);
    for (; multiplier >= 2 ** 32; shift++) multiplier = Math.floor(multiplier / 2);
    while (multiplier < 2 ** 31) {
      shift--;
      multiplier = Math.floor((1e6 / tscKhz) * 2 ** (32 - shift));
    }
    return this.#set(0, 0, multiplier, shift >>> 0);
  }
}
