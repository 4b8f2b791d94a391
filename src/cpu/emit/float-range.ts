// What is known of doubles while code is generated: that a number is zero or lies between two powers of two. An operation on such
// numbers whose result can't leave the normal ones raises nothing but PE. So code has nothing to test once that is set, and while it
// is clear whether results are exact.

import type { Value } from "../wasm/function-builder.js";

/** 0, if `zero`, or of a magnitude from 2^least to 2^greatest. */
export interface FloatRange {
  readonly least: number;
  readonly greatest: number;
  readonly zero: boolean;
}

/** What checks make sure of, or of zero: the two topmost bits of (exponent field - 768) are clear. Products of three can't leave. */
export const WIDE: FloatRange = { least: -255, greatest: 257, zero: true };
/** Added to a doubled pattern, has the two topmost bits tell. In memory, since V8 would make the constant anew at each use. */
export const WIDE_OFFSET = 0xa000000000000000n;
export const ZERO: FloatRange = { least: Number.POSITIVE_INFINITY, greatest: Number.NEGATIVE_INFINITY, zero: true };

export const isWide = ({ least, greatest }: FloatRange): boolean => least >= WIDE.least && greatest <= WIDE.greatest;
/** Rounding can't have made it tiny or too large. */
export const isSafe = ({ least, greatest }: FloatRange): boolean => least >= -1021 && greatest <= 1023;

/** Integers of so many bits and a sign. */
export const integerRange = (bits: number): FloatRange => ({ least: 0, greatest: bits, zero: true });

export type RangeRule = (a: FloatRange, b: FloatRange) => FloatRange;

/** What is left of a difference is a multiple of the smaller one's last digit. */
const sum: RangeRule = (a, b) => ({
  least: Math.min(a.least, b.least) - 52,
  greatest: Math.max(a.greatest, b.greatest) + 1,
  zero: true,
});
const either: RangeRule = (a, b) => ({
  least: Math.min(a.least, b.least),
  greatest: Math.max(a.greatest, b.greatest),
  zero: a.zero || b.zero,
});

/** The range of a result. A divisor isn't zero, a root's operand not negative: these are checked apart. */
export const rangeRules: Readonly<Record<"add" | "sub" | "mul" | "div" | "sqrt" | "either", RangeRule>> = {
  add: sum,
  sub: sum,
  mul: (a, b) => ({ least: a.least + b.least, greatest: a.greatest + b.greatest, zero: a.zero || b.zero }),
  div: (a, b) => ({ least: a.least - b.greatest, greatest: a.greatest - b.least, zero: a.zero }),
  sqrt: (a) => ({ least: Math.floor(a.least / 2), greatest: Math.ceil(a.greatest / 2), zero: a.zero }),
  either,
};

/** Ranges while code is generated that is entered only when MXCSR is as usual. */
export interface RangeTracker {
  /** PE is clear: results must be exact. Else it is set. */
  readonly exact: boolean;
  /** Of a snapshot's lanes: one of an f64, two of a vector of doubles. Asking for what a block begins with makes it a condition. */
  of(value: Value): readonly (FloatRange | undefined)[];
  /** Makes known of a snapshot, or a new value, what its lanes' ranges are. */
  note(value: Value, ranges: readonly FloatRange[]): void;
  /** WIDE_OFFSET in both lanes. */
  readonly offset: Value;
  /** Leaves where a condition (i32) holds: nothing of the instruction has happened yet. */
  refuse(condition: Value): void;
}
