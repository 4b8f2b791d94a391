// When Wasm's floating point gives what the processor gives, flags included (SDM volume 1, chapter 11). Wasm rounds to nearest and
// knows no flags, so a result is ordinary when nothing but PE can be raised, and PE is set and masked already or the result is
// exact. The checks in front of it (float.ts) are coarse and quick; this is the whole rule, as a function of the core module.
// What isn't ordinary goes to the host operations in ../../host/sse-float.ts.

import * as S from "../../state-layout.js";
import type { FunctionBuilder, Value } from "../../wasm/function-builder.js";
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
  ordinaryMxcsr,
} from "./float-check.js";

/** Operations of the function; a subtraction is an addition of -b. */
export const Ordinary = { Add: 0, Multiply: 1, Divide: 2, Root: 3, Narrow: 4 } as const;
export type OrdinaryKind = (typeof Ordinary)[keyof typeof Ordinary];

export function ordinaryCode(kind: OrdinaryKind, bits: FloatBits): number {
  return 2 * kind + (bits === 64 ? 1 : 0);
}

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

/** MXCSR as ordinaryMxcsr wants it, but PE may be clear: good for exact results. */
function exactMxcsr(f: FunctionBuilder): Value {
  return f.eq(f.and(f.load("i32", f.param(0), S.MXCSR), f.i32(0xffc0)), f.i32(0x1f80));
}

/** The function (state, operation, a, b) -> 1 when the result is ordinary, and neither denormal nor NaN, in all lanes. */
export function writeOrdinary(f: FunctionBuilder): Uint8Array {
  const [operation, a, b] = [f.param(1), f.param(2), f.param(3)];
  const rules: [OrdinaryKind, Rule][] = [
    [Ordinary.Add, sum],
    [Ordinary.Multiply, product],
    [Ordinary.Divide, quotient],
    [Ordinary.Root, root],
    [Ordinary.Narrow, narrow],
  ];
  for (const [kind, rule] of rules) {
    for (const bits of [32, 64] as const) {
      if (kind === Ordinary.Narrow && bits === 32) continue;
      const lanes = FLOAT[bits];
      f.if(f.eq(operation, f.i32(ordinaryCode(kind, bits))), () => {
        const { plain, exact } = rule(f, lanes, a, b);
        f.if(f.eqz(all(f, lanes, plain)), () => f.return(f.i32(0)));
        f.if(ordinaryMxcsr(f), () => f.return(f.i32(1)));
        f.return(f.and(exactMxcsr(f), all(f, lanes, exact())));
      });
    }
  }
  f.return(f.i32(0));
  return f.finish();
}
