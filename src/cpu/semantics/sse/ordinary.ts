// When Wasm's floating point gives what the processor gives, flags included (SDM volume 1, chapter 11). Wasm rounds to nearest and
// knows no flags, so a result is ordinary when nothing but PE can be raised. The whole rule is one function of the core module,
// which also sets PE; the checks in front of it (float.ts) are coarse and quick. What isn't ordinary goes to the host operations in
// ../../host/sse-float.ts.

import type { Emitter } from "../../emit/emitter.js";
import { floatExactOf } from "../../emit/float-limit.js";
import * as S from "../../state-layout.js";
import type { FunctionBody } from "../../wasm/code-writer.js";
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

const PE = 0x20;

/** `plain`: lanes that raise nothing but PE. Of those, `exact` (i32): none raises that either; `known` (i32): `exact` says so. */
interface Lanes {
  readonly plain: Value;
  readonly exact: () => { readonly known: Value | undefined; readonly exact: Value };
}

type Rule = (f: FunctionBuilder, lanes: FloatLanes, a: Value, b: Value) => Lanes;

/** Sums of plain numbers have no tiny inexact results. */
const sum: Rule = (f, lanes, a, b) => {
  const value = f.let(v2(f, lanes.f.add, a, b));
  const plain = and(f, isFiniteLane(f, lanes, value), isPlain(f, lanes, value));
  return {
    plain: and(f, plain, isPlain(f, lanes, a), isPlain(f, lanes, b)),
    exact: () => ({ known: undefined, exact: all(f, lanes, exactSum(f, lanes, a, b, value)) }),
  };
};

/**
 * Lanes in which a sum of finite numbers is exact. Taking the larger of the two from an inexact sum is exact itself (Dekker's fast
 * two-sum), so it doesn't give the other one; of an exact sum both differences do.
 */
function exactSum(f: FunctionBuilder, lanes: FloatLanes, a: Value, b: Value, value: Value): Value {
  const givesB = v2(f, lanes.f.eq, v2(f, lanes.f.sub, value, a), b);
  return and(f, givesB, v2(f, lanes.f.eq, v2(f, lanes.f.sub, value, b), a));
}

/** Within these magnitudes no part of a product underflows or overflows when the factors are split in halves. */
const SPLIT_LEAST = 0x07b0000000000000n; // 2^-900
const SPLIT_GREATEST = 0x7830000000000000n; // 2^900
const SPLIT_FACTOR = 0x41a0000002000000n; // 2^27 + 1

/** Whether `value` is exactly a times b in all lanes. */
function exactProduct(f: FunctionBuilder, lanes: FloatLanes, a: Value, b: Value, value: Value) {
  const { sub, mul, add } = F64x2;
  if (lanes.bits === 32) {
    // Doubles hold products of singles.
    const high = (v: Value) => f.let(f.shuffle(v, v, [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15]));
    const wide = (v: Value) => v1(f, F64x2.promoteLowF32, v);
    const same = (x: Value, y: Value, z: Value) => v2(f, F64x2.eq, v2(f, mul, wide(x), wide(y)), wide(z));
    return {
      known: undefined,
      exact: all(f, FLOAT[64], and(f, same(a, b, value), same(high(a), high(b), high(value)))),
    };
  }
  const split = (v: Value) => {
    const c = f.let(v2(f, mul, v, splatConstant(f, 64, SPLIT_FACTOR)));
    const large = f.let(v2(f, sub, c, v2(f, sub, c, v)));
    return [large, f.let(v2(f, sub, v, large))] as const;
  };
  const magnitude = (v: Value) => v1(f, F64x2.abs, v);
  const least = splatConstant(f, 64, SPLIT_LEAST);
  const greatest = splatConstant(f, 64, SPLIT_GREATEST);
  const [a1, a0] = split(a);
  const [b1, b0] = split(b);
  // Dekker's product.
  const e1 = v2(f, add, v2(f, sub, v2(f, mul, a1, b1), value), v2(f, mul, a1, b0));
  const error = v2(f, add, v2(f, add, e1, v2(f, mul, a0, b1)), v2(f, mul, a0, b0));
  const simple = f.let(or(f, areShort(f, lanes, a, b), isZero(f, lanes, a), isZero(f, lanes, b)));
  const inRange = and(
    f,
    v2(f, F64x2.le, magnitude(a), greatest),
    v2(f, F64x2.le, magnitude(b), greatest),
    v2(f, F64x2.ge, magnitude(value), least),
  );
  return {
    known: all(f, lanes, or(f, simple, inRange)),
    exact: all(f, lanes, or(f, simple, isZero(f, lanes, error))),
  };
}

const product: Rule = (f, lanes, a, b) => {
  const value = f.let(v2(f, lanes.f.mul, a, b));
  const exactZero = or(f, isZero(f, lanes, a), isZero(f, lanes, b));
  const large = or(f, isAboveLeast(f, lanes, value), exactZero);
  return {
    plain: and(f, isFiniteLane(f, lanes, value), large, isPlain(f, lanes, a), isPlain(f, lanes, b)),
    exact: () => exactProduct(f, lanes, a, b, value),
  };
};

const quotient: Rule = (f, lanes, a, b) => {
  const value = f.let(v2(f, lanes.f.div, a, b));
  const large = or(f, isAboveLeast(f, lanes, value), isZero(f, lanes, a));
  const finite = and(f, isFiniteLane(f, lanes, value), isFiniteLane(f, lanes, b));
  return {
    plain: and(f, finite, large, isPlain(f, lanes, a), isPlain(f, lanes, b)),
    exact: () => exactInverse(f, lanes, value, b, a),
  };
};

const root: Rule = (f, lanes, a) => {
  const value = f.let(v1(f, lanes.f.sqrt, a));
  const notNegative = or(f, v2(f, lanes.f.gt, a, f.v128(0n, 0n)), isZero(f, lanes, a));
  return {
    plain: and(f, notNegative, isFiniteLane(f, lanes, a), isPlain(f, lanes, a)),
    exact: () => exactInverse(f, lanes, value, value, a),
  };
};

/** Whether x times y is exactly `a` in all lanes. */
function exactInverse(f: FunctionBuilder, lanes: FloatLanes, x: Value, y: Value, a: Value) {
  const back = f.let(v2(f, lanes.f.mul, x, y));
  const { known, exact } = exactProduct(f, lanes, x, y, back);
  return { known, exact: f.and(exact, all(f, lanes, v2(f, lanes.f.eq, back, a))) };
}

const GREATEST_SINGLE = 0x47efffffe0000000n;
const LEAST_SINGLE = 0x3810000000000000n;

/** Doubles to singles. */
const narrow: Rule = (f, lanes, a) => {
  const back = f.let(v1(f, F64x2.promoteLowF32, v1(f, F32x4.demoteF64Zero, a)));
  const finite = v2(f, lanes.f.le, v1(f, lanes.f.abs, back), splatConstant(f, 64, GREATEST_SINGLE));
  const large = v2(f, lanes.f.gt, v1(f, lanes.f.abs, back), splatConstant(f, 64, LEAST_SINGLE));
  return {
    plain: and(f, finite, or(f, large, isZero(f, lanes, a)), isPlain(f, lanes, a)),
    exact: () => ({ known: undefined, exact: all(f, lanes, v2(f, lanes.f.eq, back, a)) }),
  };
};

const rules: readonly Rule[] = [sum, product, quotient, root, narrow];

/** First argument of Emitter.ordinary. */
export const operationOf = (kind: OrdinaryKind, bits: FloatBits): number => 2 * kind + (bits === 64 ? 1 : 0);

/**
 * (state, operation, a, b) -> 1 when Wasm's result of the operation on the vectors is the processor's in all lanes and MXCSR tells
 * of it; 0, and nothing has changed, when the host has to see.
 */
export function writeOrdinary(f: FunctionBuilder): FunctionBody {
  const state = f.param(0);
  const [a, b] = [f.param(2), f.param(3)];
  f.if(f.eqz(floatExactOf(f)), () => f.return(f.i32(0)));
  for (const [kind, rule] of rules.entries()) {
    for (const bits of [32, 64] as const) {
      if (kind === Ordinary.Narrow && bits === 32) continue;
      f.if(f.eq(f.param(1), f.i32(operationOf(kind as OrdinaryKind, bits))), () => {
        const lanes = FLOAT[bits];
        const { plain, exact } = rule(f, lanes, a, b);
        f.if(f.eqz(all(f, lanes, plain)), () => f.return(f.i32(0)));
        const mxcsr = f.load("i32", state, S.MXCSR);
        f.if(f.and(mxcsr, f.i32(PE)), () => f.return(f.i32(1)));
        const result = exact();
        if (result.known) f.if(f.eqz(result.known), () => f.return(f.i32(0)));
        f.if(f.eqz(result.exact), () => f.store("i32", state, f.or(mxcsr, f.i32(PE)), S.MXCSR));
        f.return(f.i32(1));
      });
    }
  }
  f.return(f.i32(0));
  return f.finish();
}

/** Branches to `done` when the function says so. */
export function acceptOrdinary(e: Emitter, done: Label, kind: OrdinaryKind, bits: FloatBits, a: Value, b: Value): void {
  e.brIf(done, e.ordinary(operationOf(kind, bits), a, b));
}

/** Lanes that are known to be exact, by a quick test, all numbers concerned being normal; undefined where there is none. */
export function exactLanes(
  e: Emitter,
  kind: OrdinaryKind,
  bits: FloatBits,
  a: Value,
  b: Value,
  result: Value,
): Value | undefined {
  if (kind === Ordinary.Add) return exactSum(e, FLOAT[bits], a, b, result);
  return kind === Ordinary.Multiply ? areShort(e, FLOAT[bits], a, b) : undefined;
}

/** Significands so short that a product of two is exact. */
function isShort(f: FunctionBuilder, ...values: Value[]): Value {
  const bits = values.map((v) => toBits(f, v)).reduce((x, y) => f.or(x, y));
  return f.eqz(f.and(bits, bits.type === "i64" ? f.i64(0x7ffffff) : f.i32(0xfff)));
}

/**
 * Branches to `done` when a quick test finds that a sum, difference or product of floats that are no denormals is exact, and a
 * normal number or zero. Comparisons of floats are branches: as values they cost four instructions.
 */
export function acceptExact(
  e: Emitter,
  done: Label,
  operation: "add" | "sub" | "mul",
  a: Value,
  b: Value,
  result: Value,
): void {
  if (operation === "mul") {
    const isNone = (v: Value) => float(e, "eq", v, floatConstant(e, v.type === "f64" ? 64 : 32, 0n));
    e.if(isShort(e, a, b), () => e.brIf(done, isFarFromLimits(e, result), true));
    e.brIf(done, e.and(isNone(result), e.or(isNone(a), isNone(b))));
    return;
  }
  // As exactSum.
  const isSum = operation === "add";
  const givesB = isSum ? float(e, "sub", result, a) : float(e, "sub", a, result);
  e.if(float(e, "eq", givesB, b), () => {
    const givesA = float(e, isSum ? "sub" : "add", result, b);
    e.if(float(e, "eq", givesA, a), () => e.brIf(done, notDenormal(e, result), true));
  });
}
