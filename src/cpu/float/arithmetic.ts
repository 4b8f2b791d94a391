// Add, subtract, multiply, divide and square root on the operands unpacked in env.a and env.b (SDM Vol. 1, 4.9.1, 8.5).
// Every operation computes an exact integer significand (with a sticky bit for quotients and roots) and rounds it once.
// The response returned is the masked one; callers look at env.flags for the unmasked ones.

import { DE, DOWN, type FloatEnvironment, ZE } from "./environment.js";
import { bitLength, FINITE, type Format, INFINITE, infinity, QUIET_NAN, ZERO, zero } from "./format.js";
import { invalid, noteDenormals, propagate, propagateOne } from "./nan.js";
import { round } from "./round.js";

export type Arithmetic = (env: FloatEnvironment, format: Format, precision: number) => bigint;

/** Beyond this exponent distance the smaller addend (at most 64 bits) only matters as a sticky bit. */
const FAR = 208;
const FAR_SHIFT = 140n;

function addSigned(env: FloatEnvironment, format: Format, precision: number, flip: number): bigint {
  const { a, b } = env;
  if (a.kind >= QUIET_NAN || b.kind >= QUIET_NAN) return propagate(env, format);
  const signB = b.sign ^ flip;
  if (a.kind === INFINITE && b.kind === INFINITE && a.sign !== signB) return invalid(env, format);
  noteDenormals(env);
  env.condition = 0;
  if (a.kind === INFINITE) return infinity(format, a.sign);
  if (b.kind === INFINITE) return infinity(format, signB);
  if (a.kind === ZERO) {
    if (b.kind === FINITE) return round(env, format, signB, b.exp, b.sig, precision);
    return zero(format, a.sign === signB ? signB : env.rounding === DOWN ? 1 : 0);
  }
  if (b.kind === ZERO) return round(env, format, a.sign, a.exp, a.sig, precision);
  let exp: number;
  let x = a.sig;
  let y = b.sig;
  const distance = a.exp - b.exp;
  if (distance >= 0) {
    if (distance < FAR) {
      x <<= BigInt(distance);
      exp = b.exp;
    } else {
      x <<= FAR_SHIFT;
      y = 1n;
      exp = a.exp - 140;
    }
  } else if (distance > -FAR) {
    y <<= BigInt(-distance);
    exp = a.exp;
  } else {
    y <<= FAR_SHIFT;
    x = 1n;
    exp = b.exp - 140;
  }
  if (a.sign === signB) return round(env, format, a.sign, exp, x + y, precision);
  if (x === y) return zero(format, env.rounding === DOWN ? 1 : 0);
  return x > y ? round(env, format, a.sign, exp, x - y, precision) : round(env, format, signB, exp, y - x, precision);
}

export function addCore(env: FloatEnvironment, format: Format, precision: number): bigint {
  return addSigned(env, format, precision, 0);
}

export function subtractCore(env: FloatEnvironment, format: Format, precision: number): bigint {
  return addSigned(env, format, precision, 1);
}

export function multiplyCore(env: FloatEnvironment, format: Format, precision: number): bigint {
  const { a, b } = env;
  if (a.kind >= QUIET_NAN || b.kind >= QUIET_NAN) return propagate(env, format);
  const sign = a.sign ^ b.sign;
  if (a.kind === INFINITE || b.kind === INFINITE) {
    if (a.kind === ZERO || b.kind === ZERO) return invalid(env, format);
    noteDenormals(env);
    env.condition = 0;
    return infinity(format, sign);
  }
  noteDenormals(env);
  env.condition = 0;
  if (a.kind === ZERO || b.kind === ZERO) return zero(format, sign);
  return round(env, format, sign, a.exp + b.exp, a.sig * b.sig, precision);
}

export function divideCore(env: FloatEnvironment, format: Format, precision: number): bigint {
  const { a, b } = env;
  if (a.kind >= QUIET_NAN || b.kind >= QUIET_NAN) return propagate(env, format);
  const sign = a.sign ^ b.sign;
  if (a.kind === b.kind && a.kind !== FINITE) return invalid(env, format);
  env.condition = 0;
  if (b.kind === ZERO && a.kind === FINITE) {
    env.flags |= ZE;
    return infinity(format, sign);
  }
  noteDenormals(env);
  if (a.kind === INFINITE || b.kind === ZERO) return infinity(format, sign);
  if (a.kind === ZERO || b.kind === INFINITE) return zero(format, sign);
  const shift = Math.max(0, precision + 3 + bitLength(b.sig) - bitLength(a.sig));
  const dividend = a.sig << BigInt(shift);
  let quotient = dividend / b.sig;
  if (quotient * b.sig !== dividend) quotient |= 1n;
  return round(env, format, sign, a.exp - b.exp - shift, quotient, precision);
}

/** Integer square root of n, 2^52 <= n < 2^1000, rounded down. */
export function integerSqrt(n: bigint): bigint {
  let root = BigInt(Math.floor(Math.sqrt(Number(n))));
  for (;;) {
    const next = (root + n / root) >> 1n;
    const difference = next - root;
    root = next;
    if (difference >= -1n && difference <= 1n) break;
  }
  while (root * root > n) root--;
  while ((root + 1n) * (root + 1n) <= n) root++;
  return root;
}

/** Square root of env.a. */
export function sqrtCore(env: FloatEnvironment, format: Format, precision: number): bigint {
  const { a } = env;
  if (a.kind >= QUIET_NAN) return propagateOne(env, format, a);
  env.condition = 0;
  if (a.kind === ZERO) return zero(format, a.sign);
  if (a.sign === 1) return invalid(env, format);
  if (a.denormal) env.flags |= DE;
  if (a.kind === INFINITE) return infinity(format, 0);
  let shift = Math.max(0, 2 * precision + 6 - bitLength(a.sig));
  if (((a.exp - shift) & 1) !== 0) shift++;
  const radicand = a.sig << BigInt(shift);
  let root = integerSqrt(radicand);
  if (root * root !== radicand) root |= 1n;
  return round(env, format, 0, (a.exp - shift) / 2, root, precision);
}
