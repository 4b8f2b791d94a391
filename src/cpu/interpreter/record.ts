// A predecoded instruction in linear memory. Records of one decoded run are contiguous, so the next instruction's record is
// the next RECORD_SIZE bytes. Nothing in a record depends on the virtual address its page is mapped at.

export const HANDLER = 0; // u32: slot in the dispatch table
export const OFFSET = 4; // u16: page offset of the instruction
export const LENGTH = 6; // u8
/** u8: segment number of the memory operand (0-5). */
export const SEGMENT = 7;
/** u16 each: state offsets of operand slots 0-3, for registers; the number itself for segment, control, debug and ST operands. */
export const OPERAND = 8;
/** u16 each: state offsets of base, index and segment base (ZERO_SLOT where absent). */
export const BASE = 16;
export const INDEX = 18;
export const SEGMENT_BASE = 20;
export const SCALE = 22; // u8: shift
/** u8: 1 for jumps and calls to computed addresses. */
export const COMPUTED = 23;
export const DISPLACEMENT = 24; // i64
/** i64: immediate; for relative branches the target minus the page's address. */
export const IMMEDIATE = 32;
/** u32: record of a direct branch's target in the same page, once known. */
export const LINK = 40;
/** u32: linear address of the code page's table (4096 record addresses by page offset). */
export const PAGE = 44;
/** i32: second immediate. */
export const IMMEDIATE2 = 48;
/** u8: bits of Compiled. */
export const COMPILED = 52;
/** u8: 1 when it ran while the dispatch loop noted what runs. */
export const RAN = 53;
/** u16: times it was found hot, or, where a region is entered, entered. */
export const HEAT = 54;
/**
 * i32, of a record that enters a compiled region: which entry it is (low 12 bits), and how far its page lies from the region's first
 * one (the rest).
 */
export const ENTRY = 56;
/** u32: number of the region that the record enters; of a record that only lies in one, with REGION_INSIDE. */
export const REGION = 60;
export const REGION_INSIDE = 0x80000000;
export const RECORD_SIZE = 64;

export const Compiled = {
  /** Part of a compiled region. */
  Inside: 1,
  /** Runs a region: HANDLER is its slot. */
  Enters: 2,
  /** Its region is being compiled. */
  Waiting: 4,
  /** No region can start here. */
  Never: 8,
  /** Part of a region that is being compiled. */
  Coming: 16,
} as const;
