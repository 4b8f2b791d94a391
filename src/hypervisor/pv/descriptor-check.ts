// Which segment descriptors a 64-bit PV guest may have (arch-x86/xen.h: update_descriptor, set_gdt). Guest kernel and guest
// user both run at CPL 3, so a code or data segment below DPL 3 is raised to it; system descriptors (TSS, LDT, gates) are
// refused, because nothing but the hypervisor may own them.

import type { MachineMemory } from "../../mmu/machine-memory.js";

const S = 1n << 44n; // code or data
const DPL = 3n << 45n;
const P = 1n << 47n;
const TYPE = 0xfn << 40n;

/**
 * @param descriptor 8 bytes as in a descriptor table.
 * @returns the descriptor as it may be installed (DPL raised to 3), or undefined when the guest may not have it.
 */
export function checkDescriptor(descriptor: bigint): bigint | undefined {
  // Not present: every use faults, so nothing in it matters.
  if (!(descriptor & P)) return descriptor;
  if (descriptor & S) return descriptor | DPL;
  // Type 0 is invalid wherever it is used: harmless.
  if (!(descriptor & TYPE)) return descriptor | DPL;
  return undefined;
}

/** Entries from selector 0xe000 on: the flat segments that Xen puts at the end of every GDT (arch-x86/xen-x86_64.h). */
export const XEN_GDT_ENTRIES: readonly bigint[] = [
  0n,
  0x00af_9b00_0000_ffffn, // e008: ring 0 code, 64-bit
  0x00cf_9300_0000_ffffn, // e010: ring 0 data
  0n,
  0x00cf_fb00_0000_ffffn, // e023: ring 3 code, compatibility
  0x00cf_f300_0000_ffffn, // e02b: ring 3 data
  0x00af_fb00_0000_ffffn, // e033: ring 3 code, 64-bit
  0x00cf_9b00_0000_ffffn, // e038: ring 0 code, compatibility
];

/**
 * Checks a frame that becomes a descriptor page and corrects its entries in place.
 * @returns false when an entry is refused (entries before it may have been corrected).
 */
export function validateDescriptorPage(memory: MachineMemory, mfn: number): boolean {
  for (let at = mfn * 4096; at < (mfn + 1) * 4096; at += 8) {
    const descriptor = memory.readU64(at);
    const checked = checkDescriptor(descriptor);
    if (checked === undefined) return false;
    if (checked !== descriptor) memory.writeU64(at, checked);
  }
  return true;
}

/** Splits a code or data descriptor into base, byte-granular limit and attributes in SEG_ATTR layout (state-layout.ts). */
export function unpackDescriptor(descriptor: bigint): { base: bigint; limit: number; attributes: number } {
  const base = ((descriptor >> 16n) & 0xff_ffffn) | (((descriptor >> 56n) & 0xffn) << 24n);
  const low = Number(descriptor & 0xffffn) | (Number((descriptor >> 48n) & 0xfn) << 16);
  const granular = (descriptor & (1n << 55n)) !== 0n;
  const limit = granular ? ((low << 12) | 0xfff) >>> 0 : low;
  const attributes = Number((descriptor >> 40n) & 0xffn) | (Number((descriptor >> 52n) & 0xfn) << 12);
  return { base, limit, attributes };
}
