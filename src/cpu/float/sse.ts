// Scalar lane operations of SSE, SSE2 and SSE4.1 (SDM Vol. 1, 11.5; Vol. 2 instruction pages). Each takes and returns bit
// patterns, gives the masked response and accumulates env.flags over the lanes; finishSse() tells what may be written.

import { type Arithmetic, addCore, divideCore, multiplyCore, sqrtCore, subtractCore } from "./arithmetic.js";
import { compareCore, GREATER, LESS } from "./compare.js";
import { convertCore } from "./convert.js";
import type { FloatEnvironment } from "./environment.js";
import { type Format, unpack, ZERO, zero } from "./format.js";
import { fromIntegerCore, integralCore, toIntegerCore } from "./integer.js";

function binary(env: FloatEnvironment, format: Format, a: bigint, b: bigint, operation: Arithmetic): bigint {
  unpack(format, a, env.a, env.denormalsAreZero);
  unpack(format, b, env.b, env.denormalsAreZero);
  return operation(env, format, format.precision);
}

/** ADDSS/SD lane: a + b. */
export function sseAdd(env: FloatEnvironment, format: Format, a: bigint, b: bigint): bigint {
  return binary(env, format, a, b, addCore);
}

/** SUBSS/SD lane: a - b. */
export function sseSubtract(env: FloatEnvironment, format: Format, a: bigint, b: bigint): bigint {
  return binary(env, format, a, b, subtractCore);
}

/** MULSS/SD lane: a * b. */
export function sseMultiply(env: FloatEnvironment, format: Format, a: bigint, b: bigint): bigint {
  return binary(env, format, a, b, multiplyCore);
}

/** DIVSS/SD lane: a / b. */
export function sseDivide(env: FloatEnvironment, format: Format, a: bigint, b: bigint): bigint {
  return binary(env, format, a, b, divideCore);
}

/** SQRTSS/SD lane. */
export function sseSqrt(env: FloatEnvironment, format: Format, a: bigint): bigint {
  unpack(format, a, env.a, env.denormalsAreZero);
  return sqrtCore(env, format, format.precision);
}

/** The second operand, as MIN and MAX return it for NaNs and zeros: unchanged, but a denormal obeys DAZ. */
function minMax(env: FloatEnvironment, format: Format, a: bigint, b: bigint, wanted: number): bigint {
  unpack(format, a, env.a, env.denormalsAreZero);
  unpack(format, b, env.b, env.denormalsAreZero);
  const takesFirst = compareCore(env, true) === wanted;
  const chosen = takesFirst ? env.a : env.b;
  if (chosen.kind === ZERO) return zero(format, chosen.sign);
  return takesFirst ? a : b;
}

/** MINSS/SD lane: a if a < b, else b; any NaN raises IE and gives b. */
export function sseMin(env: FloatEnvironment, format: Format, a: bigint, b: bigint): bigint {
  return minMax(env, format, a, b, LESS);
}

/** MAXSS/SD lane: a if a > b, else b; any NaN raises IE and gives b. */
export function sseMax(env: FloatEnvironment, format: Format, a: bigint, b: bigint): bigint {
  return minMax(env, format, a, b, GREATER);
}

/** CVTSS2SD, CVTSD2SS and their packed forms. */
export function sseConvert(env: FloatEnvironment, from: Format, to: Format, a: bigint): bigint {
  unpack(from, a, env.a, env.denormalsAreZero);
  return convertCore(env, to, true);
}

/** CVT(T)SS/SD/PS/PD to a signed integer of 32 or 64 bits. */
export function sseToInteger(
  env: FloatEnvironment,
  format: Format,
  a: bigint,
  bits: number,
  truncate: boolean,
): bigint {
  unpack(format, a, env.a, env.denormalsAreZero);
  return toIntegerCore(env, bits, truncate);
}

/** CVTSI2SS/SD, CVTDQ2PS/PD, CVTPI2PS/PD: a signed integer to a float. */
export function sseFromInteger(env: FloatEnvironment, format: Format, value: bigint): bigint {
  return fromIntegerCore(env, format, value);
}

/** ROUNDSS/SD lane: imm bits 1:0 rounding mode, bit 2 use MXCSR.RC instead, bit 3 keep PE quiet. */
export function sseRound(env: FloatEnvironment, format: Format, a: bigint, imm: number): bigint {
  unpack(format, a, env.a, env.denormalsAreZero);
  const mode = (imm & 4) !== 0 ? env.rounding : imm & 3;
  return integralCore(env, format, a, mode, (imm & 8) === 0);
}
