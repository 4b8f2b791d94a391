// Memory forms of ModRM and SIB (SDM volume 2, tables 2-1 to 2-3). Fills base, index, scale, displacement, and the segment.

import type { Decoded } from "./decoded.js";

const DS = 3;
const SS = 2;
/** Table 2-1: base and index of the eight 16-bit forms. */
const BASE16 = [3, 3, 5, 5, 6, 7, 5, 3] as const;
const INDEX16 = [6, 7, 6, 7, -1, -1, -1, -1] as const;

export function clearAddress(out: Decoded): void {
  out.base = -1;
  out.index = -1;
  out.scale = 0;
  out.dispLo = 0;
  out.dispHi = 0;
  out.ripRelative = false;
}

/**
 * `at`: offset after ModRM. Returns the offset after the displacement, or -1 when the bytes end first. The segment is set to
 * its default; out.addressSize is set before.
 */
export function decodeAddress(
  bytes: Uint8Array,
  at: number,
  limit: number,
  modrm: number,
  rex: number,
  is64: boolean,
  out: Decoded,
): number {
  out.segment = DS;
  if (out.addressSize === 16) return decodeAddress16(bytes, at, limit, modrm, out);
  const mod = modrm >> 6;
  const rm = modrm & 7;
  let base: number = rm;
  let index = -1;
  let next = at;
  if (rm === 4) {
    if (next >= limit) return -1;
    const sib = bytes[next++]!;
    base = sib & 7;
    index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    if (index === 4) index = -1;
    else out.scale = sib >> 6;
  }
  out.index = index;
  if (base === 5 && mod === 0) {
    if (next + 4 > limit) return -1;
    out.dispLo = read32(bytes, next);
    out.dispHi = out.dispLo >> 31;
    out.ripRelative = is64 && rm === 5;
    return next + 4;
  }
  base |= (rex & 1) << 3;
  out.base = base;
  if (base === 4 || base === 5) out.segment = SS;
  if (mod === 1) {
    if (next >= limit) return -1;
    out.dispLo = (bytes[next]! << 24) >> 24;
    next += 1;
  } else if (mod === 2) {
    if (next + 4 > limit) return -1;
    out.dispLo = read32(bytes, next);
    next += 4;
  }
  out.dispHi = out.dispLo >> 31;
  return next;
}

function decodeAddress16(bytes: Uint8Array, at: number, limit: number, modrm: number, out: Decoded): number {
  const mod = modrm >> 6;
  const rm = modrm & 7;
  const wide = mod === 2 || (mod === 0 && rm === 6);
  if (!(mod === 0 && rm === 6)) {
    out.base = BASE16[rm]!;
    out.index = INDEX16[rm]!;
    if (out.base === 5) out.segment = SS;
  }
  if (wide) {
    if (at + 2 > limit) return -1;
    out.dispLo = ((bytes[at]! | (bytes[at + 1]! << 8)) << 16) >> 16;
    out.dispHi = out.dispLo >> 31;
    return at + 2;
  }
  if (mod === 0) return at;
  if (at >= limit) return -1;
  out.dispLo = (bytes[at]! << 24) >> 24;
  out.dispHi = out.dispLo >> 31;
  return at + 1;
}

/** Little-endian, as a signed number. */
export function read32(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}
