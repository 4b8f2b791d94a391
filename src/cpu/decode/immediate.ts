// The bytes after ModRM: immediates, relative displacements, far pointers, absolute offsets. Values are zero-extended above
// the operand's size (a 16-bit -1 is 0xFFFF); 32-bit values are signed numbers, 64-bit ones have their high half in immHi.

import type { Decoded } from "./decoded.js";
import { ImmediateKind } from "./forms.js";
import { read32 } from "./modrm.js";

const BYTES = new Uint8Array(17);
BYTES[ImmediateKind.Byte] = 1;
BYTES[ImmediateKind.SignedByte16] = 1;
BYTES[ImmediateKind.SignedByte32] = 1;
BYTES[ImmediateKind.SignedByte64] = 1;
BYTES[ImmediateKind.Word] = 2;
BYTES[ImmediateKind.Dword] = 4;
BYTES[ImmediateKind.SignedDword64] = 4;
BYTES[ImmediateKind.Qword] = 8;
BYTES[ImmediateKind.Rel8] = 1;
BYTES[ImmediateKind.Rel16] = 2;
BYTES[ImmediateKind.Rel32] = 4;
BYTES[ImmediateKind.Far16] = 4;
BYTES[ImmediateKind.Far32] = 6;
BYTES[ImmediateKind.WordByte] = 3;

/** Returns the offset after the immediate, or -1 when the bytes end first. */
export function decodeImmediate(
  bytes: Uint8Array,
  at: number,
  limit: number,
  kind: ImmediateKind,
  out: Decoded,
): number {
  const length = kind === ImmediateKind.Moffs ? out.addressSize >> 3 : BYTES[kind]!;
  if (at + length > limit) return -1;
  switch (kind) {
    case ImmediateKind.Byte:
      out.immLo = bytes[at]!;
      break;
    case ImmediateKind.SignedByte16:
      out.immLo = ((bytes[at]! << 24) >> 24) & 0xffff;
      break;
    case ImmediateKind.SignedByte32:
      out.immLo = (bytes[at]! << 24) >> 24;
      break;
    case ImmediateKind.SignedByte64:
    case ImmediateKind.Rel8:
      out.immLo = (bytes[at]! << 24) >> 24;
      out.immHi = out.immLo >> 31;
      break;
    case ImmediateKind.Word:
      out.immLo = read16(bytes, at);
      break;
    case ImmediateKind.Dword:
      out.immLo = read32(bytes, at);
      break;
    case ImmediateKind.SignedDword64:
    case ImmediateKind.Rel32:
      out.immLo = read32(bytes, at);
      out.immHi = out.immLo >> 31;
      break;
    case ImmediateKind.Qword:
      out.immLo = read32(bytes, at);
      out.immHi = read32(bytes, at + 4);
      break;
    case ImmediateKind.Rel16:
      out.immLo = (read16(bytes, at) << 16) >> 16;
      out.immHi = out.immLo >> 31;
      break;
    case ImmediateKind.Far16:
      out.immLo = read16(bytes, at);
      out.immHi = read16(bytes, at + 2);
      break;
    case ImmediateKind.Far32:
      out.immLo = read32(bytes, at);
      out.immHi = read16(bytes, at + 4);
      break;
    case ImmediateKind.Moffs:
      out.dispLo = length === 2 ? read16(bytes, at) : read32(bytes, at);
      if (length === 8) out.dispHi = read32(bytes, at + 4);
      break;
    case ImmediateKind.One:
      out.immLo = 1;
      break;
    case ImmediateKind.WordByte:
      out.immLo = read16(bytes, at);
      out.imm2 = bytes[at + 2]!;
      break;
  }
  return at + length;
}

function read16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}
