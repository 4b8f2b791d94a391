// Virtual CR0 and CR4 of a PV vCPU. The hypervisor owns the real ones; a guest may change CR0.TS, and in CR4 what concerns
// only its own execution: TSD, DE, FSGSBASE, OSXSAVE.

import { CR0, CR4 } from "../../cpu/state-layout.js";
import { FEATURE_FSGSBASE } from "./cpuid-features.js";
import type { PvContext, PvHost } from "./pv-context.js";
import { CR0_TS, Cr4, PV_CR0, PV_CR4_FIXED } from "./pv-vcpu.js";

/** Sets or clears TS: the next FPU instruction raises #NM or doesn't (fpu_taskswitch, CLTS, MOV to CR0). */
export function setTaskSwitched(vcpu: PvContext, on: boolean): void {
  const { pv, cpu } = vcpu;
  pv.cr0 = on ? CR0_TS : 0n;
  cpu.state.setU64(CR0, PV_CR0 | pv.cr0);
  cpu.accessRightsChanged();
}

/** False when a bit other than TS would change. */
export function writeCr0(vcpu: PvContext, value: bigint): boolean {
  if ((value ^ PV_CR0) & ~CR0_TS) return false;
  setTaskSwitched(vcpu, (value & CR0_TS) !== 0n);
  return true;
}

export function readCr0(vcpu: PvContext): bigint {
  return PV_CR0 | vcpu.pv.cr0;
}

/** Takes over the bits that are the guest's and that CPUID shows it; others are ignored, as Xen does. */
export function writeCr4(host: PvHost, vcpu: PvContext, value: bigint): void {
  let guest = Cr4.TSD | Cr4.DE;
  if (host.cpuid.features.leaf7Ebx & FEATURE_FSGSBASE) guest |= Cr4.FSGSBASE;
  if (host.cpuid.hasXsave) guest |= Cr4.OSXSAVE;
  vcpu.pv.cr4 = PV_CR4_FIXED | (value & guest);
  vcpu.cpu.state.setU64(CR4, realCr4(vcpu));
  vcpu.cpu.accessRightsChanged();
}

/** CR4 that the CPU runs with. */
export function realCr4(vcpu: PvContext): bigint {
  return vcpu.pv.cr4;
}
