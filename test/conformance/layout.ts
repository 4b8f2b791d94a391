// Layout of one case and one result, shared with native/harness.c, and the memory that every case sees.
// A case and a result agree on the offsets of registers, so that "what changed" is a comparison of words.
// All multi-byte fields are little-endian. See README.md.

/** Bytes of a case record, and of the register part of a result. */
export const CASE_SIZE = 1024;
/** Bytes of a result record: the register part, then memory changes from RUNS_OFFSET. */
export const RESULT_SIZE = 2048;
export const STREAM_MAGIC = 0x56454358;

/** u8 mode: 64 or 32. */
export const MODE_OFFSET = 0;
/** Case: u8 length of the code. Result: u8 exception vector that ended it (3 when the instruction completed). */
export const LENGTH_OFFSET = 1;
export const VECTOR_OFFSET = 1;
/** u32 error code of the exception. */
export const ERROR_OFFSET = 4;
export const RIP_OFFSET = 8;
/** u64 CR2 of a page fault, else 0. */
export const FAULT_ADDRESS_OFFSET = 16;
/** Six u16 in the order of segment register numbers: ES CS SS DS FS GS. */
export const SELECTORS_OFFSET = 24;
export const FS_BASE_OFFSET = 40;
export const GS_BASE_OFFSET = 48;
export const RFLAGS_OFFSET = 56;
/** Sixteen u64 in register number order: RAX RCX RDX RBX RSP RBP RSI RDI R8-R15. */
export const GPR_OFFSET = 64;
/** Case: up to 16 bytes of code. */
export const CODE_OFFSET = 192;
/** Case: u32 number of patches, then patches {u32 address, u32 length, 64 bytes}, applied over the background. */
export const PATCH_COUNT_OFFSET = 208;
export const PATCHES_OFFSET = 216;
export const PATCH_SIZE = 72;
export const PATCH_DATA_SIZE = 64;
export const PATCHES_MAX = 4;
/** The first 416 bytes of an FXSAVE64 image: FCW FSW FTW … MXCSR, ST0-7, XMM0-15. */
export const FXSAVE_OFFSET = 512;
export const FXSAVE_USED = 416;
export const FCW_OFFSET = FXSAVE_OFFSET;
export const FSW_OFFSET = FXSAVE_OFFSET + 2;
export const FTW_OFFSET = FXSAVE_OFFSET + 4;
export const MXCSR_OFFSET = FXSAVE_OFFSET + 24;
export const ST_OFFSET = FXSAVE_OFFSET + 32;
export const XMM_OFFSET = FXSAVE_OFFSET + 160;
/** Result: u32 number of runs, then runs {u32 address, u32 length, bytes padded to 4} of changed memory. */
export const RUNS_OFFSET = CASE_SIZE;

/** Three executable pages filled with INT3; the page after them is not present. Not writable by the case. */
export const CODE_BASE = 0x2000_0000;
export const CODE_SIZE = 0x3000;
/** Two writable pages, then one that is not present. */
export const DATA_BASE = 0x3000_0000;
export const DATA_SIZE = 0x2000;
export const READ_ONLY_BASE = 0x3000_3000;
export const READ_ONLY_SIZE = 0x1000;
/** One writable page between two that are not present. */
export const STACK_BASE = 0x3000_5000;
export const STACK_SIZE = 0x1000;
/** Contents before patches of the three data regions, in that order. */
export const BACKGROUND_SIZE = DATA_SIZE + READ_ONLY_SIZE + STACK_SIZE;

/** Selectors of a 64-bit Linux process (and the GDT that the machine under test must have). */
export const CODE64_SELECTOR = 0x33;
export const CODE32_SELECTOR = 0x23;
export const DATA_SELECTOR = 0x2b;

/** Offset of a guest address in the background, or -1. */
export function backgroundOffset(address: number): number {
  if (address >= DATA_BASE && address < DATA_BASE + DATA_SIZE) return address - DATA_BASE;
  if (address >= READ_ONLY_BASE && address < READ_ONLY_BASE + READ_ONLY_SIZE)
    return address - READ_ONLY_BASE + DATA_SIZE;
  if (address >= STACK_BASE && address < STACK_BASE + STACK_SIZE)
    return address - STACK_BASE + DATA_SIZE + READ_ONLY_SIZE;
  return -1;
}
