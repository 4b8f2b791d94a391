// Tests on lanes and on MXCSR that tell when Wasm's floating point is the processor's (the rule itself: ordinary.ts), and the call of
// a host operation where it isn't. Functions take any function whose first parameter is the vCPU's state.

import type { Emitter, FloatBits } from "../../emit/emitter.js";
import * as S from "../../state-layout.js";
import type { FunctionBuilder, Value } from "../../wasm/function-builder.js";
import { F32x4, F64x2, I32x4, I64x2, splatConstant, V128, v1, v2 } from "../../wasm/simd.js";

export type { FloatBits } from "../../emit/emitter.js";

/** Wasm operations and limits of a format's lanes. */
export interface FloatLanes {
  readonly bits: FloatBits;
  readonly f: typeof F32x4 | typeof F64x2;
  /** One bit a lane. */
  readonly bitmask: number;
  /** Patterns of the smallest normal and the largest finite number, and of the sign. */
  readonly least: bigint;
  readonly greatest: bigint;
  readonly sign: bigint;
}

export const FLOAT: Readonly<Record<FloatBits, FloatLanes>> = {
  32: { bits: 32, f: F32x4, bitmask: I32x4.bitmask, least: 0x00800000n, greatest: 0x7f7fffffn, sign: 1n << 31n },
  64: {
    bits: 64,
    f: F64x2,
    bitmask: I64x2.bitmask,
    least: 0x0010000000000000n,
    greatest: 0x7fefffffffffffffn,
    sign: 1n << 63n,
  },
};

/** MXCSR: all exceptions masked, nearest, neither DAZ nor FTZ, PE set. i32, 0 or 1. */
export function ordinaryMxcsr(f: FunctionBuilder): Value {
  return f.eq(f.and(f.load("i32", f.param(0), S.MXCSR), f.i32(0xffe0)), f.i32(0x1fa0));
}

/** PE set and masked: an inexact result changes nothing if its rounding doesn't come from MXCSR. */
export function precisionSettled(f: FunctionBuilder): Value {
  return f.eq(f.and(f.load("i32", f.param(0), S.MXCSR), f.i32(0x1020)), f.i32(0x1020));
}

const constant = (f: FunctionBuilder, lanes: FloatLanes, pattern: bigint) => splatConstant(f, lanes.bits, pattern);

/** Lanes equal to zero of either sign. */
export function isZero(f: FunctionBuilder, lanes: FloatLanes, v: Value): Value {
  return v2(f, lanes.f.eq, v, f.v128(0n, 0n));
}

/** Lanes that are zero, normal or infinite: no denormal, no NaN. */
export function isPlain(f: FunctionBuilder, lanes: FloatLanes, v: Value): Value {
  return v2(f, V128.or, v2(f, lanes.f.ge, v1(f, lanes.f.abs, v), constant(f, lanes, lanes.least)), isZero(f, lanes, v));
}

/** Lanes that are finite. */
export function isFiniteLane(f: FunctionBuilder, lanes: FloatLanes, v: Value): Value {
  return v2(f, lanes.f.le, v1(f, lanes.f.abs, v), constant(f, lanes, lanes.greatest));
}

/** Lanes above the smallest normal number in magnitude: rounding can't have made them so. */
export function isAboveLeast(f: FunctionBuilder, lanes: FloatLanes, v: Value): Value {
  return v2(f, lanes.f.gt, v1(f, lanes.f.abs, v), constant(f, lanes, lanes.least));
}

/** Lanes in which `normal` and the result are normal numbers, the result's greater than the smallest one. */
export function isNormal(f: FunctionBuilder, lanes: FloatLanes, result: Value, normal: readonly Value[]): Value {
  const magnitude = f.let(v1(f, lanes.f.abs, result));
  const least = normal.reduce((a, v) => v2(f, lanes.f.pmin, v1(f, lanes.f.abs, v), a), magnitude);
  const finite = v2(f, lanes.f.le, magnitude, constant(f, lanes, lanes.greatest));
  return and(f, finite, v2(f, lanes.f.lt, constant(f, lanes, lanes.least), least));
}

export function and(f: FunctionBuilder, ...masks: Value[]): Value {
  return masks.reduce((a, b) => v2(f, V128.and, a, b));
}
export function or(f: FunctionBuilder, ...masks: Value[]): Value {
  return masks.reduce((a, b) => v2(f, V128.or, a, b));
}

/** i32: 1 when every lane of the mask is set. */
export function all(f: FunctionBuilder, lanes: FloatLanes, mask: Value): Value {
  return f.eq(f.op("i32", lanes.bitmask, [mask]), f.i32((1 << (128 / lanes.bits)) - 1));
}

/** Lanes of a and b whose significands are so short that their product is exact. */
export function areShort(f: FunctionBuilder, lanes: FloatLanes, a: Value, b: Value): Value {
  const low = splatConstant(f, lanes.bits, lanes.bits === 64 ? 0x7ffffffn : 0xfffn);
  const opcode = lanes.bits === 64 ? I64x2.eq : I32x4.eq;
  return v2(f, opcode, v2(f, V128.and, v2(f, V128.or, a, b), low), f.v128(0n, 0n));
}

/** A vector result and the i32 condition under which it is the processor's. */
export interface Fast {
  readonly value: Value;
  readonly ordinary: Value;
}

/** The fast result where it holds, else what the host operation makes of a and b. */
export function orHost(e: Emitter, fast: Fast, host: string, a: Value, b?: Value, imm?: Value): Value {
  const result = e.mutable(fast.value);
  e.ifRare(e.eqz(fast.ordinary), () => {
    callHost(e, host, a, b, imm);
    if (!e.leavesForHost) e.set(result, e.stateLoad("v128", S.ARGS));
  });
  return e.get(result);
}

/** Arguments of a host operation on vectors. */
export function passVectors(e: Emitter, a: Value, b?: Value, imm?: Value): void {
  if (e.leavesForHost) return;
  e.stateStore("v128", S.ARGS, a);
  if (b) e.stateStore("v128", S.ARGS + 16, b);
  if (imm) e.stateStore("i32", S.ARG_IMMEDIATE, imm);
}

export function callHost(e: Emitter, host: string, a: Value, b?: Value, imm?: Value): void {
  passVectors(e, a, b, imm);
  e.host(host);
}
