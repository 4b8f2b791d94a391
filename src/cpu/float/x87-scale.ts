// x87 partial remainder, scaling, exponent extraction, packed BCD and constants (SDM Vol. 2: FPREM, FPREM1, FSCALE,
// FXTRACT, FBLD, FBSTP, FLDconst). Conventions as in x87.ts.

import { C0, C1, C2, C3, DE, DOWN, type FloatEnvironment, IE, PE, TRUNCATE, UP, ZE } from "./environment.js";
import { bitLength, EXTENDED80, INFINITE, infinity, QUIET_NAN, unpack, ZERO, zero } from "./format.js";
import { encodeInteger, fromIntegerCore, integerValue } from "./integer.js";
import { invalid, noteDenormals, propagate, propagateOne } from "./nan.js";
import { round } from "./round.js";
import { unlessFaulted } from "./x87.js";

function remainderCore(env: FloatEnvironment, bits: bigint, nearest: boolean): bigint {
  const { a, b } = env;
  if (a.kind >= QUIET_NAN || b.kind >= QUIET_NAN) return propagate(env, EXTENDED80);
  if (a.kind === INFINITE || b.kind === ZERO) return invalid(env, EXTENDED80);
  noteDenormals(env);
  env.condition = 0;
  if (a.kind === ZERO) return bits;
  if (b.kind === INFINITE) return restore(env);
  const distance = a.exp + bitLength(a.sig) - (b.exp + bitLength(b.sig));
  if (distance < -1) return restore(env);
  const shift = a.exp - b.exp;
  let exp: number;
  let x = a.sig;
  let y = b.sig;
  if (shift >= 0) exp = b.exp;
  else {
    exp = a.exp;
    y <<= BigInt(-shift);
  }
  if (distance >= 64) {
    // An incomplete step cuts the exponent difference by N, 32 <= N <= 63, the value the SDM leaves to the processor.
    const drop = distance - ((distance & 31) | 32);
    const excess = shift - drop;
    if (excess >= 0) x <<= BigInt(excess);
    else y <<= BigInt(-excess);
    const rest = x % y;
    const low = excess >= 0 ? b.exp + drop : a.exp;
    const result = rest === 0n ? zero(EXTENDED80, a.sign) : round(env, EXTENDED80, a.sign, low, rest);
    env.condition = C2;
    return result;
  }
  if (shift > 0) x <<= BigInt(shift);
  let quotient = x / y;
  let rest = x - quotient * y;
  let sign = a.sign;
  if (nearest) {
    const twice = rest << 1n;
    if (twice > y || (twice === y && (quotient & 1n) === 1n)) {
      quotient += 1n;
      rest = y - rest;
      sign ^= 1;
    }
  }
  const result = rest === 0n ? zero(EXTENDED80, a.sign) : round(env, EXTENDED80, sign, exp, rest);
  const low = Number(quotient & 7n);
  env.condition = ((low & 4) !== 0 ? C0 : 0) | ((low & 2) !== 0 ? C3 : 0) | ((low & 1) !== 0 ? C1 : 0);
  return result;
}

/** env.a itself as the result: a tiny one meets the underflow rules like any other. */
function restore(env: FloatEnvironment): bigint {
  const result = round(env, EXTENDED80, env.a.sign, env.a.exp, env.a.sig);
  env.condition = 0;
  return result;
}

/** FPREM: a - b * trunc(a / b). C2 set: the step was partial; else C0, C3, C1 are bits 2, 1, 0 of the quotient. */
export function x87PartialRemainder(env: FloatEnvironment, a: bigint, b: bigint): bigint | null {
  unpack(EXTENDED80, a, env.a);
  unpack(EXTENDED80, b, env.b);
  return unlessFaulted(env, remainderCore(env, a, false));
}

/** FPREM1: a - b * round-to-nearest(a / b), the IEEE remainder. Condition codes as FPREM. */
export function x87IeeeRemainder(env: FloatEnvironment, a: bigint, b: bigint): bigint | null {
  unpack(EXTENDED80, a, env.a);
  unpack(EXTENDED80, b, env.b);
  return unlessFaulted(env, remainderCore(env, a, true));
}

function scaleCore(env: FloatEnvironment): bigint {
  const { a, b } = env;
  if (a.kind >= QUIET_NAN || b.kind >= QUIET_NAN) return propagate(env, EXTENDED80);
  if (b.kind === INFINITE) {
    if (a.kind === (b.sign === 0 ? ZERO : INFINITE)) return invalid(env, EXTENDED80);
    noteDenormals(env);
    env.condition = 0;
    return b.sign === 0 ? infinity(EXTENDED80, a.sign) : zero(EXTENDED80, a.sign);
  }
  noteDenormals(env);
  env.condition = 0;
  if (a.kind === ZERO) return zero(EXTENDED80, a.sign);
  if (a.kind === INFINITE) return infinity(EXTENDED80, a.sign);
  // Beyond 2^17 either way every result overflows or underflows twice over.
  const count = integerValue(env, b, TRUNCATE);
  const far = count === null || count > 0x20000n || count < -0x20000n;
  const n = far ? (b.sign === 0 ? 0x20000 : -0x20000) : Number(count);
  return round(env, EXTENDED80, a.sign, a.exp + n, a.sig);
}

/** FSCALE: a * 2^trunc(b). */
export function x87Scale(env: FloatEnvironment, a: bigint, b: bigint): bigint | null {
  unpack(EXTENDED80, a, env.a);
  unpack(EXTENDED80, b, env.b);
  return unlessFaulted(env, scaleCore(env));
}

/** FXTRACT: [exponent, which replaces ST(0); significand, which is then pushed]. */
export function x87Extract(env: FloatEnvironment, bits: bigint): readonly [bigint, bigint] | null {
  const { a } = env;
  unpack(EXTENDED80, bits, a);
  env.condition = 0;
  if (a.kind >= QUIET_NAN) {
    const nan = propagateOne(env, EXTENDED80, a);
    return unlessFaulted(env, [nan, nan] as const);
  }
  if (a.kind === INFINITE) return [infinity(EXTENDED80, 0), bits];
  if (a.kind === ZERO) {
    env.flags |= ZE;
    return unlessFaulted(env, [infinity(EXTENDED80, 1), bits] as const);
  }
  if (a.denormal) env.flags |= DE;
  const length = bitLength(a.sig);
  const exponent = fromIntegerCore(env, EXTENDED80, BigInt(a.exp + length - 1));
  const significand = round(env, EXTENDED80, a.sign, 1 - length, a.sig);
  return unlessFaulted(env, [exponent, significand] as const);
}

const BCD_LIMIT = 10n ** 18n;
const BCD_INDEFINITE = 0xffffc000000000000000n;

/** FBLD: an 80-bit packed BCD pattern (18 digits, sign in bit 79) to the register format; exact, raises nothing. */
export function x87LoadBcd(bits: bigint): bigint {
  let value = 0n;
  for (let shift = 68n; shift >= 0n; shift -= 4n) value = value * 10n + ((bits >> shift) & 15n);
  const magnitude = value === 0n ? 0n : encodeInteger(EXTENDED80, value);
  return magnitude | (bits & (1n << 79n));
}

/** FBSTP: the packed BCD pattern of a rounded to an integer; beyond 18 digits raises IE and gives the BCD indefinite. */
export function x87StoreBcd(env: FloatEnvironment, bits: bigint): bigint | null {
  unpack(EXTENDED80, bits, env.a);
  let value = integerValue(env, env.a, env.rounding);
  if (value !== null && value < 0n) value = -value;
  if (value === null || value >= BCD_LIMIT) {
    env.flags |= IE;
    env.condition = 0;
    return (env.masks & IE) === 0 ? null : BCD_INDEFINITE;
  }
  if (env.inexact) env.flags |= PE;
  env.condition = env.roundedUp ? C1 : 0;
  return BigInt(`0x${value}`) | (BigInt(env.a.sign) << 79n);
}

/** FLDconst in opcode order D9 E8 to D9 EE, truncated to 64 bits, and whether the next bit is one. */
const CONSTANTS: readonly (readonly [bits: bigint, roundsUp: boolean])[] = [
  [0x3fff8000000000000000n, false],
  [0x4000d49a784bcd1b8afen, false],
  [0x3fffb8aa3b295c17f0bbn, true],
  [0x4000c90fdaa22168c234n, true],
  [0x3ffd9a209a84fbcff798n, true],
  [0x3ffeb17217f7d1cf79abn, true],
  [0n, false],
];

/** FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ (index 0 to 6), rounded by RC without raising PE. */
export function x87Constant(env: FloatEnvironment, index: number): bigint {
  const [bits, roundsUp] = CONSTANTS[index]!;
  if (index === 0 || index === 6 || env.rounding === DOWN || env.rounding === TRUNCATE) return bits;
  return env.rounding === UP || roundsUp ? bits + 1n : bits;
}
