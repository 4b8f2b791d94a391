// Packed integer arithmetic, logic and comparison on XMM and MMX registers (SDM volume 1, sections 5.4.3-5.4.6, 5.6.3, 5.8,
// 5.10). Most are one Wasm SIMD operation.

import type { Emitter, Semantics, SemanticsTable } from "../../emit/emitter.js";
import type { Value } from "../../wasm/function-builder.js";
import { I8x16, I16x8, I32x4, I64x2, splatConstant, swizzle, V128, v1, v2 } from "../../wasm/simd.js";
import { type MmxForm, type PackedFunction, packed, readAligned } from "./registers.js";

const simple: Readonly<Record<string, number>> = {
  PADDB: I8x16.add,
  PADDW: I16x8.add,
  PADDD: I32x4.add,
  PADDQ: I64x2.add,
  PADDSB: I8x16.addSatS,
  PADDSW: I16x8.addSatS,
  PADDUSB: I8x16.addSatU,
  PADDUSW: I16x8.addSatU,
  PSUBB: I8x16.sub,
  PSUBW: I16x8.sub,
  PSUBD: I32x4.sub,
  PSUBQ: I64x2.sub,
  PSUBSB: I8x16.subSatS,
  PSUBSW: I16x8.subSatS,
  PSUBUSB: I8x16.subSatU,
  PSUBUSW: I16x8.subSatU,
  PCMPEQB: I8x16.eq,
  PCMPEQW: I16x8.eq,
  PCMPEQD: I32x4.eq,
  PCMPEQQ: I64x2.eq,
  PCMPGTB: I8x16.gtS,
  PCMPGTW: I16x8.gtS,
  PCMPGTD: I32x4.gtS,
  PCMPGTQ: I64x2.gtS,
  PMINSB: I8x16.minS,
  PMINSW: I16x8.minS,
  PMINSD: I32x4.minS,
  PMINUB: I8x16.minU,
  PMINUW: I16x8.minU,
  PMINUD: I32x4.minU,
  PMAXSB: I8x16.maxS,
  PMAXSW: I16x8.maxS,
  PMAXSD: I32x4.maxS,
  PMAXUB: I8x16.maxU,
  PMAXUW: I16x8.maxU,
  PMAXUD: I32x4.maxU,
  PAVGB: I8x16.avgrU,
  PAVGW: I16x8.avgrU,
  PMULLW: I16x8.mul,
  PMULLD: I32x4.mul,
  PMADDWD: I32x4.dotI16,
  PAND: V128.and,
  POR: V128.or,
  PXOR: V128.xor,
  ANDPS: V128.and,
  ANDPD: V128.and,
  ORPS: V128.or,
  ORPD: V128.or,
  XORPS: V128.xor,
  XORPD: V128.xor,
};

const andNot: PackedFunction = (e, a, b) => v2(e, V128.andNot, b, a);

const HIGH_WORDS = [2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31];
const EVEN_DWORDS = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];

const multiplyHigh =
  (low: number, high: number): PackedFunction =>
  (e, a, b) =>
    e.shuffle(v2(e, low, a, b), v2(e, high, a, b), HIGH_WORDS);

/** Even dwords to quadwords. */
const multiplyEven =
  (opcode: number): PackedFunction =>
  (e, a, b) =>
    v2(e, opcode, e.shuffle(a, a, EVEN_DWORDS), e.shuffle(b, b, EVEN_DWORDS));

const shift = (e: Emitter, opcode: number, a: Value, count: number) => e.op("v128", opcode, [a, e.i32(count)]);

/** Unsigned bytes of a times signed bytes of b, neighbours added with saturation. */
const multiplyAddBytes: PackedFunction = (e, a, b) => {
  const aEven = v2(e, V128.and, a, splatConstant(e, 16, 0xffn));
  const aOdd = shift(e, I16x8.shrU, a, 8);
  const bEven = shift(e, I16x8.shrS, shift(e, I16x8.shl, b, 8), 8);
  const bOdd = shift(e, I16x8.shrS, b, 8);
  return v2(e, I16x8.addSatS, v2(e, I16x8.mul, aEven, bEven), v2(e, I16x8.mul, aOdd, bOdd));
};

/** As Wasm's q15mulr, but -1 * -1 wraps instead of saturating. */
const multiplyRoundScale: PackedFunction = (e, a, b) => {
  const least = splatConstant(e, 16, 0x8000n);
  const both = v2(e, V128.and, v2(e, I16x8.eq, a, least), v2(e, I16x8.eq, b, least));
  return v2(e, V128.xor, v2(e, I16x8.q15mulrSatS, a, b), both);
};

/** Sums of the absolute differences of each half's bytes. */
const sumOfDifferences: PackedFunction = (e, a, b) => {
  const difference = v2(e, V128.or, v2(e, I8x16.subSatU, a, b), v2(e, I8x16.subSatU, b, a));
  const dwords = e.let(v1(e, I32x4.extaddPairwiseU16, v1(e, I16x8.extaddPairwiseU8, difference)));
  const low = v2(e, V128.and, dwords, splatConstant(e, 64, 0xffffffffn));
  return v2(e, I64x2.add, low, shift(e, I64x2.shrU, dwords, 32));
};

const EVEN: Readonly<Record<number, readonly number[]>> = {
  16: [0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29],
  32: [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27],
};

/** Neighbouring lanes combined: those of a give the low half, those of b the high one. */
const horizontal =
  (bits: number, opcode: number): PackedFunction =>
  (e, a, b) => {
    const even = EVEN[bits]!;
    const odd = even.map((at) => at + bits / 8);
    return v2(e, opcode, e.shuffle(a, b, even), e.shuffle(a, b, odd));
  };

/** a negated, kept or cleared by the sign of b. */
const sign =
  (lane: { gtS: number; eq: number; sub: number }): PackedFunction =>
  (e, a, b) => {
    const zero = e.v128(0n, 0n);
    const negative = e.let(v2(e, lane.gtS, zero, b));
    const signed = v2(e, lane.sub, v2(e, V128.xor, a, negative), negative);
    return v2(e, V128.andNot, signed, v2(e, lane.eq, b, zero));
  };

const absolute =
  (opcode: number): PackedFunction =>
  (e, _a, b) =>
    v1(e, opcode, b);

/** The least word and its index: each word becomes value << 16 | index, then a minimum over all. */
const minimumPosition: PackedFunction = (e, _a, b) => {
  const indexed = (extend: number, first: number) =>
    v2(
      e,
      V128.or,
      shift(e, I32x4.shl, v1(e, extend, b), 16),
      e.v128(BigInt(first) | (BigInt(first + 1) << 32n), BigInt(first + 2) | (BigInt(first + 3) << 32n)),
    );
  const four = e.let(v2(e, I32x4.minU, indexed(I32x4.extendLowU, 0), indexed(I32x4.extendHighU, 4)));
  const two = e.let(v2(e, I32x4.minU, four, e.shuffle(four, four, rotation(8))));
  const one = v2(e, I32x4.minU, two, e.shuffle(two, two, rotation(4)));
  // The result has the value below the index.
  const swapped = [2, 3, 0, 1].concat(new Array(12).fill(16));
  return e.shuffle(one, e.v128(0n, 0n), swapped);
};

function rotation(bytes: number): number[] {
  return Array.from({ length: 16 }, (_, i) => (i + bytes) % 16);
}

/** Bytes of a chosen by the low bits of b's bytes; bit 7 clears. */
const shuffleBytes =
  (mask: bigint): PackedFunction =>
  (e, a, b) =>
    swizzle(e, a, v2(e, V128.and, b, splatConstant(e, 8, mask)));

const interleave = (bits: number, high: boolean): PackedFunction => {
  const bytes = bits / 8;
  const lanes: number[] = [];
  for (let i = 0; i < 8 / bytes; i++) {
    const first = (high ? 8 : 0) + i * bytes;
    for (const from of [first, 16 + first]) for (let k = 0; k < bytes; k++) lanes.push(from + k);
  }
  return (e, a, b) => e.shuffle(a, b, lanes);
};

const two =
  (opcode: number): PackedFunction =>
  (e, a, b) =>
    v2(e, opcode, a, b);

type Entry = PackedFunction | readonly [PackedFunction, MmxForm, PackedFunction?];

const compound: Readonly<Record<string, Entry>> = {
  PANDN: andNot,
  ANDNPS: andNot,
  ANDNPD: andNot,
  PMULHW: multiplyHigh(I32x4.extmulLowS, I32x4.extmulHighS),
  PMULHUW: multiplyHigh(I32x4.extmulLowU, I32x4.extmulHighU),
  PMULUDQ: multiplyEven(I64x2.extmulLowU),
  PMULDQ: multiplyEven(I64x2.extmulLowS),
  PMADDUBSW: multiplyAddBytes,
  PMULHRSW: multiplyRoundScale,
  PSADBW: sumOfDifferences,
  PSIGNB: sign(I8x16),
  PSIGNW: sign(I16x8),
  PSIGND: sign(I32x4),
  PABSB: absolute(I8x16.abs),
  PABSW: absolute(I16x8.abs),
  PABSD: absolute(I32x4.abs),
  PHMINPOSUW: minimumPosition,
  PHADDW: [horizontal(16, I16x8.add), "joined"],
  PHADDD: [horizontal(32, I32x4.add), "joined"],
  PHADDSW: [horizontal(16, I16x8.addSatS), "joined"],
  PHSUBW: [horizontal(16, I16x8.sub), "joined"],
  PHSUBD: [horizontal(32, I32x4.sub), "joined"],
  PHSUBSW: [horizontal(16, I16x8.subSatS), "joined"],
  PACKSSWB: [two(I8x16.narrowS), "joined"],
  PACKUSWB: [two(I8x16.narrowU), "joined"],
  PACKSSDW: [two(I16x8.narrowS), "joined"],
  PACKUSDW: two(I16x8.narrowU),
  PSHUFB: [shuffleBytes(0x8fn), "low", shuffleBytes(0x87n)],
  PUNPCKLBW: interleave(8, false),
  PUNPCKLWD: interleave(16, false),
  PUNPCKLDQ: interleave(32, false),
  PUNPCKLQDQ: interleave(64, false),
  UNPCKLPS: interleave(32, false),
  UNPCKLPD: interleave(64, false),
  PUNPCKHBW: [interleave(8, true), "high", interleave(8, false)],
  PUNPCKHWD: [interleave(16, true), "high", interleave(16, false)],
  PUNPCKHDQ: [interleave(32, true), "high", interleave(32, false)],
  PUNPCKHQDQ: interleave(64, true),
  UNPCKHPS: interleave(32, true),
  UNPCKHPD: interleave(64, true),
};

/** PTEST: ZF when src & dst is zero, CF when src & ~dst is; the other flags are cleared. */
const packedTest: Semantics = (e, dst, src) => {
  const b = readAligned(e, src);
  const a = dst.read();
  const none = (v: Value) => e.eqz(e.op("i32", V128.anyTrue, [v]));
  const zf = none(v2(e, V128.and, a, b));
  const cf = none(v2(e, V128.andNot, b, a));
  e.setStatusFlags(e.or(e.shl(zf, e.i32(6)), cf));
};

export const packedIntegerSemantics: SemanticsTable = {
  ...Object.fromEntries(Object.entries(simple).map(([key, opcode]) => [key, packed(two(opcode))])),
  ...Object.fromEntries(
    Object.entries(compound).map(([key, entry]) => [
      key,
      typeof entry === "function" ? packed(entry) : packed(...entry),
    ]),
  ),
  PTEST: packedTest,
};
