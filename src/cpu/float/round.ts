// Rounding of an exact (or sticky) result into a format, with overflow and underflow responses (SDM Vol. 1, 4.8.4,
// 4.9.1.4-4.9.1.6, 8.5.4-8.5.6). Tininess is detected after rounding, as on all x86 processors.
// A caller whose exact result has more bits than it can hold sets the lowest bit of `sig` for what it dropped, and
// keeps at least two bits below the rounding position.

import { C1, DOWN, type FloatEnvironment, NEAREST, OE, PE, UE, UP } from "./environment.js";
import { bitLength, EXTENDED80, type Format, infinity, signed, zero } from "./format.js";

/** Exponent adjustment of the unmasked x87 overflow and underflow responses: 3 * 2^13. */
const BIAS_ADJUST = 24576;
/** No significand in this folder has as many bits as this: shifted further right, less than a half remains. */
const MAX_SHIFT = 1024;

/** sig / 2^shift as an integer, rounded in `mode`; sets env.inexact and env.roundedUp. A negative shift multiplies. */
export function shiftRound(env: FloatEnvironment, sign: number, sig: bigint, shift: number, mode: number): bigint {
  env.roundedUp = false;
  env.inexact = false;
  if (shift <= 0) return shift === 0 ? sig : sig << BigInt(-shift);
  if (shift > MAX_SHIFT) {
    env.inexact = true;
    env.roundedUp = mode === (sign === 0 ? UP : DOWN);
    return env.roundedUp ? 1n : 0n;
  }
  const count = BigInt(shift);
  const quotient = sig >> count;
  const rest = sig - (quotient << count);
  if (rest === 0n) return quotient;
  env.inexact = true;
  let up: boolean;
  if (mode === NEAREST) {
    const half = 1n << (count - 1n);
    up = rest > half || (rest === half && (quotient & 1n) === 1n);
  } else {
    up = mode === (sign === 0 ? UP : DOWN);
  }
  env.roundedUp = up;
  return up ? quotient + 1n : quotient;
}

function compose(format: Format, sign: number, exponent: number, sig: bigint, precision: number): bigint {
  // sig has exactly `precision` bits and the value is sig * 2^(exponent - precision + 1).
  const field = precision === format.precision ? sig : sig << BigInt(format.precision - precision);
  const biased = BigInt(exponent + format.bias) << format.exponentShift;
  return signed(format, sign, biased | (field & format.significandMask));
}

/** Ends an x87 operation: C1 tells whether the last rounding went away from zero. */
function finish(env: FloatEnvironment): void {
  if (env.inexact) env.flags |= PE;
  env.condition = env.roundedUp ? C1 : 0;
}

function overflow(env: FloatEnvironment, format: Format, sign: number, precision: number): bigint {
  env.flags |= OE;
  const mode = env.rounding;
  const toInfinity = mode === NEAREST || mode === (sign === 0 ? UP : DOWN);
  env.inexact = true;
  env.roundedUp = toInfinity;
  finish(env);
  if (toInfinity) return infinity(format, sign);
  return compose(format, sign, format.emax, (1n << BigInt(precision)) - 1n, precision);
}

/**
 * Unmasked overflow or underflow where the result is not written. Seen on processors: SSE raises PE if the result would
 * be inexact with an unbounded exponent; FST raises no PE and clears C1.
 */
function unwritten(env: FloatEnvironment, format: Format, exception: number): bigint {
  env.flags |= exception;
  if (env.unit === "sse" && env.inexact) env.flags |= PE;
  env.condition = 0;
  return format.indefinite;
}

/**
 * Rounds (-1)^sign * sig * 2^exp (sig > 0) to `precision` bits in `format`, raises OE, UE and PE in env.flags and sets
 * C1. An extended80 result with OE or UE unmasked comes scaled by 2^-24576 or 2^24576; for the other formats the
 * default NaN is returned, which the caller, seeing the flags, doesn't write.
 */
export function round(
  env: FloatEnvironment,
  format: Format,
  sign: number,
  exp: number,
  sig: bigint,
  precision: number = format.precision,
): bigint {
  const length = bitLength(sig);
  const shift = length - precision;
  let rounded = shiftRound(env, sign, sig, shift, env.rounding);
  let exponent = exp + length - 1;
  if (rounded >> BigInt(precision) !== 0n) {
    rounded >>= 1n;
    exponent++;
  }
  if (exponent > format.emax) {
    if (format === EXTENDED80 && (env.masks & OE) === 0) {
      env.flags |= OE;
      if (exponent - BIAS_ADJUST > format.emax) {
        env.inexact = true;
        env.roundedUp = true;
        finish(env);
        return infinity(format, sign);
      }
      finish(env);
      return compose(format, sign, exponent - BIAS_ADJUST, rounded, precision);
    }
    if ((env.masks & OE) === 0) return unwritten(env, format, OE);
    return overflow(env, format, sign, precision);
  }
  if (exponent >= format.emin) {
    finish(env);
    return compose(format, sign, exponent, rounded, precision);
  }
  if ((env.masks & UE) === 0) {
    env.flags |= UE;
    if (format === EXTENDED80) {
      if (exponent + BIAS_ADJUST < format.emin) {
        env.inexact = true;
        env.roundedUp = false;
        finish(env);
        return zero(format, sign);
      }
      finish(env);
      return compose(format, sign, exponent + BIAS_ADJUST, rounded, precision);
    }
    return unwritten(env, format, UE);
  } else if (env.flushToZero) {
    env.flags |= UE | PE;
    return zero(format, sign);
  }
  // Denormalise: the rounding position is fixed at the smallest exponent. A sum of far bits may carry into the smallest
  // normal number; the packed form below takes care of it by itself because the exponent field follows the significand.
  const denormal = shiftRound(env, sign, sig, format.emin - precision + 1 - exp, env.rounding);
  if (env.inexact) env.flags |= UE;
  finish(env);
  let field = precision === format.precision ? denormal : denormal << BigInt(format.precision - precision);
  if (format === EXTENDED80 && field >> 63n !== 0n) field |= 1n << 64n;
  return signed(format, sign, field);
}
