// Legacy and REX prefixes (SDM volume 2, section 2.1.1 and 2.2.1). REX counts only directly before the opcode; of F2 and F3
// the last one wins; in 64-bit mode the ES CS SS DS overrides do nothing.

/** The prefixes of one instruction; one reused object. */
export interface Prefixes {
  operandSize: boolean;
  addressSize: boolean;
  lock: boolean;
  rep: 0 | 2 | 3;
  /** Segment 0-5, or -1. */
  segment: number;
  /** REX byte, or 0. */
  rex: number;
}

const KIND_NONE = 0;
const KIND_OPERAND = 7;
const KIND_ADDRESS = 8;
const KIND_LOCK = 9;
const KIND_REPNE = 10;
const KIND_REP = 11;
const KIND_REX = 12;

/** 1-6: segment + 1. */
const KINDS = new Uint8Array(256);
KINDS[0x26] = 1;
KINDS[0x2e] = 2;
KINDS[0x36] = 3;
KINDS[0x3e] = 4;
KINDS[0x64] = 5;
KINDS[0x65] = 6;
KINDS[0x66] = KIND_OPERAND;
KINDS[0x67] = KIND_ADDRESS;
KINDS[0xf0] = KIND_LOCK;
KINDS[0xf2] = KIND_REPNE;
KINDS[0xf3] = KIND_REP;
KINDS.fill(KIND_REX, 0x40, 0x50);

export function newPrefixes(): Prefixes {
  return { operandSize: false, addressSize: false, lock: false, rep: 0, segment: -1, rex: 0 };
}

/** Returns the offset of the opcode, or -1 when the bytes end first. */
export function scanPrefixes(bytes: Uint8Array, start: number, limit: number, is64: boolean, out: Prefixes): number {
  out.operandSize = false;
  out.addressSize = false;
  out.lock = false;
  out.rep = 0;
  out.segment = -1;
  out.rex = 0;
  for (let at = start; at < limit; at++) {
    const byte = bytes[at]!;
    const kind = KINDS[byte]!;
    if (kind === KIND_NONE) return at;
    if (kind === KIND_REX) {
      if (!is64) return at;
      out.rex = byte;
      continue;
    }
    out.rex = 0;
    if (kind < KIND_OPERAND) {
      if (!is64 || kind > 4) out.segment = kind - 1;
    } else if (kind === KIND_OPERAND) out.operandSize = true;
    else if (kind === KIND_ADDRESS) out.addressSize = true;
    else if (kind === KIND_LOCK) out.lock = true;
    else out.rep = kind === KIND_REPNE ? 2 : 3;
  }
  return -1;
}
