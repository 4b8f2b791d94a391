// Model-specific registers as a PV guest reads and writes them by RDMSR and WRMSR (SDM 4, APM 2 appendix A). What isn't here
// raises #GP, as on a processor without it.

import { KERNEL_GS_BASE, Seg } from "../../cpu/state-layout.js";
import { type PvContext, type PvHost, vcpuName } from "./pv-context.js";
import { isCanonical } from "./translate.js";

export const Msr = {
  TSC: 0x10,
  APIC_BASE: 0x1b,
  UCODE_REV: 0x8b,
  MTRRcap: 0xfe,
  MCG_CAP: 0x179,
  MCG_STATUS: 0x17a,
  MISC_ENABLE: 0x1a0,
  PAT: 0x277,
  PERF_CAPABILITIES: 0x345,
  EFER: 0xc000_0080,
  FS_BASE: 0xc000_0100,
  GS_BASE: 0xc000_0101,
  KERNEL_GS_BASE: 0xc000_0102,
  TSC_AUX: 0xc000_0103,
  K8_SYSCFG: 0xc001_0010,
  K8_HWCR: 0xc001_0015,
  AMD_PATCH_LEVEL: 0x8b,
  AMD64_NB_CFG: 0xc001_001f,
  XEN_HYPERCALL_PAGE: 0x4000_0000,
} as const;

/** Xen's PAT: WB WT UC- UC WC WP UC UC. */
const XEN_PAT = 0x0000_0501_0007_0406n;
/** LME, LMA, NXE, SCE. */
export const PV_EFER = 0xd01n;
/** xAPIC at fee00000, enabled; the boot processor's has bit 8 too. */
const APIC_BASE = 0xfee0_0800n;
const APIC_BASE_BSP = 0x100n;
/** Fast strings, no branch trace store, no PEBS. */
const MISC_ENABLE = 0x1801n;
/** HWCR.TscFreqSel: the TSC runs at P0 frequency. */
const HWCR_TSC_FREQ_SEL = 1n << 24n;

/** @returns the value, or undefined for an MSR that raises #GP. */
export function readMsr(host: PvHost, vcpu: PvContext, index: number): bigint | undefined {
  const { state } = vcpu.cpu;
  switch (index) {
    case Msr.TSC:
      return host.readTsc(vcpu);
    case Msr.APIC_BASE:
      return APIC_BASE | (vcpu.id === 0 ? APIC_BASE_BSP : 0n);
    case Msr.PAT:
      return XEN_PAT;
    case Msr.EFER:
      return PV_EFER;
    case Msr.FS_BASE:
      return state.segmentBase(Seg.FS);
    case Msr.GS_BASE:
      return state.segmentBase(Seg.GS);
    case Msr.KERNEL_GS_BASE:
      return state.u64(KERNEL_GS_BASE);
    case Msr.MISC_ENABLE:
      return MISC_ENABLE;
    case Msr.K8_HWCR:
      return HWCR_TSC_FREQ_SEL;
    // No machine-check banks, no microcode, no variable MTRRs, no extra performance counters.
    case Msr.UCODE_REV:
    case Msr.MCG_CAP:
    case Msr.MCG_STATUS:
    case Msr.MTRRcap:
    case Msr.PERF_CAPABILITIES:
    case Msr.K8_SYSCFG:
    case Msr.AMD64_NB_CFG:
      return 0n;
    default:
      return undefined;
  }
}

/** @returns false for a write that raises #GP. */
export function writeMsr(vcpu: PvContext, index: number, value: bigint): boolean {
  const { state } = vcpu.cpu;
  switch (index) {
    case Msr.FS_BASE:
    case Msr.GS_BASE:
    case Msr.KERNEL_GS_BASE:
      if (!isCanonical(value)) return false;
      if (index === Msr.FS_BASE) state.setSegmentBase(Seg.FS, value);
      else if (index === Msr.GS_BASE) state.setSegmentBase(Seg.GS, value);
      else state.setU64(KERNEL_GS_BASE, value);
      return true;
    // Reading and writing back, or a wish that has no effect here, is fine.
    case Msr.EFER:
      return value === PV_EFER;
    case Msr.PAT:
      return value === XEN_PAT;
    case Msr.K8_HWCR:
    case Msr.AMD_PATCH_LEVEL:
    case Msr.AMD64_NB_CFG:
    case Msr.MCG_STATUS:
      return true;
    default:
      return false;
  }
}

/** The line of a debug build of Xen for an access to an MSR that it doesn't know. */
export function unknownMsrLine(vcpu: PvContext, index: number, value?: bigint): string {
  const name = index.toString(16).padStart(8, "0");
  if (value === undefined) return `${vcpuName(vcpu)} RDMSR 0x${name} unimplemented`;
  return `${vcpuName(vcpu)} WRMSR 0x${name} val 0x${value.toString(16).padStart(16, "0")} unimplemented`;
}
