// memory_op: the sub-operations that describe memory (memory.h): the M2P's place and frames, e820 maps, sizes.

import type { DomainMemory } from "../domain-memory.js";
import { DENIED_IOMEM } from "../domain-memory.js";
import { subjectOf } from "../foreign-domain.js";
import { copyFromGuest, copyToGuest, writeU64 } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import type { E820Entry } from "../machine-map.js";
import { MACH2PHYS_NR_ENTRIES, MACH2PHYS_VIRT_END, MACH2PHYS_VIRT_START } from "../public/arch-x86/xen-x86_64.js";
import { errno } from "../public/errno.js";
import {
  E820_ENTRY,
  E820_RESERVED,
  xen_foreign_memory_map,
  xen_machphys_mapping,
  xen_machphys_mfn_list,
  xen_memory_domain,
  xen_memory_map,
} from "../public/memory.js";

/** Entries that a guest may set; Xen's E820MAX for PV. */
const MAX_ENTRIES = 128;

export function machphysMapping(vcpu: Vcpu, arg: bigint): number {
  const value = {
    v_start: MACH2PHYS_VIRT_START,
    v_end: MACH2PHYS_VIRT_END,
    max_mfn: MACH2PHYS_NR_ENTRIES - 1n,
  };
  return copyToGuest(vcpu, arg, xen_machphys_mapping.encode(64, value)) ? 0 : -errno.EFAULT;
}

export function machphysMfnList(vcpu: Vcpu, arg: bigint): number {
  if (!vcpu.domain.privileged) return -errno.EPERM;
  const bytes = copyFromGuest(vcpu, arg, xen_machphys_mfn_list.size(64));
  if (!bytes) return -errno.EFAULT;
  const request = xen_machphys_mfn_list.decode(bytes, 64);
  const extents = vcpu.domain.memory.host.m2p.extents().slice(0, request.max_extents);
  for (const [i, mfn] of extents.entries())
    if (!writeU64(vcpu, BigInt.asUintN(64, request.extent_start + BigInt(i * 8)), BigInt(mfn))) return -errno.EFAULT;
  request.nr_extents = extents.length;
  return copyToGuest(vcpu, arg, xen_machphys_mfn_list.encode(64, request)) ? 0 : -errno.EFAULT;
}

/** XENMEM_memory_map: the pseudo-physical map that was set for the caller. */
export function memoryMap(vcpu: Vcpu, arg: bigint): number {
  const map = vcpu.domain.memory.memoryMap;
  return map === undefined ? -errno.ENOSYS : giveMap(vcpu, arg, map);
}

/** XENMEM_machine_memory_map: the machine's, with the interrupt controllers that dom0 may not map as reserved ranges. */
export function machineMemoryMap(vcpu: Vcpu, arg: bigint): number {
  if (!vcpu.domain.privileged) return -errno.EPERM;
  const denied = DENIED_IOMEM.map(({ first, last }) => ({
    address: first * 4096,
    size: (last - first + 1) * 4096,
    type: E820_RESERVED,
  }));
  const map = [...vcpu.domain.memory.host.machineMap, ...denied].sort((a, b) => a.address - b.address);
  return giveMap(vcpu, arg, map);
}

function giveMap(vcpu: Vcpu, arg: bigint, map: readonly E820Entry[]): number {
  const bytes = copyFromGuest(vcpu, arg, xen_memory_map.size(64));
  if (!bytes) return -errno.EFAULT;
  const request = xen_memory_map.decode(bytes, 64);
  const count = Math.min(map.length, request.nr_entries);
  const entries = new Uint8Array(count * E820_ENTRY.bytes);
  const view = new DataView(entries.buffer);
  for (let i = 0; i < count; i++) {
    const { address, size, type } = map[i]!;
    const at = i * E820_ENTRY.bytes;
    view.setBigUint64(at + E820_ENTRY.addr, BigInt(address), true);
    view.setBigUint64(at + E820_ENTRY.size, BigInt(size), true);
    view.setUint32(at + E820_ENTRY.type, type, true);
  }
  if (!copyToGuest(vcpu, request.buffer, entries)) return -errno.EFAULT;
  request.nr_entries = count;
  return copyToGuest(vcpu, arg, xen_memory_map.encode(64, request)) ? 0 : -errno.EFAULT;
}

/** XENMEM_set_memory_map: the toolstack's, for a domain that it builds. */
export function setMemoryMap(vcpu: Vcpu, arg: bigint): number {
  const bytes = copyFromGuest(vcpu, arg, xen_foreign_memory_map.size(64));
  if (!bytes) return -errno.EFAULT;
  const { domid, map } = xen_foreign_memory_map.decode(bytes, 64);
  if (map.nr_entries > MAX_ENTRIES) return -errno.E2BIG;
  if (!vcpu.domain.privileged) return -errno.EPERM;
  const subject = subjectOf(vcpu.domain.memory, domid);
  if (typeof subject === "number") return subject;
  const entries = copyFromGuest(vcpu, map.buffer, map.nr_entries * E820_ENTRY.bytes);
  if (!entries) return -errno.EFAULT;
  const view = new DataView(entries.buffer);
  subject.memoryMap = Array.from({ length: map.nr_entries }, (_, i) => ({
    address: Number(view.getBigUint64(i * E820_ENTRY.bytes + E820_ENTRY.addr, true)),
    size: Number(view.getBigUint64(i * E820_ENTRY.bytes + E820_ENTRY.size, true)),
    type: view.getUint32(i * E820_ENTRY.bytes + E820_ENTRY.type, true),
  }));
  return 0;
}

/** XENMEM_current_reservation, XENMEM_maximum_reservation, XENMEM_maximum_gpfn: a number about a domain. */
export function reservationOf(vcpu: Vcpu, arg: bigint, figure: (memory: DomainMemory) => number): number {
  const bytes = copyFromGuest(vcpu, arg, xen_memory_domain.size(64));
  if (!bytes) return -errno.EFAULT;
  const subject = subjectOf(vcpu.domain.memory, xen_memory_domain.decode(bytes, 64).domid);
  return typeof subject === "number" ? subject : figure(subject);
}
