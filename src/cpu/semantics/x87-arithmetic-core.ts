// Addition, multiplication, division and comparison of 80-bit numbers in Wasm, as one function of the core module (SDM volume 1,
// 8.1.5, 4.8.4): for zeros and normal numbers, 64-bit precision, rounding to nearest, PE masked. Anything else is refused before
// anything changed, for the host operations in ../host/x87-arithmetic.ts. A significand and the 64 bits behind it are rounded;
// what is cut off beyond those is kept as their lowest bit.

import * as S from "../state-layout.js";
import type { FunctionBody } from "../wasm/code-writer.js";
import type { FunctionBuilder, Label, Value, Variable } from "../wasm/function-builder.js";
import { divideUnsigned } from "./wide-division.js";

/** First argument of the function. A subtraction adds -b; a comparison leaves C3, C2, C0 as result. */
export const X87Operation = { Add: 0, Multiply: 1, Divide: 2, Compare: 3 } as const;

const BIAS = 16383;
const TOP_BIT = -(1n << 63n);
const C0 = 0x100;
const C1 = 0x200;
const C3 = 0x4000;
const PE = 0x20;

/** A number being made: sign and exponent (i32), significand and the bits behind it (i64). */
interface Accumulator {
  readonly sign: Variable;
  readonly exponent: Variable;
  readonly high: Variable;
  readonly low: Variable;
}

interface Operand {
  readonly significand: Value;
  /** Biased. */
  readonly exponent: Value;
  /** 0 or 0x8000. */
  readonly sign: Value;
  readonly isZero: Value;
}

/** (state, operation, significand and exponent of a, of b) -> 1 when the result is in ARGS and the status word is right. */
export function writeX87Arithmetic(f: FunctionBuilder): FunctionBody {
  const state = f.param(0);
  const operation = f.param(1);
  const a = operandOf(f, f.param(2), f.param(3));
  const b = operandOf(f, f.param(4), f.param(5));
  // Precision 64 bits, nearest, PE masked.
  const usual = f.eq(f.and(f.load("i32", state, S.FCW), f.i32(0xf20)), f.i32(0x320));
  f.if(f.eqz(f.and(f.and(usual, isUsual(f, a)), isUsual(f, b))), () => f.return(f.i32(0)));
  f.if(f.eq(operation, f.i32(X87Operation.Compare)), () => compare(f, a, b));
  const result: Accumulator = {
    sign: f.local("i32"),
    exponent: f.local("i32"),
    high: f.local("i64"),
    low: f.local("i64"),
  };
  f.block((round) => {
    f.if(f.eq(operation, f.i32(X87Operation.Add)), () => addition(f, a, b, result, round));
    f.set(result.sign, f.xor(a.sign, b.sign));
    f.if(f.eq(operation, f.i32(X87Operation.Multiply)), () => multiplication(f, a, b, result, round));
    division(f, a, b, result);
  });
  roundAndReturn(f, result);
  return f.finish();
}

function operandOf(f: FunctionBuilder, significand: Value, signExponent: Value): Operand {
  return {
    significand,
    exponent: f.let(f.and(signExponent, f.i32(0x7fff))),
    sign: f.let(f.and(signExponent, f.i32(0x8000))),
    isZero: f.let(f.eqz(f.or(significand, f.extendU(f.and(signExponent, f.i32(0x7fff)))))),
  };
}
/** Zero, or normal: integer bit set, exponent neither 0 nor all ones. */
function isUsual(f: FunctionBuilder, v: Operand): Value {
  const range = f.ltU(f.sub(v.exponent, f.i32(1)), f.i32(0x7ffe));
  return f.or(v.isZero, f.and(range, f.wrap(f.shrU(v.significand, f.i64(63)))));
}

/** Writes a result that is exact. */
function returnExact(f: FunctionBuilder, significand: Value, signExponent: Value): void {
  const state = f.param(0);
  f.store("i64", state, significand, S.ARGS);
  f.store("i32", state, signExponent, S.ARGS + 8);
  f.store("i32", state, f.and(f.load("i32", state, S.FSW), f.i32(~C1)), S.FSW);
  f.return(f.i32(1));
}

function compare(f: FunctionBuilder, a: Operand, b: Operand): void {
  const codes = f.local("i32");
  const negative = (v: Operand) => f.and(v.sign, f.sub(f.i32(0), f.xor(v.isZero, f.i32(1))));
  const [signA, signB] = [f.let(negative(a)), f.let(negative(b))];
  const less = f.or(
    f.ltU(a.exponent, b.exponent),
    f.and(f.eq(a.exponent, b.exponent), f.ltU(a.significand, b.significand)),
  );
  const equal = f.and(f.eq(a.exponent, b.exponent), f.eq(a.significand, b.significand));
  f.if(
    f.ne(signA, signB),
    () => f.set(codes, f.select(signA, f.i32(C0), f.i32(0))),
    () => f.set(codes, f.select(equal, f.i32(C3), f.select(f.xor(less, f.ne(signA, f.i32(0))), f.i32(C0), f.i32(0)))),
  );
  f.store("i32", f.param(0), f.get(codes), S.ARGS);
  f.return(f.i32(1));
}

/** A value moved right by `distance` (i64, any) within 128 bits, of which the upper 64 are given: the lower half. */
function shiftedOut(f: FunctionBuilder, value: Value, distance: Value): Value {
  const near = f.shl(value, f.and(f.sub(f.i64(64), distance), f.i64(63)));
  const far = f.let(f.sub(distance, f.i64(64)));
  const lost = f.ne(f.shl(f.shrU(value, f.and(far, f.i64(63))), f.and(far, f.i64(63))), value);
  const beyond = f.select(f.ltU(far, f.i64(64)), f.or(f.shrU(value, far), f.extendU(lost)), f.i64(1));
  return f.select(f.eqz(distance), f.i64(0), f.select(f.ltU(distance, f.i64(64)), near, beyond));
}

function addition(f: FunctionBuilder, a: Operand, b: Operand, r: Accumulator, round: Label): void {
  const signExponent = (v: Operand) => f.or(v.sign, v.exponent);
  f.if(a.isZero, () => {
    // Of two zeros, the sign is negative only when both are.
    f.if(b.isZero, () => returnExact(f, f.i64(0), f.and(a.sign, b.sign)));
    returnExact(f, b.significand, signExponent(b));
  });
  f.if(b.isZero, () => returnExact(f, a.significand, signExponent(a)));
  const swap = f.or(
    f.ltU(a.exponent, b.exponent),
    f.and(f.eq(a.exponent, b.exponent), f.ltU(a.significand, b.significand)),
  );
  const swapped = f.let(swap);
  const greater = f.let(f.select(swapped, b.significand, a.significand));
  const smaller = f.let(f.select(swapped, a.significand, b.significand));
  f.set(r.exponent, f.select(swapped, b.exponent, a.exponent));
  f.set(r.sign, f.select(swapped, b.sign, a.sign));
  const less = f.select(swapped, a.exponent, b.exponent);
  const distance = f.let(f.extendU(f.sub(f.get(r.exponent), less)));
  const high = f.let(f.select(f.ltU(distance, f.i64(64)), f.shrU(smaller, distance), f.i64(0)));
  const low = f.let(shiftedOut(f, smaller, distance));
  f.if(
    f.eq(a.sign, b.sign),
    () => {
      f.set(r.high, f.add(greater, high));
      f.set(r.low, low);
      f.if(f.ltU(f.get(r.high), greater), () => {
        const kept = f.or(f.shrU(low, f.i64(1)), f.and(low, f.i64(1)));
        f.set(r.low, f.or(f.shl(f.get(r.high), f.i64(63)), kept));
        f.set(r.high, f.or(f.shrU(f.get(r.high), f.i64(1)), f.i64(TOP_BIT)));
        f.set(r.exponent, f.add(f.get(r.exponent), f.i32(1)));
      });
    },
    () => {
      f.set(r.low, f.sub(f.i64(0), low));
      f.set(r.high, f.sub(f.sub(greater, high), f.extendU(f.ne(low, f.i64(0)))));
      f.if(f.eqz(f.get(r.high)), () => {
        f.if(f.eqz(f.get(r.low)), () => returnExact(f, f.i64(0), f.i32(0)));
        f.set(r.high, f.get(r.low));
        f.set(r.low, f.i64(0));
        f.set(r.exponent, f.sub(f.get(r.exponent), f.i32(64)));
      });
      const shift = f.let(f.clz(f.get(r.high)));
      f.if(f.wrap(shift), () => {
        f.set(r.high, f.or(f.shl(f.get(r.high), shift), f.shrU(f.get(r.low), f.sub(f.i64(64), shift))));
        f.set(r.low, f.shl(f.get(r.low), shift));
        f.set(r.exponent, f.sub(f.get(r.exponent), f.wrap(shift)));
      });
    },
  );
  f.br(round);
}

/** Upper half of a product of 64-bit numbers. */
function highProduct(f: FunctionBuilder, a: Value, b: Value): Value {
  const lower = (v: Value) => f.let(f.and(v, f.i64(0xffffffff)));
  const upper = (v: Value) => f.let(f.shrU(v, f.i64(32)));
  const [a0, a1, b0, b1] = [lower(a), upper(a), lower(b), upper(b)];
  const middle = f.let(f.add(f.mul(a1, b0), f.shrU(f.mul(a0, b0), f.i64(32))));
  const carry = f.shrU(f.add(f.mul(a0, b1), f.and(middle, f.i64(0xffffffff))), f.i64(32));
  return f.add(f.add(f.mul(a1, b1), f.shrU(middle, f.i64(32))), carry);
}

function multiplication(f: FunctionBuilder, a: Operand, b: Operand, r: Accumulator, round: Label): void {
  f.if(f.or(a.isZero, b.isZero), () => returnExact(f, f.i64(0), f.get(r.sign)));
  f.set(r.high, highProduct(f, a.significand, b.significand));
  f.set(r.low, f.mul(a.significand, b.significand));
  f.set(r.exponent, f.sub(f.add(a.exponent, b.exponent), f.i32(BIAS - 1)));
  f.if(f.geS(f.get(r.high), f.i64(0)), () => {
    f.set(r.high, f.or(f.shl(f.get(r.high), f.i64(1)), f.shrU(f.get(r.low), f.i64(63))));
    f.set(r.low, f.shl(f.get(r.low), f.i64(1)));
    f.set(r.exponent, f.sub(f.get(r.exponent), f.i32(1)));
  });
  f.br(round);
}

function division(f: FunctionBuilder, a: Operand, b: Operand, r: Accumulator): void {
  f.if(b.isZero, () => f.return(f.i32(0)));
  f.if(a.isZero, () => returnExact(f, f.i64(0), f.get(r.sign)));
  const fits = f.let(f.ltU(a.significand, b.significand));
  const high = f.let(f.select(fits, a.significand, f.shrU(a.significand, f.i64(1))));
  const low = f.let(f.select(fits, f.i64(0), f.shl(a.significand, f.i64(63))));
  f.set(r.exponent, f.add(f.sub(f.sub(a.exponent, b.exponent), fits), f.i32(BIAS)));
  const { quotient, remainder } = divideUnsigned(f, high, low, b.significand);
  f.set(r.high, quotient);
  // The bits behind: none, below, at or above one half.
  const other = f.let(f.sub(b.significand, remainder));
  const above = f.select(f.gtU(remainder, other), f.i64(TOP_BIT | 1n), f.i64(1));
  const half = f.select(f.eq(remainder, other), f.i64(TOP_BIT), above);
  f.set(r.low, f.select(f.eqz(remainder), f.i64(0), half));
}

function roundAndReturn(f: FunctionBuilder, r: Accumulator): void {
  const state = f.param(0);
  const [high, low] = [f.get(r.high), f.get(r.low)];
  const half = f.i64(TOP_BIT);
  const up = f.let(f.or(f.gtU(low, half), f.and(f.eq(low, half), f.wrap(f.and(high, f.i64(1))))));
  f.set(r.high, f.add(high, f.extendU(up)));
  f.if(f.eqz(high), () => {
    f.set(r.high, f.i64(TOP_BIT));
    f.set(r.exponent, f.add(f.get(r.exponent), f.i32(1)));
  });
  // Far from what is tiny or too large.
  f.if(f.geU(f.sub(f.get(r.exponent), f.i32(2)), f.i32(0x7ffc)), () => f.return(f.i32(0)));
  f.store("i64", state, high, S.ARGS);
  f.store("i32", state, f.or(f.get(r.sign), f.get(r.exponent)), S.ARGS + 8);
  const flags = f.or(f.select(f.eqz(low), f.i32(0), f.i32(PE)), f.select(up, f.i32(C1), f.i32(0)));
  f.store("i32", state, f.or(f.and(f.load("i32", state, S.FSW), f.i32(~C1)), flags), S.FSW);
  f.return(f.i32(1));
}
