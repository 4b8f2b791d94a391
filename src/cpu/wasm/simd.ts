// Opcodes of WebAssembly's 128-bit SIMD, by lane shape, for FunctionBuilder.op. Core specification, section 5.4.8.

import type { FunctionBuilder, Value } from "./function-builder.js";

const at = (n: number) => 0xfd00 | n;

export const swizzleOp: number = at(0x0e);

/** By bits of an integer lane: 8, 16, 32, 64. */
export const splatOp: Readonly<Record<number, number>> = { 8: at(0x0f), 16: at(0x10), 32: at(0x11), 64: at(0x12) };

export const V128 = {
  /** From memory into the lowest lane, the others zero. */
  load32Zero: at(0x5c),
  load64Zero: at(0x5d),
  not: at(0x4d),
  and: at(0x4e),
  andNot: at(0x4f),
  or: at(0x50),
  xor: at(0x51),
  bitselect: at(0x52),
  anyTrue: at(0x53),
} as const;

export const I8x16 = {
  extractU: at(0x16),
  replace: at(0x17),
  eq: at(0x23),
  gtS: at(0x27),
  abs: at(0x60),
  neg: at(0x61),
  bitmask: at(0x64),
  narrowS: at(0x65),
  narrowU: at(0x66),
  shl: at(0x6b),
  shrS: at(0x6c),
  add: at(0x6e),
  addSatS: at(0x6f),
  addSatU: at(0x70),
  sub: at(0x71),
  subSatS: at(0x72),
  subSatU: at(0x73),
  minS: at(0x76),
  minU: at(0x77),
  maxS: at(0x78),
  maxU: at(0x79),
  avgrU: at(0x7b),
} as const;

export const I16x8 = {
  extractU: at(0x19),
  replace: at(0x1a),
  eq: at(0x2d),
  gtS: at(0x31),
  extaddPairwiseU8: at(0x7d),
  abs: at(0x80),
  q15mulrSatS: at(0x82),
  narrowS: at(0x85),
  narrowU: at(0x86),
  extendLowS: at(0x87),
  extendLowU: at(0x89),
  shl: at(0x8b),
  shrS: at(0x8c),
  shrU: at(0x8d),
  add: at(0x8e),
  addSatS: at(0x8f),
  addSatU: at(0x90),
  sub: at(0x91),
  subSatS: at(0x92),
  subSatU: at(0x93),
  mul: at(0x95),
  minS: at(0x96),
  minU: at(0x97),
  maxS: at(0x98),
  maxU: at(0x99),
  avgrU: at(0x9b),
} as const;

export const I32x4 = {
  extract: at(0x1b),
  replace: at(0x1c),
  eq: at(0x37),
  gtS: at(0x3b),
  extaddPairwiseU16: at(0x7f),
  abs: at(0xa0),
  allTrue: at(0xa3),
  bitmask: at(0xa4),
  extendLowS: at(0xa7),
  extendLowU: at(0xa9),
  extendHighU: at(0xaa),
  shl: at(0xab),
  shrS: at(0xac),
  shrU: at(0xad),
  add: at(0xae),
  sub: at(0xb1),
  mul: at(0xb5),
  minS: at(0xb6),
  minU: at(0xb7),
  maxS: at(0xb8),
  maxU: at(0xb9),
  dotI16: at(0xba),
  extmulLowS: at(0xbc),
  extmulHighS: at(0xbd),
  extmulLowU: at(0xbe),
  extmulHighU: at(0xbf),
  truncSatF32: at(0xf8),
  truncSatF64Zero: at(0xfc),
} as const;

export const I64x2 = {
  extract: at(0x1d),
  replace: at(0x1e),
  allTrue: at(0xc3),
  bitmask: at(0xc4),
  extendLowS: at(0xc7),
  extendLowU: at(0xc9),
  shl: at(0xcb),
  shrS: at(0xcc),
  shrU: at(0xcd),
  add: at(0xce),
  sub: at(0xd1),
  eq: at(0xd6),
  gtS: at(0xd9),
  extmulLowS: at(0xdc),
  extmulLowU: at(0xde),
} as const;

export const F32x4 = {
  extract: at(0x1f),
  replace: at(0x20),
  eq: at(0x41),
  ne: at(0x42),
  lt: at(0x43),
  gt: at(0x44),
  le: at(0x45),
  ge: at(0x46),
  ceil: at(0x67),
  floor: at(0x68),
  trunc: at(0x69),
  nearest: at(0x6a),
  abs: at(0xe0),
  neg: at(0xe1),
  sqrt: at(0xe3),
  add: at(0xe4),
  sub: at(0xe5),
  mul: at(0xe6),
  div: at(0xe7),
  pmin: at(0xea),
  pmax: at(0xeb),
  convertI32: at(0xfa),
  demoteF64Zero: at(0x5e),
} as const;

export const F64x2 = {
  extract: at(0x21),
  replace: at(0x22),
  eq: at(0x47),
  ne: at(0x48),
  lt: at(0x49),
  gt: at(0x4a),
  le: at(0x4b),
  ge: at(0x4c),
  ceil: at(0x74),
  floor: at(0x75),
  trunc: at(0x7a),
  nearest: at(0x94),
  abs: at(0xec),
  neg: at(0xed),
  sqrt: at(0xef),
  add: at(0xf0),
  sub: at(0xf1),
  mul: at(0xf2),
  div: at(0xf3),
  pmin: at(0xf6),
  pmax: at(0xf7),
  convertLowI32: at(0xfe),
  promoteLowF32: at(0x5f),
} as const;

// --- small expressions ---

export function v2(f: FunctionBuilder, opcode: number, a: Value, b: Value): Value {
  return f.op("v128", opcode, [a, b]);
}
export function v1(f: FunctionBuilder, opcode: number, a: Value): Value {
  return f.op("v128", opcode, [a]);
}
/** All lanes of `bits` equal to a scalar (i32, or i64 for 64). */
export function splat(f: FunctionBuilder, bits: number, value: Value): Value {
  return f.op("v128", splatOp[bits]!, [value]);
}
/** A constant with all lanes of `bits` equal to `lane`. */
export function splatConstant(f: FunctionBuilder, bits: number, lane: bigint): Value {
  let half = 0n;
  for (let at = 0; at < 64; at += bits) half |= BigInt.asUintN(bits, lane) << BigInt(at);
  return f.v128(half, half);
}
/** A constant from 16 bytes. */
export function bytesConstant(f: FunctionBuilder, bytes: readonly number[]): Value {
  const half = (from: number) =>
    bytes.slice(from, from + 8).reduce((n, b, i) => n | (BigInt(b & 0xff) << BigInt(8 * i)), 0n);
  return f.v128(half(0), half(8));
}
/** Bytes of `a` chosen by the indices in `indices`; an index above 15 gives 0. */
export function swizzle(f: FunctionBuilder, a: Value, indices: Value): Value {
  return f.op("v128", swizzleOp, [a, indices]);
}
/** Half 0 or 1 as i64. */
export function half(f: FunctionBuilder, a: Value, which: 0 | 1): Value {
  return f.op("i64", I64x2.extract, [a], which);
}
/** `a` in the low half, `b` in the high one, both i64. */
export function fromHalves(f: FunctionBuilder, a: Value, b: Value): Value {
  return f.op("v128", I64x2.replace, [splat(f, 64, a), b], 1);
}
