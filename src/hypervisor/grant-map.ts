// Mapping granted frames into a PV domain's page tables (grant_table.h: GNTTABOP_map_grant_ref, unmap_grant_ref). The mapped entry
// holds a reference of the frame, and for a writable one a type reference, like any other entry.

import { FrameType } from "./frame-table.js";
import type { GrantMapping } from "./grant-table.js";
import { findL1Slot } from "./guest-tables.js";
import type { Domain, Vcpu } from "./hypervisor.js";
import * as G from "./public/grant-table.js";
import { DOMID_SELF } from "./public/xen.js";

const PAGE_SIZE = 4096;
const PTE_PRESENT = 1n;
const PTE_WRITE = 2n;
const PTE_USER = 4n;
const PTE_ACCESSED = 0x20n;
const PTE_DIRTY = 0x40n;
const PTE_NX = 1n << 63n;
/** Bits 9-11 of an entry are the guest's, given in flags 16-18 (XENFEAT_gnttab_map_avail_bits). */
const AVAIL_SHIFT = 9n;

interface MapArgument {
  host_addr: bigint;
  flags: number;
  ref: number;
  dom: number;
  handle: number;
  dev_bus_addr: bigint;
}

interface UnmapArgument {
  host_addr: bigint;
  handle: number;
}

/** The domain whose grants are named; any domain may name any other: the entry decides. */
function granterOf(vcpu: Vcpu, domid: number): Domain | undefined {
  const { domain } = vcpu;
  return domid === DOMID_SELF ? domain : domain.hypervisor.findDomain(domid);
}

/** Takes the references that a mapping of the frame needs. */
function getFrame(vcpu: Vcpu, mfn: number, owner: number, isReadonly: boolean): boolean {
  const { frames } = vcpu.domain.hypervisor.mm;
  return isReadonly ? frames.getPage(mfn, owner) : frames.getPageAndType(mfn, owner, FrameType.Writable);
}

function putFrame(vcpu: Vcpu, mfn: number, isReadonly: boolean): void {
  const { frames } = vcpu.domain.hypervisor.mm;
  if (isReadonly) frames.putPage(mfn);
  else frames.putPageAndType(mfn);
}

/** Machine address of the page-table entry: named directly, or found by the virtual address. -1: none. */
function slotOf(vcpu: Vcpu, hostAddress: bigint, flags: number): number {
  const { memory } = vcpu.domain.hypervisor;
  if (!(flags & G.GNTMAP_contains_pte)) return findL1Slot(memory, vcpu.pv.guestTable, hostAddress);
  const maddr = Number(hostAddress);
  return Number.isSafeInteger(maddr) && memory.contains(maddr, 8) && maddr % 8 === 0 ? maddr : -1;
}

/** @returns a GNTST_* status */
export function mapGrant(vcpu: Vcpu, argument: MapArgument): number {
  const { flags, ref } = argument;
  const { domain } = vcpu;
  if (!(flags & (G.GNTMAP_host_map | G.GNTMAP_device_map))) return G.GNTST_bad_gntref;
  const granter = granterOf(vcpu, argument.dom);
  if (!granter) return G.GNTST_bad_domain;
  const isReadonly = (flags & G.GNTMAP_readonly) !== 0;
  const grant = granter.grants.acquire(ref, domain.id, isReadonly, true);
  if (typeof grant === "number") return grant;
  const mfn = Number(grant.frame);
  if (grant.frame >= BigInt(domain.hypervisor.mm.frames.frames) || !getFrame(vcpu, mfn, granter.id, isReadonly)) {
    granter.grants.release(ref, isReadonly);
    return G.GNTST_general_error;
  }
  const status = flags & G.GNTMAP_host_map ? installEntry(vcpu, argument, mfn) : G.GNTST_okay;
  const mapping =
    status === G.GNTST_okay
      ? domain.grants.addMapping({ granter: granter.grants, ref, mfn, flags, hostAddress: argument.host_addr })
      : undefined;
  if (!mapping) {
    putFrame(vcpu, mfn, isReadonly);
    granter.grants.release(ref, isReadonly);
    return status === G.GNTST_okay ? G.GNTST_no_space : status;
  }
  argument.handle = mapping.handle;
  argument.dev_bus_addr = BigInt(mfn) << 12n;
  return G.GNTST_okay;
}

function installEntry(vcpu: Vcpu, { host_addr, flags }: MapArgument, mfn: number): number {
  const { domain } = vcpu;
  const slot = slotOf(vcpu, host_addr, flags);
  if (slot < 0) return G.GNTST_general_error;
  let entry = (BigInt(mfn) << 12n) | PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY | PTE_USER | PTE_NX;
  if (!(flags & G.GNTMAP_readonly)) entry |= PTE_WRITE;
  entry |= BigInt((flags >>> 16) & 7) << AVAIL_SHIFT;
  const result = domain.hypervisor.mm.types.installGrantEntry(domain.memory, slot, entry);
  return result < 0 ? G.GNTST_general_error : G.GNTST_okay;
}

/** @param newAddress the entry takes over what this address's entry holds (unmap_and_replace). @returns a GNTST_* status */
export function unmapGrant(vcpu: Vcpu, { host_addr, handle }: UnmapArgument, newAddress = 0n): number {
  const { domain } = vcpu;
  const mapping = domain.grants.mapping(handle);
  if (!mapping) return G.GNTST_bad_handle;
  const isReadonly = (mapping.flags & G.GNTMAP_readonly) !== 0;
  if (mapping.flags & G.GNTMAP_host_map) {
    // Without an address the host mapping stays, and so does what it holds.
    if (host_addr === 0n) return G.GNTST_okay;
    if (host_addr !== mapping.hostAddress) return G.GNTST_general_error;
    const status = removeEntry(vcpu, mapping, newAddress);
    if (status !== G.GNTST_okay) return status;
  }
  putFrame(vcpu, mapping.mfn, isReadonly);
  mapping.granter.release(mapping.ref, isReadonly);
  domain.grants.removeMapping(handle);
  return G.GNTST_okay;
}

function removeEntry(vcpu: Vcpu, { hostAddress, flags, mfn }: GrantMapping, newAddress: bigint): number {
  const { domain } = vcpu;
  const { memory, mm } = domain.hypervisor;
  const isReadonly = (flags & G.GNTMAP_readonly) !== 0;
  const slot = slotOf(vcpu, hostAddress, flags);
  if (slot < 0) return G.GNTST_general_error;
  if (newAddress === 0n)
    return mm.types.removeGrantEntry(domain.memory, slot, mfn, isReadonly) < 0 ? G.GNTST_general_error : G.GNTST_okay;
  const source = findL1Slot(memory, vcpu.pv.guestTable, newAddress);
  if (source < 0) return G.GNTST_bad_virt_addr;
  const mapped = memory.readU64(slot);
  const removed = mm.types.removeGrantEntry(domain.memory, slot, mfn, isReadonly);
  if (removed < 0) return G.GNTST_general_error;
  if (!writeEntry(domain, slot, memory.readU64(source))) {
    // What lies there can't be moved, another grant's mapping for one: this one stays.
    mm.types.installGrantEntry(domain.memory, slot, mapped);
    return G.GNTST_general_error;
  }
  writeEntry(domain, source, 0n);
  return G.GNTST_okay;
}

/** Changes a level-1 entry as mmu_update would. */
function writeEntry(domain: Domain, slot: number, entry: bigint): boolean {
  const table = Math.floor(slot / PAGE_SIZE);
  const index = (slot % PAGE_SIZE) / 8;
  const { types } = domain.hypervisor.mm;
  const low = Number(entry & 0xffffffffn);
  return types.modify(table, index, low, Number(entry >> 32n), domain.memory, domain.id, true) === 0;
}
