// HYPERVISOR_update_va_mapping and …_otherdomain (xen.h): change the level-1 entry that maps an address in the current root.

import { frameOwnerFor } from "../foreign-domain.js";
import { FrameType } from "../frame-table.js";
import { readU32 } from "../guest-access.js";
import { findL1Slot } from "../guest-tables.js";
import type { Vcpu } from "../hypervisor.js";
import { errno } from "../public/errno.js";
import {
  __HYPERVISOR_update_va_mapping,
  __HYPERVISOR_update_va_mapping_otherdomain,
  UVMF_ALL,
  UVMF_FLUSHTYPE_MASK,
  UVMF_INVLPG,
  UVMF_TLB_FLUSH,
} from "../public/xen.js";
import type { HypercallArgs, HypercallRow } from "./args.js";

export function updateVaMapping(vcpu: Vcpu, args: HypercallArgs): number {
  return update(vcpu, args.arg(0), args.arg(1), args.arg(2), vcpu.domain.memory.id);
}

export function updateVaMappingOtherdomain(vcpu: Vcpu, args: HypercallArgs): number {
  const target = frameOwnerFor(vcpu.domain.memory, args.argNumber(3) & 0xffff);
  if (target < 0) return target;
  return update(vcpu, args.arg(0), args.arg(1), args.arg(2), target);
}

function update(vcpu: Vcpu, va: bigint, value: bigint, flags: bigint, target: number): number {
  const space = vcpu.domain.memory;
  const { memory, frames, types } = space.host;
  const at = findL1Slot(memory, vcpu.pv.guestTable, va);
  if (at < 0) return -errno.EINVAL;
  const table = Math.floor(at / 4096);
  // The hypervisor's own tables (the M2P's) are found by the walk too, but belong to nobody.
  if (frames.ownerOf(table) !== space.id || !frames.isValidated(table, FrameType.L1)) return -errno.EINVAL;
  const low = Number(value & 0xffff_ffffn);
  const result = types.modify(table, (at & 0xfff) >>> 3, low, Number(value >> 32n), space, target, false);

  // Flushing more CPUs than named is allowed; the vCPU mask only has to be readable.
  const kind = Number(flags) & UVMF_FLUSHTYPE_MASK;
  if (kind === UVMF_TLB_FLUSH || kind === UVMF_INVLPG) {
    const mask = flags & ~BigInt(UVMF_FLUSHTYPE_MASK);
    if (mask !== 0n && mask !== BigInt(UVMF_ALL) && readU32(vcpu, mask) === undefined) return result || -errno.EFAULT;
    space.tlb.sync();
    if (kind === UVMF_INVLPG) space.tlb.invalidateAddress(va);
  } else if (kind !== 0) return result || -errno.EINVAL;
  return result;
}

export const updateVaMappingRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_update_va_mapping, name: "update_va_mapping", pv64: updateVaMapping },
  {
    number: __HYPERVISOR_update_va_mapping_otherdomain,
    name: "update_va_mapping_otherdomain",
    pv64: updateVaMappingOtherdomain,
  },
];
