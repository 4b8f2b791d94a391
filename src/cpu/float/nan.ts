// Results of operations with NaN operands and of invalid operations (SDM Vol. 1, 4.8.3.5, table 4-7; 8.5.1.2).

import { DE, type FloatEnvironment, IE } from "./environment.js";
import { type Format, QUIET_NAN, quietNaN, SIGNALLING_NAN, UNSUPPORTED, type Unpacked } from "./format.js";

/** Raises IE; the result is the format's default NaN. */
export function invalid(env: FloatEnvironment, format: Format): bigint {
  env.flags |= IE;
  env.condition = 0;
  return format.indefinite;
}

/** The result for one operand that is a NaN or an unsupported encoding. */
export function propagateOne(env: FloatEnvironment, format: Format, a: Unpacked): bigint {
  if (a.kind === UNSUPPORTED) return invalid(env, format);
  if (a.kind === SIGNALLING_NAN) env.flags |= IE;
  env.condition = 0;
  return quietNaN(format, a.sign, a.sig);
}

/**
 * The result for env.a and env.b when at least one of them is a NaN or an unsupported encoding. SSE takes the first
 * operand that is a NaN. x87 takes a quiet NaN before a signalling one, then the larger significand, then the positive one.
 */
export function propagate(env: FloatEnvironment, format: Format): bigint {
  const { a, b } = env;
  if (a.kind === UNSUPPORTED || b.kind === UNSUPPORTED) return invalid(env, format);
  if (a.kind === SIGNALLING_NAN || b.kind === SIGNALLING_NAN) env.flags |= IE;
  env.condition = 0;
  let chosen = a;
  if (a.kind < QUIET_NAN) chosen = b;
  else if (b.kind >= QUIET_NAN && env.unit === "x87") {
    if (a.kind !== b.kind) chosen = a.kind === QUIET_NAN ? a : b;
    else if (a.sig !== b.sig) chosen = a.sig > b.sig ? a : b;
    else chosen = a.sign <= b.sign ? a : b;
  }
  return quietNaN(format, chosen.sign, chosen.sig);
}

/** Raises DE when an operand of a two-operand operation is denormal. */
export function noteDenormals(env: FloatEnvironment): void {
  if (env.a.denormal || env.b.denormal) env.flags |= DE;
}
