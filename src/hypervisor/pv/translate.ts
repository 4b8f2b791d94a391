// Translation of a guest address through the vCPU's current root, with guest (CPL 3) rights, for PV entry and exit code.
// It sets accessed and dirty bits as the guest's own access would.

import type { MachineMemory } from "../../mmu/machine-memory.js";
import {
  ACCESS_READ,
  ACCESS_WRITE,
  newWalkResult,
  type PagingContext,
  PagingMode,
  walkPage,
} from "../../mmu/page-walk.js";
import type { PvContext } from "./pv-context.js";

/** Whatever holds the machine memory: the hypervisor or its PV host. */
export interface MemoryHolder {
  readonly memory: MachineMemory;
}

const context: PagingContext = {
  mode: PagingMode.FourLevel,
  root: 0,
  writeProtect: true,
  smep: false,
  smap: false,
  nxe: true,
  pse: true,
  ignoreUser: true,
};
const result = newWalkResult();

export function isCanonical(va: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(48, va)) === va;
}

/** Machine address of `va`, or -1 when the guest can't read (or write) it. */
export function translate(host: MemoryHolder, vcpu: PvContext, va: bigint, write: boolean): number {
  return translateIn(host, vcpu.pv.kernelMode ? vcpu.pv.guestTable : vcpu.pv.guestUserTable, va, write);
}

/** As `translate`, in the address space of the root frame `rootMfn`. */
export function translateIn(host: MemoryHolder, rootMfn: number, va: bigint, write: boolean): number {
  if (rootMfn < 0 || !isCanonical(va)) return -1;
  context.root = rootMfn * 4096;
  const low = Number(va & 0xffff_ffffn);
  const high = Number(va >> 32n);
  walkPage(host.memory, context, low, high, write ? ACCESS_WRITE : ACCESS_READ, true, result);
  return result.fault < 0 ? result.maddr : -1;
}
