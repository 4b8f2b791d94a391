// The soft TLB in linear memory: direct-mapped, one array per address space. An entry holds the page address for which reads
// hit, the one for which writes hit, and what to add to the low 32 bits of a virtual address to get the linear one.
// Tags are negated page addresses: an address plus its page's tag is the offset in the page, which one comparison shows to leave room
// for the access. Tags that say nothing are those of pages with other entries. Code lookups have a smaller array after the data entries.
// Fewer entries make neighbours of a kernel: with 1024 its data, per-CPU pages and direct map met in the same ones at each page fault.

export const TLB_ENTRY_SHIFT = 5; // 32 bytes an entry
export const TLB_ENTRIES = 4096;
export const TLB_INDEX_MASK = TLB_ENTRIES - 1;
export const TLB_READ = 0; // i64 tag
export const TLB_WRITE = 8; // i64 tag
export const TLB_LINEAR = 16; // i32
/** The tag of an entry, by its index, that hits for nothing. */
export const emptyTag = (index: number): number => (index === 0 ? -4096 : 0);
export const TLB_BYTES = TLB_ENTRIES << TLB_ENTRY_SHIFT;

/** Parts of the TLB, a bit of a word each: those whose entries may write to a frame are known (MachineMemory.frameWriters). */
const TLB_PARTS = 32;
/** Entries of a part, as a power of two. */
export const TLB_PART_SHIFT = Math.log2(TLB_ENTRIES / TLB_PARTS);

export const CODE_TLB_ENTRY_SHIFT = 4; // 16 bytes an entry
export const CODE_TLB_ENTRIES = 2048;
export const CODE_TLB_TAG = 0; // i64: virtual page address | code mode
/** A byte of tags that say nothing. */
export const CODE_TLB_EMPTY = 0xff;
export const CODE_TLB_PAGE = 8; // u32: linear address of the code page's record table
export const CODE_TLB_BYTES = CODE_TLB_ENTRIES << CODE_TLB_ENTRY_SHIFT;

export const ADDRESS_SPACE_BYTES = TLB_BYTES + CODE_TLB_BYTES;
