// When Wasm's floating point gives what the processor gives, flags included (SDM volume 1, chapter 11). Wasm rounds to
// nearest and knows no flags, so a lane is ordinary when nothing but PE can be raised, and PE is set and masked already or the
// result is exact. Whatever isn't ordinary goes to the host operations in ../../host/sse-float.ts.

import type { Emitter } from "../../emit/emitter.js";
import * as S from "../../state-layout.js";
import type { Value } from "../../wasm/function-builder.js";
import { F32x4, F64x2, I32x4, I64x2, splatConstant, V128, v1, v2 } from "../../wasm/simd.js";

export type FloatBits = 32 | 64;

/** Wasm operations and limits of a format's lanes. */
export interface FloatLanes {
  readonly bits: FloatBits;
  readonly f: typeof F32x4 | typeof F64x2;
  readonly allTrue: number;
  /** Patterns of the smallest normal and the largest finite number, and of the sign. */
  readonly least: bigint;
  readonly greatest: bigint;
  readonly sign: bigint;
}

export const FLOAT: Readonly<Record<FloatBits, FloatLanes>> = {
  32: { bits: 32, f: F32x4, allTrue: I32x4.allTrue, least: 0x00800000n, greatest: 0x7f7fffffn, sign: 1n << 31n },
  64: {
    bits: 64,
    f: F64x2,
    allTrue: I64x2.allTrue,
    least: 0x0010000000000000n,
    greatest: 0x7fefffffffffffffn,
    sign: 1n << 63n,
  },
};

/** MXCSR: all exceptions masked, nearest, neither DAZ nor FTZ, PE set. i32, 0 or 1. */
export function ordinaryMxcsr(e: Emitter): Value {
  return e.eq(e.and(e.stateLoad("i32", S.MXCSR), e.i32(0xffe0)), e.i32(0x1fa0));
}

/** PE set and masked: an inexact result changes nothing if its rounding doesn't come from MXCSR. */
export function precisionSettled(e: Emitter): Value {
  return e.eq(e.and(e.stateLoad("i32", S.MXCSR), e.i32(0x1020)), e.i32(0x1020));
}

const constant = (e: Emitter, lanes: FloatLanes, pattern: bigint) => splatConstant(e, lanes.bits, pattern);

/** Lanes equal to zero of either sign. */
export function isZero(e: Emitter, lanes: FloatLanes, v: Value): Value {
  return v2(e, lanes.f.eq, v, e.v128(0n, 0n));
}

/** Lanes that are zero, normal or infinite: no denormal, no NaN. */
export function isPlain(e: Emitter, lanes: FloatLanes, v: Value): Value {
  return v2(e, V128.or, v2(e, lanes.f.ge, v1(e, lanes.f.abs, v), constant(e, lanes, lanes.least)), isZero(e, lanes, v));
}

/** Lanes that are finite. */
export function isFiniteLane(e: Emitter, lanes: FloatLanes, v: Value): Value {
  return v2(e, lanes.f.le, v1(e, lanes.f.abs, v), constant(e, lanes, lanes.greatest));
}

/** Lanes above the smallest normal number in magnitude: rounding can't have made them so. */
export function isAboveLeast(e: Emitter, lanes: FloatLanes, v: Value): Value {
  return v2(e, lanes.f.gt, v1(e, lanes.f.abs, v), constant(e, lanes, lanes.least));
}

export function and(e: Emitter, ...masks: Value[]): Value {
  return masks.reduce((a, b) => v2(e, V128.and, a, b));
}
export function or(e: Emitter, ...masks: Value[]): Value {
  return masks.reduce((a, b) => v2(e, V128.or, a, b));
}

/** i32: 1 when every lane of the mask is set. */
export function all(e: Emitter, lanes: FloatLanes, mask: Value): Value {
  return e.op("i32", lanes.allTrue, [mask]);
}

/** MXCSR as ordinaryMxcsr wants it, but PE may be clear: good for exact results. */
function exactMxcsr(e: Emitter): Value {
  return e.eq(e.and(e.stateLoad("i32", S.MXCSR), e.i32(0xffc0)), e.i32(0x1f80));
}

/** Whether a result may be taken when PE isn't set yet: `plain` (a snapshot) lanes, and all of `exact`. */
export function exactly(e: Emitter, lanes: FloatLanes, plain: Value, exact: () => Value): () => Value {
  return () => e.and(e.and(plain, exactMxcsr(e)), all(e, lanes, exact()));
}

/** Lanes of a and b whose significands are so short that their product is exact. */
export function areShort(e: Emitter, lanes: FloatLanes, a: Value, b: Value): Value {
  const low = splatConstant(e, lanes.bits, lanes.bits === 64 ? 0x7ffffffn : 0xfffn);
  const opcode = lanes.bits === 64 ? I64x2.eq : I32x4.eq;
  return v2(e, opcode, v2(e, V128.and, v2(e, V128.or, a, b), low), e.v128(0n, 0n));
}

/** A vector result, the i32 condition under which it is the processor's, and a second one that is tried when that fails. */
export interface Fast {
  readonly value: Value;
  readonly ordinary: Value;
  readonly otherwise?: () => Value;
}

/** The fast result where it holds, else what the host operation makes of a and b. */
export function orHost(e: Emitter, fast: Fast, host: string, a: Value, b?: Value, imm?: Value): Value {
  const result = e.mutable(fast.value);
  const slow = () => {
    callHost(e, host, a, b, imm);
    e.set(result, e.stateLoad("v128", S.ARGS));
  };
  e.if(e.eqz(fast.ordinary), () => {
    if (fast.otherwise) e.if(e.eqz(fast.otherwise()), slow);
    else slow();
  });
  return e.get(result);
}

export function callHost(e: Emitter, host: string, a: Value, b?: Value, imm?: Value): void {
  e.stateStore("v128", S.ARGS, a);
  if (b) e.stateStore("v128", S.ARGS + 16, b);
  if (imm) e.stateStore("i32", S.ARG_IMMEDIATE, imm);
  e.host(host);
}
