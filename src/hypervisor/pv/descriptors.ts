// A PV vCPU's descriptor tables. The GDT is the guest's own frames (at most 14 pages, set_gdt) followed by Xen's flat
// segments from selector 0xe000 on; the LDT is a range of guest kernel addresses (MMUEXT_SET_LDT). Frames that hold
// descriptors have the type SegDesc: they were checked, and only update_descriptor changes them, so what a selector names here
// is safe to load. LDT pages are looked up at first use, as Xen does it.

import { FIRST_RESERVED_GDT_ENTRY } from "../public/arch-x86/xen.js";
import { XEN_GDT_ENTRIES } from "./descriptor-check.js";
import type { PvContext, PvHost } from "./pv-context.js";
import { translateIn } from "./translate.js";

const ENTRIES_PER_PAGE = 512;
const TABLE_INDICATOR = 4;
export const MAX_LDT_ENTRIES = 8192;

/** The 8-byte descriptor of a selector, or undefined when it lies outside its table. */
export function readDescriptor(host: PvHost, vcpu: PvContext, selector: number): bigint | undefined {
  const index = selector >>> 3;
  if (selector & TABLE_INDICATOR) return readLdt(host, vcpu, index);
  const { gdtFrames, gdtEntries } = vcpu.pv;
  if (index >= FIRST_RESERVED_GDT_ENTRY) return XEN_GDT_ENTRIES[index - FIRST_RESERVED_GDT_ENTRY];
  if (index >= gdtEntries) return undefined;
  const frame = gdtFrames[index >>> 9]!;
  return host.memory.readU64(frame * 4096 + (index % ENTRIES_PER_PAGE) * 8);
}

function readLdt(host: PvHost, vcpu: PvContext, index: number): bigint | undefined {
  const { pv } = vcpu;
  if (index >= pv.ldtEntries) return undefined;
  // Another root may map other frames there.
  if (pv.ldtRoot !== pv.guestTable) invalidateLdt(host, vcpu);
  pv.ldtRoot = pv.guestTable;
  const page = index >>> 9;
  let frame = pv.ldtFrames.get(page);
  if (frame === undefined) {
    const maddr = translateIn(host, pv.guestTable, BigInt.asUintN(64, pv.ldtBase + BigInt(page * 4096)), false);
    if (maddr < 0) return undefined;
    frame = Math.floor(maddr / 4096);
    if (!host.getDescriptorPage(vcpu, frame)) return undefined;
    pv.ldtFrames.set(page, frame);
  }
  return host.memory.readU64(frame * 4096 + (index % ENTRIES_PER_PAGE) * 8);
}

/**
 * Installs the guest's GDT frames.
 * @param frames machine frames, ceil(entries / 512) of them.
 * @returns false (and nothing changed) when there are too many entries or a frame can't be a descriptor page of the domain.
 */
export function setGdt(host: PvHost, vcpu: PvContext, frames: readonly number[], entries: number): boolean {
  const pages = Math.ceil(entries / ENTRIES_PER_PAGE);
  if (entries > FIRST_RESERVED_GDT_ENTRY || frames.length < pages) return false;
  const taken: number[] = [];
  for (let i = 0; i < pages; i++) {
    if (!host.getDescriptorPage(vcpu, frames[i]!)) {
      for (const frame of taken) host.putDescriptorPage(frame);
      return false;
    }
    taken.push(frames[i]!);
  }
  clearGdt(host, vcpu);
  vcpu.pv.gdtFrames.push(...taken);
  vcpu.pv.gdtEntries = entries;
  return true;
}

export function clearGdt(host: PvHost, vcpu: PvContext): void {
  const { pv } = vcpu;
  pv.gdtEntries = 0;
  for (const frame of pv.gdtFrames.splice(0)) host.putDescriptorPage(frame);
}

/** MMUEXT_SET_LDT: `base` page-aligned (0 entries: none). False for arguments that Xen refuses with -EINVAL. */
export function setLdt(host: PvHost, vcpu: PvContext, base: bigint, entries: number): boolean {
  if (entries > MAX_LDT_ENTRIES || base & 0xfffn) return false;
  invalidateLdt(host, vcpu);
  vcpu.pv.ldtBase = base;
  vcpu.pv.ldtEntries = entries;
  return true;
}

/** Drops the looked-up LDT pages: their mapping changed, or the LDT did. */
export function invalidateLdt(host: PvHost, vcpu: PvContext): void {
  const { ldtFrames } = vcpu.pv;
  if (ldtFrames.size === 0) return;
  for (const frame of ldtFrames.values()) host.putDescriptorPage(frame);
  ldtFrames.clear();
}
