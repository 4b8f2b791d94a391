// Conversions between integers, singles and doubles (SDM volume 1, 11.4.4 and 11.6). Exact ones hold under any MXCSR; inexact
// ones take the fast path when PE is settled and rounding is the one Wasm has.

import type { Emitter, Operand, Semantics, SemanticsTable } from "../../emit/emitter.js";
import * as S from "../../state-layout.js";
import type { Value } from "../../wasm/function-builder.js";
import { F32x4, F64x2, half, I32x4, splat, splatConstant, v1, v2 } from "../../wasm/simd.js";
import { lowLane, readFloat, writeFloat } from "./float.js";
import {
  all,
  and,
  callHost,
  FLOAT,
  type FloatBits,
  isPlain,
  isZero,
  or,
  ordinaryMxcsr,
  orHost,
  precisionSettled,
} from "./float-check.js";
import { checkPendingX87, enterMmxState, readAligned, readLow, writeMmx } from "./registers.js";

/** Bit pattern of a double. */
function pattern64(value: number): bigint {
  return new BigUint64Array(new Float64Array([value]).buffer)[0]!;
}
function pattern32(value: number): bigint {
  return BigInt(new Uint32Array(new Float32Array([value]).buffer)[0]!);
}

// --- to general registers: scalar Wasm operations ---

interface Scalar {
  readonly reinterpret: number;
  readonly abs: number;
  readonly nearest: number;
  readonly eq: number;
  readonly ge: number;
  readonly le: number;
  /** Saturating truncation to i32 and i64, and their inverses. */
  readonly to: Readonly<Record<number, number>>;
  readonly from: Readonly<Record<number, number>>;
  /** Largest magnitude that fits i32 and i64 whatever the rounding. */
  readonly limit: Readonly<Record<number, bigint>>;
}

const SCALAR: Readonly<Record<FloatBits, Scalar>> = {
  32: {
    reinterpret: 0xbe,
    abs: 0x8b,
    nearest: 0x90,
    eq: 0x5b,
    ge: 0x60,
    le: 0x5f,
    to: { 32: 0xfc00, 64: 0xfc04 },
    from: { 32: 0xb2, 64: 0xb4 },
    limit: { 32: pattern32(2 ** 31 - 128), 64: pattern32(2 ** 63 - 2 ** 39) },
  },
  64: {
    reinterpret: 0xbf,
    abs: 0x99,
    nearest: 0x9e,
    eq: 0x61,
    ge: 0x66,
    le: 0x65,
    to: { 32: 0xfc02, 64: 0xfc06 },
    from: { 32: 0xb7, 64: 0xb9 },
    limit: { 32: pattern64(2 ** 31 - 2), 64: pattern64(2 ** 63 - 1024) },
  },
};

const typeOf = (bits: FloatBits) => (bits === 64 ? "f64" : "f32");

function scalarConstant(e: Emitter, bits: FloatBits, pattern: bigint): Value {
  return e.op(typeOf(bits), SCALAR[bits].reinterpret, [e.constant(bits, pattern)]);
}

/** CVTSS2SI, CVTTSD2SI...: a float to a signed integer register. */
const toRegister =
  (bits: FloatBits, truncate: boolean): Semantics =>
  (e, dst, src) => {
    const s = SCALAR[bits];
    const type = typeOf(bits);
    const raw = e.let(readLow(src, bits));
    const a = e.let(e.op(type, s.reinterpret, [raw]));
    const rounded = e.let(truncate ? a : e.op(type, s.nearest, [a]));
    const value = e.let(e.op(e.typeOf(dst.size), s.to[dst.size]!, [rounded]));
    const magnitude = e.let(e.op(type, s.abs, [a]));
    const fits = e.op("i32", s.le, [magnitude, scalarConstant(e, bits, s.limit[dst.size]!)]);
    const zero = e.eqz(e.shl(raw, e.constant(bits, 1)));
    const plain = e.or(e.op("i32", s.ge, [magnitude, scalarConstant(e, bits, FLOAT[bits].least)]), zero);
    const exact = e.op("i32", s.eq, [e.op(type, s.from[dst.size]!, [value]), a]);
    const settled = truncate ? precisionSettled(e) : ordinaryMxcsr(e);
    const ordinary = e.and(e.and(fits, plain), e.or(exact, settled));
    const result = e.mutable(value);
    e.if(e.eqz(ordinary), () => {
      callHost(e, `float.toInteger${truncate ? "Truncated" : ""}.${bits}.${dst.size}x1`, splat(e, bits, raw));
      e.set(result, e.stateLoad(e.typeOf(dst.size), S.ARGS));
    });
    dst.write(e.get(result));
  };

/** CVTSI2SS, CVTSI2SD. */
const fromRegister =
  (bits: FloatBits): Semantics =>
  (e, dst, src) => {
    const value = src.read();
    const type = typeOf(bits);
    const float = e.op(type, SCALAR[bits].from[src.size]!, [value]);
    // Back to the bit pattern: i32.reinterpret_f32, i64.reinterpret_f64.
    const fast = e.let(e.op(bits === 64 ? "i64" : "i32", bits === 64 ? 0xbd : 0xbc, [float]));
    if (bits === 64 && src.size === 32) {
      dst.part(0, 64).write(fast);
      return;
    }
    const digits = bits === 64 ? 53n : 24n;
    const offset = e.add(value, e.constant(src.size, 1n << digits));
    const exact = e.leU(offset, e.constant(src.size, 2n << digits));
    const result = e.mutable(fast);
    e.if(e.eqz(e.or(exact, ordinaryMxcsr(e))), () => {
      callHost(e, `float.fromInteger.${src.size}.${bits}x1`, splat(e, src.size, value));
      e.set(result, e.stateLoad(bits === 64 ? "i64" : "i32", S.ARGS));
    });
    dst.part(0, bits).write(e.get(result));
  };

// --- vectors ---

/** Floats to signed dwords: 4 singles, or 2 doubles into the low half. `count` lanes matter. */
function toDwords(e: Emitter, bits: FloatBits, truncate: boolean, count: number, source: Value): Value {
  const lanes = FLOAT[bits];
  // Lanes that don't matter repeat those that do.
  const a = bits === 32 && count === 2 ? e.let(splat(e, 64, half(e, source, 0))) : source;
  const rounded = truncate ? a : v1(e, lanes.f.nearest, a);
  const value = e.let(v1(e, bits === 64 ? I32x4.truncSatF64Zero : I32x4.truncSatF32, rounded));
  const limit = bits === 64 ? pattern64(2 ** 31 - 2) : pattern32(2 ** 31 - 128);
  const fits = v2(e, lanes.f.le, v1(e, lanes.f.abs, a), splatConstant(e, bits, limit));
  const back = v1(e, bits === 64 ? F64x2.convertLowI32 : F32x4.convertI32, value);
  const exact = all(e, lanes, v2(e, lanes.f.eq, back, a));
  const settled = truncate ? precisionSettled(e) : ordinaryMxcsr(e);
  const ordinary = e.and(all(e, lanes, and(e, fits, isPlain(e, lanes, a))), e.or(exact, settled));
  return orHost(e, { value, ordinary }, `float.toInteger${truncate ? "Truncated" : ""}.${bits}.32x${count}`, a);
}

/** Signed dwords to singles. Up to 24 bits are exact. */
function dwordsToSingles(e: Emitter, count: 2 | 4, source: Value): Value {
  const a = count === 2 ? e.let(splat(e, 64, half(e, source, 0))) : source;
  const value = e.let(v1(e, F32x4.convertI32, a));
  const offset = v2(e, I32x4.add, a, splatConstant(e, 32, 1n << 24n));
  const limit = splatConstant(e, 32, 2n << 24n);
  const exact = all(e, FLOAT[32], v2(e, I32x4.eq, v2(e, I32x4.minU, offset, limit), offset));
  return orHost(e, { value, ordinary: e.or(exact, ordinaryMxcsr(e)) }, `float.fromInteger.32.32x${count}`, a);
}

/** The two low singles to doubles: exact unless a NaN or denormal needs flags. */
function singlesToDoubles(e: Emitter, count: 1 | 2, low: Value): Value {
  const a = e.let(splat(e, 64, low));
  const value = e.let(v1(e, F64x2.promoteLowF32, a));
  return orHost(e, { value, ordinary: all(e, FLOAT[32], isPlain(e, FLOAT[32], a)) }, `float.convert.32.64x${count}`, a);
}

/** Doubles to singles in the low half, the high half zero. */
function doublesToSingles(e: Emitter, count: 1 | 2, a: Value): Value {
  const lanes = FLOAT[64];
  const value = e.let(v1(e, F32x4.demoteF64Zero, a));
  const back = e.let(v1(e, F64x2.promoteLowF32, value));
  const finite = v2(e, lanes.f.le, v1(e, lanes.f.abs, back), splatConstant(e, 64, pattern64(3.4028234663852886e38)));
  const large = v2(e, lanes.f.gt, v1(e, lanes.f.abs, back), splatConstant(e, 64, pattern64(2 ** -126)));
  const mask = and(e, finite, or(e, large, isZero(e, lanes, a)), isPlain(e, lanes, a));
  const exact = all(e, lanes, v2(e, lanes.f.eq, back, a));
  const ordinary = e.and(all(e, lanes, mask), e.or(exact, ordinaryMxcsr(e)));
  return orHost(e, { value, ordinary }, `float.convert.64.32x${count}`, a);
}

const packedToDwords =
  (bits: FloatBits, truncate: boolean): Semantics =>
  (e, dst, src) =>
    dst.write(toDwords(e, bits, truncate, 128 / bits, readAligned(e, src)));

/** CVTPS2PI and relatives. Processors enter the MMX state before they find out about #XM. */
const toMmx =
  (bits: FloatBits, truncate: boolean): Semantics =>
  (e, dst, src) => {
    checkPendingX87(e);
    const source = bits === 64 ? readAligned(e, src) : e.let(splat(e, 64, readLow(src, 64)));
    enterMmxState(e);
    writeMmx(e, dst, e.let(half(e, toDwords(e, bits, truncate, 2, source), 0)));
  };

/** CVTPI2PS, CVTPI2PD: a memory source is no use of MMX. */
const fromMmx =
  (bits: FloatBits): Semantics =>
  (e, dst, src) => {
    if (src.kind === "mmx") checkPendingX87(e);
    const source = e.let(splat(e, 64, src.read()));
    if (src.kind === "mmx") enterMmxState(e);
    if (bits === 64) dst.write(v1(e, F64x2.convertLowI32, source));
    else dst.part(0, 64).write(half(e, dwordsToSingles(e, 2, source), 0));
  };

const low64 = (src: Operand) => readLow(src, 64);
const single = { lanes: FLOAT[32], packed: false };
const double = { lanes: FLOAT[64], packed: false };

export const sseConvertSemantics: SemanticsTable = {
  CVTSS2SI: toRegister(32, false),
  CVTTSS2SI: toRegister(32, true),
  CVTSD2SI: toRegister(64, false),
  CVTTSD2SI: toRegister(64, true),
  CVTSI2SS: fromRegister(32),
  CVTSI2SD: fromRegister(64),
  CVTPS2DQ: packedToDwords(32, false),
  CVTTPS2DQ: packedToDwords(32, true),
  CVTPD2DQ: packedToDwords(64, false),
  CVTTPD2DQ: packedToDwords(64, true),
  CVTPS2PI: toMmx(32, false),
  CVTTPS2PI: toMmx(32, true),
  CVTPD2PI: toMmx(64, false),
  CVTTPD2PI: toMmx(64, true),
  CVTPI2PS: fromMmx(32),
  CVTPI2PD: fromMmx(64),
  CVTDQ2PS: (e, dst, src) => dst.write(dwordsToSingles(e, 4, readAligned(e, src))),
  CVTDQ2PD: (e, dst, src) => dst.write(v1(e, F64x2.convertLowI32, splat(e, 64, low64(src)))),
  CVTPS2PD: (e, dst, src) => dst.write(singlesToDoubles(e, 2, low64(src))),
  CVTPD2PS: (e, dst, src) => dst.write(doublesToSingles(e, 2, readAligned(e, src))),
  CVTSS2SD: (e, dst, src) => {
    const a = lowLane(e, 64, readFloat(e, single, src));
    writeFloat(e, double, dst, singlesToDoubles(e, 1, a));
  },
  CVTSD2SS: (e, dst, src) => writeFloat(e, single, dst, doublesToSingles(e, 1, readFloat(e, double, src))),
};
