// Conversions between integers, singles and doubles (SDM volume 1, 11.4.4 and 11.6). Exact ones hold under any MXCSR; inexact
// ones take the fast path when PE is settled and rounding is the one Wasm has.

import type { Emitter, Operand, Semantics, SemanticsTable } from "../../emit/emitter.js";
import { integerRange } from "../../emit/float-range.js";
import * as S from "../../state-layout.js";
import type { Value } from "../../wasm/function-builder.js";
import { F32x4, F64x2, half, I32x4, splat, splatConstant, v1, v2 } from "../../wasm/simd.js";
import {
  all,
  and,
  callHost,
  FLOAT,
  type FloatBits,
  isPlain,
  ordinaryMxcsr,
  orHost,
  precisionSettled,
} from "./float-check.js";
import { acceptOrdinary, Ordinary } from "./ordinary.js";
import { requireRanges } from "./ranged.js";
import { checkPendingX87, enterMmxState, readAligned, readLow, writeMmx } from "./registers.js";
import { float, floatConstant, isSettled, refuseDenormal, splatFloat, typeOf } from "./scalar.js";

/** Bit pattern of a double. */
function pattern64(value: number): bigint {
  return new BigUint64Array(new Float64Array([value]).buffer)[0]!;
}
function pattern32(value: number): bigint {
  return BigInt(new Uint32Array(new Float32Array([value]).buffer)[0]!);
}

// --- to general registers: scalar Wasm operations ---

/** Saturating truncation of f32 and f64 to i32 and i64, and conversions back. */
const toInteger: Readonly<Record<FloatBits, Readonly<Record<number, number>>>> = {
  32: { 32: 0xfc00, 64: 0xfc04 },
  64: { 32: 0xfc02, 64: 0xfc06 },
};
const fromInteger: Readonly<Record<FloatBits, Readonly<Record<number, number>>>> = {
  32: { 32: 0xb2, 64: 0xb4 },
  64: { 32: 0xb7, 64: 0xb9 },
};
/** Largest magnitude that fits i32 and i64 whatever the rounding. */
const integerLimit: Readonly<Record<FloatBits, Readonly<Record<number, bigint>>>> = {
  32: { 32: pattern32(2 ** 31 - 128), 64: pattern32(2 ** 63 - 2 ** 39) },
  64: { 32: pattern64(2 ** 31 - 2), 64: pattern64(2 ** 63 - 1024) },
};

/** CVTSS2SI, CVTTSD2SI...: a float to a signed integer register. */
const toRegister =
  (bits: FloatBits, truncate: boolean): Semantics =>
  (e, dst, src) => {
    const a = src.readFloat(bits);
    const rounded = e.let(truncate ? a : float(e, "nearest", a));
    const fits = float(e, "le", float(e, "abs", a), floatConstant(e, bits, integerLimit[bits][dst.size]!));
    const ranges = bits === 64 ? e.ranges : undefined;
    if (ranges) {
      requireRanges(e, ranges, a);
      ranges.refuse(e.eqz(fits));
      const integer = e.let(e.op(e.typeOf(dst.size), toInteger[bits][dst.size]!, [rounded]));
      if (ranges.exact) ranges.refuse(float(e, "ne", e.op("f64", fromInteger[bits][dst.size]!, [integer]), a));
      dst.write(integer);
      return;
    }
    const result = e.variable(e.op(e.typeOf(dst.size), toInteger[bits][dst.size]!, [rounded]));
    e.block((done) => {
      e.block((slow) => {
        e.brIf(slow, e.eqz(fits), false);
        refuseDenormal(e, slow, a);
        e.brIf(done, e.floatLimit(bits), true);
        e.brIf(done, float(e, "eq", e.op(typeOf(bits), fromInteger[bits][dst.size]!, [e.get(result)]), a));
        if (truncate) e.brIf(done, precisionSettled(e));
      });
      callHost(e, `float.toInteger${truncate ? "Truncated" : ""}.${bits}.${dst.size}x1`, splatFloat(e, a));
      if (!e.leavesForHost) e.set(result, e.stateLoad(e.typeOf(dst.size), S.ARGS));
    });
    e.markPlain(a, bits);
    dst.write(e.get(result));
  };

/** CVTSI2SS, CVTSI2SD. */
const fromRegister =
  (bits: FloatBits): Semantics =>
  (e, dst, src) => {
    const value = src.read();
    const result = e.variable(e.op(typeOf(bits), fromInteger[bits][src.size]!, [value]));
    const ranges = bits === 64 && !(e.ranges?.exact && src.size === 64) ? e.ranges : undefined;
    if (ranges) ranges.note(e.get(result), [integerRange(src.size - 1)]);
    else if (bits !== 64 || src.size !== 32) {
      e.block((done) => {
        e.brIf(done, e.floatLimit(bits), true);
        const digits = bits === 64 ? 53n : 24n;
        const offset = e.add(value, e.constant(src.size, 1n << digits));
        e.brIf(done, e.leU(offset, e.constant(src.size, 2n << digits)));
        callHost(e, `float.fromInteger.${src.size}.${bits}x1`, splat(e, src.size, value));
        if (!e.leavesForHost) e.set(result, e.stateLoad(typeOf(bits), S.ARGS));
      });
    }
    e.markPlain(e.get(result), bits);
    dst.writeFloat(bits, e.get(result));
  };

/** CVTSS2SD: exact unless a NaN or denormal needs flags. */
const widen: Semantics = (e, dst, src) => {
  const a = src.readFloat(32);
  const result = e.variable(e.op("f64", 0xbb, [a]));
  e.block((done) => {
    e.block((slow) => {
      if (!e.isPlain(a, 32)) {
        refuseDenormal(e, slow, a);
        e.brIf(slow, float(e, "ne", a, a));
      }
      e.br(done);
    });
    callHost(e, "float.convert.32.64x1", splatFloat(e, a));
    if (!e.leavesForHost) e.set(result, e.stateLoad("f64", S.ARGS));
  });
  e.markPlain(a, 32);
  e.markPlain(e.get(result), 64);
  dst.writeFloat(64, e.get(result));
};

/** CVTSD2SS. */
const narrow: Semantics = (e, dst, src) => {
  const a = src.readFloat(64);
  const result = e.variable(e.op("f32", 0xb6, [a]));
  e.block((done) => {
    e.block((slow) => {
      refuseDenormal(e, slow, a);
      e.brIf(done, isSettled(e, e.get(result)), true);
    });
    const x = e.let(splatFloat(e, a));
    acceptOrdinary(e, done, Ordinary.Narrow, 64, x, x);
    callHost(e, "float.convert.64.32x1", x);
    if (!e.leavesForHost) e.set(result, e.stateLoad("f32", S.ARGS));
  });
  e.markPlain(a, 64);
  e.markPlain(e.get(result), 32);
  dst.writeFloat(32, e.get(result));
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
function singlesToDoubles(e: Emitter, low: Value): Value {
  const a = e.let(splat(e, 64, low));
  const value = e.let(v1(e, F64x2.promoteLowF32, a));
  return orHost(e, { value, ordinary: all(e, FLOAT[32], isPlain(e, FLOAT[32], a)) }, "float.convert.32.64x2", a);
}

/** Doubles to singles in the low half, the high half zero. */
function doublesToSingles(e: Emitter, a: Value): Value {
  const value = e.variable(v1(e, F32x4.demoteF64Zero, a));
  e.block((done) => {
    acceptOrdinary(e, done, Ordinary.Narrow, 64, a, a);
    callHost(e, "float.convert.64.32x2", a);
    if (!e.leavesForHost) e.set(value, e.stateLoad("v128", S.ARGS));
  });
  return e.get(value);
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
  CVTPS2PD: (e, dst, src) => dst.write(singlesToDoubles(e, low64(src))),
  CVTPD2PS: (e, dst, src) => dst.write(doublesToSingles(e, readAligned(e, src))),
  CVTSS2SD: widen,
  CVTSD2SS: narrow,
};
