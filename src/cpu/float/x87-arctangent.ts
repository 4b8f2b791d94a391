// FPATAN (SDM Vol. 2, FPATAN table 3-30): the angle of the point (x, y) in -pi to pi, rounded once to 64 bits.

import type { FloatEnvironment } from "./environment.js";
import { bitLength, EXTENDED80, FINITE, INFINITE, QUIET_NAN, unpack, ZERO, zero } from "./format.js";
import { noteDenormals, propagate } from "./nan.js";
import { round } from "./round.js";
import { arcTangent, arcTangentRatio, FRACTION, PI } from "./series.js";
import { unlessFaulted } from "./x87.js";

function fixed(env: FloatEnvironment, sign: number, value: bigint): bigint {
  return round(env, EXTENDED80, sign, -FRACTION, value | 1n);
}

/** env.a is x, env.b is y: the order in which FPATAN's NaN rules see ST(0) and ST(1) makes no difference. */
function arcTangentCore(env: FloatEnvironment): bigint {
  const { a: x, b: y } = env;
  if (x.kind >= QUIET_NAN || y.kind >= QUIET_NAN) return propagate(env, EXTENDED80);
  noteDenormals(env);
  env.condition = 0;
  if (y.kind === ZERO || (x.kind === INFINITE && y.kind !== INFINITE)) {
    return x.sign === 0 ? zero(EXTENDED80, y.sign) : fixed(env, y.sign, PI);
  }
  if (y.kind === INFINITE) {
    if (x.kind !== INFINITE) return fixed(env, y.sign, PI >> 1n);
    return fixed(env, y.sign, x.sign === 0 ? PI >> 2n : (3n * PI) >> 2n);
  }
  if (x.kind !== FINITE) return fixed(env, y.sign, PI >> 1n);
  // t = smaller / larger in magnitude, as a quotient of over 190 bits.
  const lengthX = bitLength(x.sig);
  const lengthY = bitLength(y.sig);
  let steep = y.exp + lengthY > x.exp + lengthX;
  if (y.exp + lengthY === x.exp + lengthX) steep = y.sig << BigInt(64 - lengthY) > x.sig << BigInt(64 - lengthX);
  const [small, large] = steep ? [x, y] : [y, x];
  const quotient = (small.sig << BigInt(FRACTION + 64)) / large.sig;
  const exp = small.exp - large.exp - FRACTION - 64;
  const shift = exp + FRACTION;
  // Far below the last fixed-point place t only matters relatively, and only for a result that is t itself.
  const t = shift < -2 * FRACTION ? 0n : shift >= 0 ? quotient << BigInt(shift) : quotient >> BigInt(-shift);
  if (!steep && x.sign === 0 && t >> BigInt(FRACTION - 5) === 0n) {
    const ratio = arcTangentRatio((t * t) >> BigInt(FRACTION));
    return round(env, EXTENDED80, y.sign, exp - FRACTION, (quotient * ratio) | 1n);
  }
  let angle = arcTangent(t);
  if (steep) angle = (PI >> 1n) - angle;
  if (x.sign === 1) angle = PI - angle;
  return fixed(env, y.sign, angle);
}

/** FPATAN: the angle of (x, y), y from ST(1), x from ST(0). */
export function x87ArcTangent(env: FloatEnvironment, y: bigint, x: bigint): bigint | null {
  unpack(EXTENDED80, x, env.a);
  unpack(EXTENDED80, y, env.b);
  return unlessFaulted(env, arcTangentCore(env));
}
