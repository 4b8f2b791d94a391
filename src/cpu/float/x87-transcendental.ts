// FSIN, FCOS, FSINCOS, FPTAN (SDM Vol. 1, 8.3.8, 8.3.10; Vol. 2 instruction pages). Results are computed to 190 bits and
// rounded once in the current rounding mode to 64 bits; precision control has no say. Arguments are reduced by the 66-bit
// pi of the processors. An argument of 2^63 or more sets C2 and leaves the stack alone (null).

import { C2, DE, type FloatEnvironment } from "./environment.js";
import { bitLength, EXTENDED80, INFINITE, QUIET_NAN, type Unpacked, unpack, ZERO } from "./format.js";
import { invalid, propagateOne } from "./nan.js";
import { round } from "./round.js";
import { cosine, FRACTION, ONE, sineRatio } from "./series.js";
import { unlessFaulted } from "./x87.js";

export { x87ArcTangent } from "./x87-arctangent.js";
export { x87Exp2Minus1, x87YLog2X, x87YLog2XPlus1 } from "./x87-logarithm.js";

/** pi in 66 bits (SDM Vol. 1, 8.3.8), times 2^64; half of it times 2^65 is the same integer. */
const PI66 = 0x3243f6a8885a308d3n;
const ONE80 = 0x3fff8000000000000000n;

interface Reduced {
  /** |x| = quadrant * pi/2 + (-1)^sign * sig * 2^exp; quadrant modulo 4. */
  quadrant: number;
  sign: number;
  sig: bigint;
  exp: number;
  /** Square of the remainder, fixed point. */
  z: bigint;
}

function square(sig: bigint, exp: number): bigint {
  const shift = 2 * exp + FRACTION;
  const z = sig * sig;
  if (shift >= 0) return z << BigInt(shift);
  return shift < -400 ? 0n : z >> BigInt(-shift);
}

/** Reduces a finite nonzero |a| < 2^63 to at most pi/4 around a multiple of pi/2. */
function reduce(a: Unpacked): Reduced {
  if (a.exp + bitLength(a.sig) < 0) return { quadrant: 0, sign: 0, sig: a.sig, exp: a.exp, z: square(a.sig, a.exp) };
  // A value of at least 1/2 with 64 significant bits has no bits below 2^-64.
  const scaled = a.sig << BigInt(a.exp + 65);
  const count = (2n * scaled + PI66) / (2n * PI66);
  const rest = scaled - count * PI66;
  const sig = rest < 0n ? -rest : rest;
  return { quadrant: Number(count & 3n), sign: rest < 0n ? 1 : 0, sig, exp: -65, z: square(sig, -65) };
}

function roundSine(env: FloatEnvironment, r: Reduced, quadrant: number, sign: number): bigint {
  const negate = sign ^ ((quadrant >> 1) & 1);
  if ((quadrant & 1) !== 0) return round(env, EXTENDED80, negate, -FRACTION, cosine(r.z) | 1n);
  return round(env, EXTENDED80, negate ^ r.sign, r.exp - FRACTION, (r.sig * sineRatio(r.z)) | 1n);
}

function tooLarge(a: Unpacked): boolean {
  return a.exp + bitLength(a.sig) > 63;
}

/** NaN and infinity handling; null when the operand is finite. */
function special(env: FloatEnvironment, bits: bigint): bigint | null {
  const { a } = env;
  unpack(EXTENDED80, bits, a);
  env.condition = 0;
  if (a.kind >= QUIET_NAN) return propagateOne(env, EXTENDED80, a);
  if (a.kind === INFINITE) return invalid(env, EXTENDED80);
  if (a.denormal) env.flags |= DE;
  return null;
}

function sineOrCosine(env: FloatEnvironment, bits: bigint, turn: number): bigint | null {
  const nan = special(env, bits);
  if (nan !== null) return unlessFaulted(env, nan);
  const { a } = env;
  if (a.kind === ZERO) return turn === 0 ? bits : ONE80;
  if (tooLarge(a)) {
    env.condition = C2;
    return null;
  }
  const r = reduce(a);
  return unlessFaulted(env, roundSine(env, r, r.quadrant + turn, turn === 0 ? a.sign : 0));
}

/** FSIN. */
export function x87Sine(env: FloatEnvironment, bits: bigint): bigint | null {
  return sineOrCosine(env, bits, 0);
}

/** FCOS. */
export function x87Cosine(env: FloatEnvironment, bits: bigint): bigint | null {
  return sineOrCosine(env, bits, 1);
}

/** FSINCOS: [sine, which replaces ST(0); cosine, which is then pushed]. C1 is that of the cosine. */
export function x87SineCosine(env: FloatEnvironment, bits: bigint): readonly [bigint, bigint] | null {
  const nan = special(env, bits);
  if (nan !== null) return unlessFaulted(env, [nan, nan] as const);
  const { a } = env;
  if (a.kind === ZERO) return [bits, ONE80];
  if (tooLarge(a)) {
    env.condition = C2;
    return null;
  }
  const r = reduce(a);
  const sine = roundSine(env, r, r.quadrant, a.sign);
  const cos = roundSine(env, r, r.quadrant + 1, 0);
  return unlessFaulted(env, [sine, cos] as const);
}

/** FPTAN: [tangent, which replaces ST(0); 1.0, which is then pushed]. */
export function x87Tangent(env: FloatEnvironment, bits: bigint): readonly [bigint, bigint] | null {
  const nan = special(env, bits);
  if (nan !== null) return unlessFaulted(env, [nan, nan] as const);
  const { a } = env;
  if (a.kind === ZERO) return [bits, ONE80];
  if (tooLarge(a)) {
    env.condition = C2;
    return null;
  }
  const r = reduce(a);
  const ratio = r.z === 0n ? ONE + 1n : (sineRatio(r.z) << BigInt(FRACTION)) / cosine(r.z);
  let sig = r.sig * ratio;
  let exp = r.exp - FRACTION;
  let sign = a.sign ^ r.sign;
  if ((r.quadrant & 1) !== 0) {
    // tan(pi/2 + t) = -1 / tan(t); here t is at least 2^-66 and sig has over 190 bits.
    const length = bitLength(sig);
    sig = (1n << BigInt(length + FRACTION)) / sig;
    exp = -exp - length - FRACTION;
    sign ^= 1;
  }
  return unlessFaulted(env, [round(env, EXTENDED80, sign, exp, sig | 1n), ONE80] as const);
}
