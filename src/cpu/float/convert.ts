// Conversion between floating-point formats (SDM Vol. 1, 4.8, 8.3.3, CVTSS2SD/CVTSD2SS, FLD/FST).

import { DE, type FloatEnvironment } from "./environment.js";
import { type Format, INFINITE, infinity, QUIET_NAN, ZERO, zero } from "./format.js";
import { propagateOne } from "./nan.js";
import { round } from "./round.js";

/** env.a rounded to `format`. DE is raised only where the instruction does (`signalDenormal`): not by FST. */
export function convertCore(env: FloatEnvironment, format: Format, signalDenormal: boolean): bigint {
  const { a } = env;
  if (a.kind >= QUIET_NAN) return propagateOne(env, format, a);
  env.condition = 0;
  if (signalDenormal && a.denormal) env.flags |= DE;
  if (a.kind === ZERO) return zero(format, a.sign);
  if (a.kind === INFINITE) return infinity(format, a.sign);
  return round(env, format, a.sign, a.exp, a.sig);
}
