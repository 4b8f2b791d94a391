// The root tables of a 64-bit PV vCPU: one for guest kernel, one for guest user mode (xen.h: MMUEXT_NEW_BASEPTR,
// MMUEXT_NEW_USER_BASEPTR). A root in use holds a reference and a type reference of its frame.

import type { DomainMemory } from "../domain-memory.js";
import { NO_TABLE, type PvVcpu } from "./pv-vcpu.js";

export interface RootedVcpu {
  readonly pv: PvVcpu;
  readonly cpu: { setAddressSpace(rootMfn: number): void };
  readonly domain: { readonly memory: DomainMemory };
}

/** Makes a frame the kernel root and, in kernel mode, the current one. @returns false when it isn't a valid L4 of the domain. */
export function setKernelRoot(vcpu: RootedVcpu, mfn: number): boolean {
  const { pv, cpu } = vcpu;
  const space = vcpu.domain.memory;
  if (mfn !== pv.guestTable) {
    if (!space.getRoot(mfn)) return false;
    const old = pv.guestTable;
    pv.guestTable = mfn;
    if (old !== NO_TABLE) {
      if (pv.kernelMode) cpu.setAddressSpace(mfn);
      space.putRoot(old);
    }
  }
  space.tlb.sync();
  if (pv.kernelMode) cpu.setAddressSpace(mfn);
  return true;
}

/** Makes a frame the user root; 0: none. */
export function setUserRoot(vcpu: RootedVcpu, mfn: number): boolean {
  const { pv } = vcpu;
  const space = vcpu.domain.memory;
  if (mfn === pv.guestUserTable) return true;
  if (mfn !== 0 && !space.getRoot(mfn)) return false;
  const old = pv.guestUserTable;
  pv.guestUserTable = mfn === 0 ? NO_TABLE : mfn;
  if (old !== NO_TABLE) space.putRoot(old);
  space.tlb.sync();
  return true;
}

/** Gives both roots back, when the vCPU dies. */
export function dropRoots(vcpu: RootedVcpu): void {
  const { pv } = vcpu;
  const space = vcpu.domain.memory;
  if (pv.guestTable !== NO_TABLE) space.putRoot(pv.guestTable);
  if (pv.guestUserTable !== NO_TABLE) space.putRoot(pv.guestUserTable);
  pv.guestTable = NO_TABLE;
  pv.guestUserTable = NO_TABLE;
}
