// When Wasm's floating point gives what the processor gives, flags included (SDM volume 1, chapter 11). Wasm rounds to nearest and
// knows no flags, so a result is ordinary when nothing but PE can be raised, and PE is set and masked already or the result is
// exact. The checks in front of it (float.ts) are coarse and quick; these are the whole rules. What isn't ordinary goes to the
// host operations in ../../host/sse-float.ts.

import type { Emitter } from "../../emit/emitter.js";
import type { FunctionBuilder, Label, Value } from "../../wasm/function-builder.js";
import { F32x4, F64x2, splatConstant, v1, v2 } from "../../wasm/simd.js";
import {
  all,
  and,
  areShort,
  FLOAT,
  type FloatBits,
  type FloatLanes,
  isAboveLeast,
  isFiniteLane,
  isPlain,
  isZero,
  or,
} from "./float-check.js";
import { float, floatConstant, isFarFromLimits, notDenormal, toBits } from "./scalar.js";

/** Kinds of operation; a subtraction is an addition of -b. */
export const Ordinary = { Add: 0, Multiply: 1, Divide: 2, Root: 3, Narrow: 4 } as const;
export type OrdinaryKind = (typeof Ordinary)[keyof typeof Ordinary];

/** `plain`: lanes that raise nothing but PE; `exact`: those that don't raise that either. */
interface Lanes {
  readonly plain: Value;
  readonly exact: () => Value;
}

type Rule = (f: FunctionBuilder, lanes: FloatLanes, a: Value, b: Value) => Lanes;

/** Sums of plain numbers have no tiny inexact results. Knuth's two-sum gives their rounding error. */
const sum: Rule = (f, lanes, a, b) => {
  const value = f.let(v2(f, lanes.f.add, a, b));
  const plain = and(f, isFiniteLane(f, lanes, value), isPlain(f, lanes, value));
  return {
    plain: and(f, plain, isPlain(f, lanes, a), isPlain(f, lanes, b)),
    exact: () => {
      const part = f.let(v2(f, lanes.f.sub, value, a));
      const errorA = v2(f, lanes.f.sub, a, v2(f, lanes.f.sub, value, part));
      return isZero(f, lanes, v2(f, lanes.f.add, errorA, v2(f, lanes.f.sub, b, part)));
    },
  };
};

const product: Rule = (f, lanes, a, b) => {
  const value = f.let(v2(f, lanes.f.mul, a, b));
  const exactZero = or(f, isZero(f, lanes, a), isZero(f, lanes, b));
  const large = or(f, isAboveLeast(f, lanes, value), exactZero);
  return {
    plain: and(f, isFiniteLane(f, lanes, value), large, isPlain(f, lanes, a), isPlain(f, lanes, b)),
    exact: () => areShort(f, lanes, a, b),
  };
};

const quotient: Rule = (f, lanes, a, b) => {
  const value = f.let(v2(f, lanes.f.div, a, b));
  const large = or(f, isAboveLeast(f, lanes, value), isZero(f, lanes, a));
  return {
    plain: and(f, isFiniteLane(f, lanes, value), large, isPlain(f, lanes, a), isPlain(f, lanes, b)),
    exact: () => and(f, areShort(f, lanes, value, b), v2(f, lanes.f.eq, v2(f, lanes.f.mul, value, b), a)),
  };
};

const root: Rule = (f, lanes, a) => {
  const value = f.let(v1(f, lanes.f.sqrt, a));
  const notNegative = or(f, v2(f, lanes.f.gt, a, f.v128(0n, 0n)), isZero(f, lanes, a));
  return {
    plain: and(f, notNegative, isFiniteLane(f, lanes, a), isPlain(f, lanes, a)),
    exact: () => and(f, areShort(f, lanes, value, value), v2(f, lanes.f.eq, v2(f, lanes.f.mul, value, value), a)),
  };
};

const GREATEST_SINGLE = 0x47efffffe0000000n;
const LEAST_SINGLE = 0x3810000000000000n;

/** Doubles to singles. */
const narrow: Rule = (f, lanes, a) => {
  const back = f.let(v1(f, F64x2.promoteLowF32, v1(f, F32x4.demoteF64Zero, a)));
  const finite = v2(f, lanes.f.le, v1(f, lanes.f.abs, back), splatConstant(f, 64, GREATEST_SINGLE));
  const large = v2(f, lanes.f.gt, v1(f, lanes.f.abs, back), splatConstant(f, 64, LEAST_SINGLE));
  return {
    plain: and(f, finite, or(f, large, isZero(f, lanes, a)), isPlain(f, lanes, a)),
    exact: () => v2(f, lanes.f.eq, back, a),
  };
};

const rules: readonly Rule[] = [sum, product, quotient, root, narrow];

/** Branches to `done` when the operation on the vectors a and b gives the processor's result, plain in all lanes. */
export function acceptOrdinary(e: Emitter, done: Label, kind: OrdinaryKind, bits: FloatBits, a: Value, b: Value): void {
  const lanes = FLOAT[bits];
  const { plain, exact } = rules[kind]!(e, lanes, a, b);
  const allPlain = e.let(all(e, lanes, plain));
  e.brIf(done, e.and(allPlain, e.ne(e.floatLimit(bits), e.i32(0))));
  e.brIf(done, e.and(e.and(allPlain, e.floatExact()), all(e, lanes, exact())));
}

/** The same when all numbers concerned are known to be normal. */
export function acceptExact(e: Emitter, done: Label, kind: OrdinaryKind, bits: FloatBits, a: Value, b: Value): void {
  const lanes = FLOAT[bits];
  e.brIf(done, e.and(e.floatExact(), all(e, lanes, rules[kind]!(e, lanes, a, b).exact())));
}

/** Significands so short that a product of two is exact. */
function isShort(f: FunctionBuilder, ...values: Value[]): Value {
  const bits = values.map((v) => toBits(f, v)).reduce((x, y) => f.or(x, y));
  return f.eqz(f.and(bits, bits.type === "i64" ? f.i64(0x7ffffff) : f.i32(0xfff)));
}

/** i32: the operation's result on floats that are no denormals is exact, and a normal number or zero. */
export function isExact(e: Emitter, kind: OrdinaryKind, a: Value, b: Value, result: Value): Value {
  const zero = floatConstant(e, result.type === "f64" ? 64 : 32, 0n);
  const isNone = (v: Value) => float(e, "eq", v, zero);
  const large = () => isFarFromLimits(e, result);
  switch (kind) {
    case Ordinary.Add: {
      const part = e.let(float(e, "sub", result, a));
      const errorA = float(e, "sub", a, float(e, "sub", result, part));
      const error = float(e, "add", errorA, float(e, "sub", b, part));
      return e.and(isNone(error), notDenormal(e, result));
    }
    case Ordinary.Multiply:
      return e.or(e.and(isNone(result), e.or(isNone(a), isNone(b))), e.and(isShort(e, a, b), large()));
    case Ordinary.Divide: {
      const back = float(e, "eq", float(e, "mul", result, b), a);
      return e.and(back, e.or(e.and(isNone(result), isNone(a)), e.and(isShort(e, result, b), large())));
    }
    case Ordinary.Root:
      return e.and(float(e, "eq", float(e, "mul", result, result), a), e.or(isNone(result), isShort(e, result)));
    default:
      return e.and(float(e, "eq", e.op("f64", 0xbb, [result]), a), e.or(isNone(result), large()));
  }
}
