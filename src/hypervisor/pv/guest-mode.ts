// Switching a 64-bit PV vCPU between guest kernel and guest user mode. Both run at CPL 3; what changes is the root of the page
// tables and the GS base, as SWAPGS and a CR3 write would do it on bare hardware.

import { KERNEL_GS_BASE, Seg } from "../../cpu/state-layout.js";
import type { PvContext } from "./pv-context.js";

export function toggleGuestMode(vcpu: PvContext): void {
  const { pv, cpu } = vcpu;
  const { state } = cpu;
  const active = state.segmentBase(Seg.GS);
  state.setSegmentBase(Seg.GS, state.u64(KERNEL_GS_BASE));
  state.setU64(KERNEL_GS_BASE, active);
  pv.kernelMode = !pv.kernelMode;
  cpu.setAddressSpace(pv.kernelMode ? pv.guestTable : pv.guestUserTable);
  pv.onModeSwitch();
}

/** GS base of guest user mode, whichever mode is active. */
export function userGsBase(vcpu: PvContext): bigint {
  return vcpu.pv.kernelMode ? vcpu.cpu.state.u64(KERNEL_GS_BASE) : vcpu.cpu.state.segmentBase(Seg.GS);
}

export function kernelGsBase(vcpu: PvContext): bigint {
  return vcpu.pv.kernelMode ? vcpu.cpu.state.segmentBase(Seg.GS) : vcpu.cpu.state.u64(KERNEL_GS_BASE);
}

export function setUserGsBase(vcpu: PvContext, base: bigint): void {
  if (vcpu.pv.kernelMode) vcpu.cpu.state.setU64(KERNEL_GS_BASE, base);
  else vcpu.cpu.state.setSegmentBase(Seg.GS, base);
}

export function setKernelGsBase(vcpu: PvContext, base: bigint): void {
  if (vcpu.pv.kernelMode) vcpu.cpu.state.setSegmentBase(Seg.GS, base);
  else vcpu.cpu.state.setU64(KERNEL_GS_BASE, base);
}
