// Basic arithmetic, comparison, load and store of the x87 FPU (SDM Vol. 1, 8.1-8.5). Registers are 80-bit patterns.
// null means "write nothing" (and pop nothing): an unmasked exception is now pending in env.flags. env.condition holds
// the condition codes. Precision control acts on add, subtract, multiply, divide and square root alone (8.1.5.2).

import { type Arithmetic, addCore, divideCore, multiplyCore, sqrtCore, subtractCore } from "./arithmetic.js";
import { compareCore } from "./compare.js";
import { convertCore } from "./convert.js";
import { C0, C1, C2, C3, DE, type FloatEnvironment, IE, OE, PRE_COMPUTATION, UE } from "./environment.js";
import { createUnpacked, EXTENDED80, FINITE, type Format, INFINITE, UNSUPPORTED, unpack, ZERO } from "./format.js";
import { fromIntegerCore, integralCore, toIntegerCore } from "./integer.js";

/** Whether an unmasked pre-computation exception is among env.flags: a compare then pops nothing. */
export function x87Faulted(env: FloatEnvironment): boolean {
  return (env.flags & ~env.masks & PRE_COMPUTATION) !== 0;
}

/** `result`, unless an unmasked pre-computation exception forbids it; then later exceptions don't exist either. */
export function unlessFaulted<T>(env: FloatEnvironment, result: T): T | null {
  if (!x87Faulted(env)) return result;
  env.flags &= PRE_COMPUTATION;
  env.condition = 0;
  return null;
}

function binary(
  env: FloatEnvironment,
  operation: Arithmetic,
  a: bigint,
  b: bigint,
  formatA: Format,
  formatB: Format,
): bigint | null {
  unpack(formatA, a, env.a);
  unpack(formatB, b, env.b);
  return unlessFaulted(env, operation(env, EXTENDED80, env.precision));
}

/** FADD, FIADD: a + b. A memory operand comes in its own format; an integer one through x87FromInteger. */
export function x87Add(
  env: FloatEnvironment,
  a: bigint,
  b: bigint,
  formatA: Format = EXTENDED80,
  formatB: Format = EXTENDED80,
): bigint | null {
  return binary(env, addCore, a, b, formatA, formatB);
}

/** FSUB: a - b; FSUBR with exchanged operands and formats. */
export function x87Subtract(
  env: FloatEnvironment,
  a: bigint,
  b: bigint,
  formatA: Format = EXTENDED80,
  formatB: Format = EXTENDED80,
): bigint | null {
  return binary(env, subtractCore, a, b, formatA, formatB);
}

/** FMUL: a * b. */
export function x87Multiply(
  env: FloatEnvironment,
  a: bigint,
  b: bigint,
  formatA: Format = EXTENDED80,
  formatB: Format = EXTENDED80,
): bigint | null {
  return binary(env, multiplyCore, a, b, formatA, formatB);
}

/** FDIV: a / b; FDIVR with exchanged operands and formats. */
export function x87Divide(
  env: FloatEnvironment,
  a: bigint,
  b: bigint,
  formatA: Format = EXTENDED80,
  formatB: Format = EXTENDED80,
): bigint | null {
  return binary(env, divideCore, a, b, formatA, formatB);
}

/** FSQRT. */
export function x87Sqrt(env: FloatEnvironment, a: bigint): bigint | null {
  unpack(EXTENDED80, a, env.a);
  return unlessFaulted(env, sqrtCore(env, EXTENDED80, env.precision));
}

/**
 * FCOM and FCOMI (`quiet` false), FUCOM and FUCOMI (`quiet` true) families, FTST and FICOM: GREATER, LESS, EQUAL or
 * UNORDERED, and the same in env.condition as FCOM's C3, C2, C0. Processors store these (FCOMI: EFLAGS) even when an
 * exception is unmasked; only the pops wait, see x87Faulted.
 */
export function x87Compare(
  env: FloatEnvironment,
  a: bigint,
  b: bigint,
  quiet: boolean,
  formatB: Format = EXTENDED80,
): number {
  unpack(EXTENDED80, a, env.a);
  unpack(formatB, b, env.b);
  const relation = compareCore(env, !quiet);
  env.condition = RELATION_CODES[relation]!;
  return relation;
}

const RELATION_CODES: readonly number[] = [0, C0, C3, C3 | C2 | C0];

/**
 * FLD m32 and m64: the exact 80-bit value. FLD m80 and FLD ST(i) copy patterns and raise nothing. An unmasked DE doesn't
 * keep the value from being pushed: there is nothing to repair in it once it is normal.
 */
export function x87Load(env: FloatEnvironment, format: Format, bits: bigint): bigint | null {
  unpack(format, bits, env.a);
  const result = convertCore(env, EXTENDED80, true);
  return (env.flags & ~env.masks & IE) === 0 ? result : null;
}

/** FST m32 and m64. With unmasked overflow or underflow memory stays as it is. FSTP m80 copies the pattern. */
export function x87Store(env: FloatEnvironment, format: Format, a: bigint): bigint | null {
  unpack(EXTENDED80, a, env.a);
  const result = unlessFaulted(env, convertCore(env, format, false));
  return (env.flags & ~env.masks & (OE | UE)) === 0 ? result : null;
}

/** FILD, and the operand of FIADD and its kin: exact, raises nothing. */
export function x87FromInteger(env: FloatEnvironment, value: bigint): bigint {
  return fromIntegerCore(env, EXTENDED80, value);
}

/** FIST and FISTP (rounded) and FISTTP (`truncate`) to a signed integer of 16, 32 or 64 bits. */
export function x87ToInteger(env: FloatEnvironment, a: bigint, bits: number, truncate: boolean): bigint | null {
  unpack(EXTENDED80, a, env.a);
  const value = toIntegerCore(env, bits, truncate);
  env.condition = env.roundedUp ? C1 : 0;
  return (env.flags & ~env.masks & IE) === 0 ? value : null;
}

/** FRNDINT. */
export function x87RoundToInteger(env: FloatEnvironment, a: bigint): bigint | null {
  unpack(EXTENDED80, a, env.a);
  const result = integralCore(env, EXTENDED80, a, env.rounding, true);
  env.condition = env.roundedUp ? C1 : 0;
  if (env.a.denormal) env.flags |= DE;
  return unlessFaulted(env, result);
}

const SIGN = 1n << 79n;

/** FABS: clears the sign of any pattern. */
export function x87Absolute(a: bigint): bigint {
  return a & ~SIGN;
}

/** FCHS: inverts the sign of any pattern. */
export function x87ChangeSign(a: bigint): bigint {
  return a ^ SIGN;
}

/** FXAM of a register that isn't empty: C3, C2, C0 tell the class, C1 the sign. (Empty is C3|C0, the caller's to know.) */
export function x87Examine(a: bigint): number {
  const u = createUnpacked();
  unpack(EXTENDED80, a, u);
  const sign = u.sign === 0 ? 0 : C1;
  if (u.kind === UNSUPPORTED) return sign;
  if (u.kind === ZERO) return sign | C3;
  if (u.kind === INFINITE) return sign | C2 | C0;
  if (u.kind !== FINITE) return sign | C0;
  return sign | C2 | (u.denormal ? C3 : 0);
}
