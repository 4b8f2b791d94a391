// Page table entries as the hypervisor handles them: two 32-bit halves, because entries are read by the hundred thousand and
// bigints cost an allocation each. Bits: SDM 3A 4.5, table 4-20; bit 52 is Xen's mark for a guest kernel page (below).

export const PTE_P = 1;
export const PTE_RW = 2;
export const PTE_US = 4;
export const PTE_A = 0x20;
export const PTE_D = 0x40;
export const PTE_G = 0x100;

/** Set by Xen, in the high half, in leaf entries of a 64-bit guest that lack U/S: all its pages run at CPL 3, so U/S is added. */
export const PTE_HIGH_GUEST_KERNEL = 1 << 20;
/** No execute, in the high half. */
export const PTE_HIGH_NX = 0x8000_0000;

/** Bits of a table entry (level 2 and up) that a guest may not set: PWT, PCD, PS, G. */
export const TABLE_DISALLOWED = 0x198;
/** High-half address bits above the 40 that a machine address may have. */
export const PTE_HIGH_BEYOND = 0x000f_ff00;

/** Bits in which an entry may differ from the old one and still need the same references: low and high half. */
export const SAME_REFERENCES_LOW = 0x198 | 0xe00 | PTE_A | PTE_D | PTE_US;
export const SAME_REFERENCES_HIGH = 0xfff0_0000;

/** First and last L4 slot that belong to the hypervisor (xen-x86_64.h: ffff800000000000-ffff87ffffffffff). */
export const FIRST_XEN_SLOT = 256;
export const LAST_XEN_SLOT = 271;

export const PTE_SIZE = 8;
export const PTES_PER_PAGE = 512;

/** Frame number of an entry: 40 bits. */
export function pteFrame(low: number, high: number): number {
  return (high & 0xf_ffff) * 0x10_0000 + (low >>> 12);
}

export function isGuestSlot(level: number, slot: number): boolean {
  return level !== 4 || slot < FIRST_XEN_SLOT || slot > LAST_XEN_SLOT;
}
