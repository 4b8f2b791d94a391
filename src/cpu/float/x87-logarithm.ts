// F2XM1, FYL2X, FYL2XP1 (SDM Vol. 1, 8.3.9; Vol. 2 instruction pages with their tables of special operands), computed to
// about 190 bits and rounded once to 64 bits in the current rounding mode.

import { DE, type FloatEnvironment, PE, UE, ZE } from "./environment.js";
import { bitLength, EXTENDED80, INFINITE, infinity, QUIET_NAN, unpack, ZERO, zero } from "./format.js";
import { invalid, noteDenormals, propagate, propagateOne } from "./nan.js";
import { round } from "./round.js";
import { expRatio, FRACTION, inverseTanhRatio, LN2, LOG2_E } from "./series.js";
import { unlessFaulted } from "./x87.js";

const F = BigInt(FRACTION);
const ONE80 = 0x3fff8000000000000000n;
const SIGN = 1n << 79n;

/** sig * 2^exp as fixed point, truncated. */
function toFixed(sig: bigint, exp: number): bigint {
  const shift = exp + FRACTION;
  if (shift >= 0) return sig << BigInt(shift);
  return shift < -1000 ? 0n : sig >> BigInt(-shift);
}

function exp2Core(env: FloatEnvironment, bits: bigint): bigint {
  const { a } = env;
  if (a.kind >= QUIET_NAN) return propagateOne(env, EXTENDED80, a);
  env.condition = 0;
  if (a.kind === ZERO) return bits;
  if (a.kind === INFINITE) return a.sign === 0 ? bits : ONE80 | SIGN;
  if (a.denormal) env.flags |= DE;
  const top = a.exp + bitLength(a.sig) - 1;
  if (top >= 0) {
    // Only -1 and +1 are defined; beyond them processors give the argument itself, called inexact.
    env.flags |= PE;
    if (bits === ONE80) return ONE80;
    if (bits === (ONE80 | SIGN)) return 0xbffe8000000000000000n;
    return bits;
  }
  const magnitude = toFixed(a.sig * LN2, a.exp - FRACTION);
  const ratio = expRatio(a.sign === 0 ? magnitude : -magnitude);
  return round(env, EXTENDED80, a.sign, a.exp - FRACTION, (a.sig * ((LN2 * ratio) >> F)) | 1n);
}

/** F2XM1: 2^x - 1 for x from -1 to 1. */
export function x87Exp2Minus1(env: FloatEnvironment, bits: bigint): bigint | null {
  unpack(EXTENDED80, bits, env.a);
  return unlessFaulted(env, exp2Core(env, bits));
}

/** A logarithm: (-1)^sign * sig * 2^exp, exact or truncated. sig is 0 for log2(1). */
interface Logarithm {
  sign: number;
  sig: bigint;
  exp: number;
  exact: boolean;
}

/** log2 of n * 2^exp, n > 0. */
function log2(n: bigint, exp: number): Logarithm {
  const length = bitLength(n);
  // One is the power of two next to n within a factor of sqrt(2): log2(n) = log2(one) + 2 atanh((n - one) / (n + one)) / ln 2.
  const above = n * n > 1n << BigInt(2 * length - 1);
  const one = 1n << BigInt(above ? length : length - 1);
  const whole = exp + length - (above ? 0 : 1);
  if (n === one) {
    return { sign: whole < 0 ? 1 : 0, sig: BigInt(Math.abs(whole)), exp: 0, exact: true };
  }
  const negative = n < one;
  const difference = negative ? one - n : n - one;
  const s = (difference << (F + 64n)) / (n + one);
  const ratio = inverseTanhRatio((s * s) >> (F + 128n));
  const sig = (s * ((ratio * LOG2_E) >> F)) << 1n;
  if (whole === 0) return { sign: negative ? 1 : 0, sig, exp: -2 * FRACTION - 64, exact: false };
  const part = sig >> (F + 64n);
  const sum = (BigInt(whole) << F) + (negative ? -part : part);
  return { sign: sum < 0n ? 1 : 0, sig: sum < 0n ? -sum : sum, exp: -FRACTION, exact: false };
}

/** env.b (y, finite and nonzero) times a logarithm. */
function timesLog(env: FloatEnvironment, log: Logarithm): bigint {
  const { b: y } = env;
  const sign = y.sign ^ log.sign;
  if (log.sig === 0n) return zero(EXTENDED80, sign);
  // Processors compute integral logarithms like all others: every product is reported inexact, and underflown if tiny.
  env.flags |= PE;
  if (!log.exact) return round(env, EXTENDED80, sign, y.exp + log.exp, (y.sig * log.sig) | 1n);
  const result = round(env, EXTENDED80, sign, y.exp + log.exp, y.sig * log.sig);
  if (((result >> 64n) & 0x7fffn) === 0n) env.flags |= UE;
  return result;
}

function yLog2XCore(env: FloatEnvironment): bigint {
  const { a: x, b: y } = env;
  if (x.kind >= QUIET_NAN || y.kind >= QUIET_NAN) return propagate(env, EXTENDED80);
  env.condition = 0;
  if (x.kind === ZERO) {
    if (y.kind === ZERO) return invalid(env, EXTENDED80);
    if (y.kind !== INFINITE) env.flags |= ZE;
    return infinity(EXTENDED80, y.sign ^ 1);
  }
  if (x.sign === 1) return invalid(env, EXTENDED80);
  if (x.kind === INFINITE) {
    if (y.kind === ZERO) return invalid(env, EXTENDED80);
    noteDenormals(env);
    return infinity(EXTENDED80, y.sign);
  }
  // Below one, exactly one, or above: decides the sign and 0 * infinity.
  const top = x.exp + bitLength(x.sig) - 1;
  const isOne = top === 0 && (x.sig & (x.sig - 1n)) === 0n;
  if (y.kind === INFINITE && isOne) return invalid(env, EXTENDED80);
  noteDenormals(env);
  const sign = y.sign ^ (top < 0 ? 1 : 0);
  if (y.kind === INFINITE) return infinity(EXTENDED80, sign);
  if (y.kind === ZERO) return zero(EXTENDED80, sign);
  return timesLog(env, log2(x.sig, x.exp));
}

/** FYL2X: y * log2(x), y from ST(1), x from ST(0). */
export function x87YLog2X(env: FloatEnvironment, y: bigint, x: bigint): bigint | null {
  unpack(EXTENDED80, x, env.a);
  unpack(EXTENDED80, y, env.b);
  return unlessFaulted(env, yLog2XCore(env));
}

/** FYL2XP1 of -1 and below, which the SDM leaves undefined: processors give x, called inexact. */
function undefinedLog(env: FloatEnvironment, bits: bigint): bigint {
  env.flags |= PE;
  return bits;
}

function yLog2XPlus1Core(env: FloatEnvironment, bits: bigint): bigint {
  const { a: x, b: y } = env;
  if (x.kind >= QUIET_NAN || y.kind >= QUIET_NAN) return propagate(env, EXTENDED80);
  env.condition = 0;
  if (x.kind === ZERO || x.kind === INFINITE || y.kind === ZERO || y.kind === INFINITE) {
    if (x.kind === INFINITE && (x.sign === 1 || y.kind === ZERO)) return invalid(env, EXTENDED80);
    if (x.kind === ZERO && y.kind === INFINITE) return invalid(env, EXTENDED80);
    noteDenormals(env);
    const sign = x.sign ^ y.sign;
    return x.kind === INFINITE || y.kind === INFINITE ? infinity(EXTENDED80, sign) : zero(EXTENDED80, sign);
  }
  const top = x.exp + bitLength(x.sig) - 1;
  if (top >= -2) {
    // 1 + x exactly (a bit far below it can't matter): also serves arguments beyond the defined range.
    if (top > 128) {
      noteDenormals(env);
      if (x.sign === 1) return undefinedLog(env, bits);
      return timesLog(env, log2(x.sig, x.exp));
    }
    const shift = Math.max(0, -x.exp);
    const term = x.sig << BigInt(Math.max(0, x.exp));
    const sum = (1n << BigInt(shift)) + (x.sign === 0 ? term : -term);
    noteDenormals(env);
    if (sum <= 0n) return undefinedLog(env, bits);
    return timesLog(env, log2(sum, -shift));
  }
  noteDenormals(env);
  // log2(1 + x) = 2 atanh(s) / ln 2 with s = x / (2 + x), kept relative to x so that no bits are lost for small x.
  const fixed = toFixed(x.sig, x.exp);
  const inverse = (1n << (2n * F)) / ((2n << F) + (x.sign === 0 ? fixed : -fixed));
  const s = (fixed * inverse) >> F;
  const factor = (((inverse * inverseTanhRatio((s * s) >> F)) >> F) * LOG2_E) >> F;
  return timesLog(env, { sign: x.sign, sig: (x.sig * factor) << 1n, exp: x.exp - FRACTION, exact: false });
}

/** FYL2XP1: y * log2(x + 1) for |x| <= 1 - sqrt(2)/2, y from ST(1), x from ST(0). */
export function x87YLog2XPlus1(env: FloatEnvironment, y: bigint, x: bigint): bigint | null {
  unpack(EXTENDED80, x, env.a);
  unpack(EXTENDED80, y, env.b);
  return unlessFaulted(env, yLog2XPlus1Core(env, x));
}
