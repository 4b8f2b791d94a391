// Conversions between floating point and integers, and rounding to an integral value (SDM Vol. 1, 4.8.4.2, 8.3.6, 11.5.2.1).
// All work on an unpacked operand; none raises DE: FRNDINT, which does, adds it itself.

import { type FloatEnvironment, IE, PE, TRUNCATE } from "./environment.js";
import { bitLength, FINITE, type Format, QUIET_NAN, signed, type Unpacked, ZERO, zero } from "./format.js";
import { propagateOne } from "./nan.js";
import { round, shiftRound } from "./round.js";

/**
 * env.a as an integer rounded in `mode`, or null (nothing raised) when it is not finite or has 70 bits or more.
 * Sets env.inexact and env.roundedUp, raises nothing.
 */
export function integerValue(env: FloatEnvironment, a: Unpacked, mode: number): bigint | null {
  env.inexact = false;
  env.roundedUp = false;
  if (a.kind === ZERO) return 0n;
  if (a.kind !== FINITE || a.exp + bitLength(a.sig) > 70) return null;
  const magnitude = shiftRound(env, a.sign, a.sig, -a.exp, mode);
  return a.sign === 0 ? magnitude : -magnitude;
}

/** env.a as a signed integer of `bits` bits; out of range raises IE and gives the integer indefinite -2^(bits-1). */
export function toIntegerCore(env: FloatEnvironment, bits: number, truncate: boolean): bigint {
  const value = integerValue(env, env.a, truncate ? TRUNCATE : env.rounding);
  const limit = 1n << BigInt(bits - 1);
  if (value === null || value >= limit || value < -limit) {
    env.flags |= IE;
    env.inexact = false;
    env.roundedUp = false;
    return -limit;
  }
  if (env.inexact) env.flags |= PE;
  return value;
}

/** A signed integer as a float of `format`, rounded. */
export function fromIntegerCore(env: FloatEnvironment, format: Format, value: bigint): bigint {
  if (value === 0n) return 0n;
  return value < 0n ? round(env, format, 1, 0, -value) : round(env, format, 0, 0, value);
}

/**
 * env.a, whose pattern is `bits`, rounded in `mode` to an integral value of the same format. Raises IE for a signalling
 * NaN and, with `signalInexact`, PE.
 */
export function integralCore(
  env: FloatEnvironment,
  format: Format,
  bits: bigint,
  mode: number,
  signalInexact: boolean,
): bigint {
  const { a } = env;
  env.inexact = false;
  env.roundedUp = false;
  if (a.kind >= QUIET_NAN) return propagateOne(env, format, a);
  if (a.kind === ZERO) return zero(format, a.sign);
  if (a.kind !== FINITE || a.exp >= 0) return bits;
  const magnitude = shiftRound(env, a.sign, a.sig, -a.exp, mode);
  if (env.inexact && signalInexact) env.flags |= PE;
  return magnitude === 0n ? zero(format, a.sign) : signed(format, a.sign, encodeInteger(format, magnitude));
}

/** A positive integer of at most `format.precision` bits, or the power of two just above, as a float: exact. */
export function encodeInteger(format: Format, magnitude: bigint): bigint {
  const length = bitLength(magnitude);
  const shift = format.precision - length;
  const sig = shift >= 0 ? magnitude << BigInt(shift) : magnitude >> BigInt(-shift);
  return (BigInt(length - 1 + format.bias) << format.exponentShift) | (sig & format.significandMask);
}
