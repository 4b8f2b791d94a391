// Ordered and unordered comparison, and the SSE predicates of CMPccSS/SD/PS/PD (SDM Vol. 2, CMPPD table 3-1).

import { DE, type FloatEnvironment, IE } from "./environment.js";
import { type Format, INFINITE, QUIET_NAN, SIGNALLING_NAN, unpack, ZERO } from "./format.js";

export const GREATER = 0;
export const LESS = 1;
export const EQUAL = 2;
export const UNORDERED = 3;

/**
 * Relation of env.a to env.b. A signalling NaN or unsupported encoding raises IE always, a quiet NaN when `signalling`.
 */
export function compareCore(env: FloatEnvironment, signalling: boolean): number {
  const { a, b } = env;
  if (a.kind >= QUIET_NAN || b.kind >= QUIET_NAN) {
    if (signalling || a.kind >= SIGNALLING_NAN || b.kind >= SIGNALLING_NAN) env.flags |= IE;
    return UNORDERED;
  }
  if (a.denormal || b.denormal) env.flags |= DE;
  if (a.kind === ZERO && b.kind === ZERO) return EQUAL;
  if (a.kind === ZERO) return b.sign === 0 ? LESS : GREATER;
  if (b.kind === ZERO || a.sign !== b.sign) return a.sign === 0 ? GREATER : LESS;
  let magnitude: number;
  if (a.kind === INFINITE || b.kind === INFINITE)
    magnitude = a.kind === b.kind ? EQUAL : a.kind > b.kind ? GREATER : LESS;
  else {
    const distance = a.exp - b.exp;
    // Significands have at most 64 bits, so a larger distance decides alone.
    if (distance > 64) magnitude = GREATER;
    else if (distance < -64) magnitude = LESS;
    else {
      const x = distance > 0 ? a.sig << BigInt(distance) : a.sig;
      const y = distance < 0 ? b.sig << BigInt(-distance) : b.sig;
      magnitude = x > y ? GREATER : x < y ? LESS : EQUAL;
    }
  }
  if (a.sign === 0 || magnitude === EQUAL) return magnitude;
  return magnitude === GREATER ? LESS : GREATER;
}

/** COMISS/SD (`signalling`) and UCOMISS/SD: GREATER, LESS, EQUAL or UNORDERED. */
export function compareSse(env: FloatEnvironment, format: Format, a: bigint, b: bigint, signalling: boolean): number {
  unpack(format, a, env.a, env.denormalsAreZero);
  unpack(format, b, env.b, env.denormalsAreZero);
  return compareCore(env, signalling);
}

/** For predicates 0-7 (EQ LT LE UNORD NEQ NLT NLE ORD): bit r set when relation r satisfies it. */
const SATISFIED: readonly number[] = [0b0100, 0b0010, 0b0110, 0b1000, 0b1011, 0b1101, 0b1001, 0b0111];

/** CMPccSS/SD/PS/PD with predicate 0-7: whether the lane becomes all ones. LT, LE, NLT and NLE signal on quiet NaNs. */
export function comparePredicate(
  env: FloatEnvironment,
  format: Format,
  a: bigint,
  b: bigint,
  predicate: number,
): boolean {
  const kind = predicate & 3;
  const relation = compareSse(env, format, a, b, kind === 1 || kind === 2);
  return ((SATISFIED[predicate & 7]! >> relation) & 1) !== 0;
}
