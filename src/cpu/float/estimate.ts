// RCPSS/PS and RSQRTSS/PS lanes: estimates with a relative error of at most 1.5 * 2^-12 (SDM Vol. 2). The bits within that
// bound are each processor's own; ours come from the middle of the interval of the operand's first 12 fraction bits, cut
// to 12 fraction bits. No exception flags, no rounding control; denormals count as zero in both directions.
// binary32 patterns are unsigned numbers here: no bigint is needed.

const QUIET = 0x00400000;
const INFINITY = 0x7f800000;
const INDEFINITE = 0xffc00000;

/** A value from 0.5 to 1 (exclusive) times 2^(exponent), cut to 12 fraction bits; a tiny one becomes zero. */
function encode(sign: number, mantissa: number, exponent: number): number {
  const biased = exponent + 126;
  if (biased <= 0) return sign;
  return (sign | (biased << 23) | (Math.floor((2 * mantissa - 1) * 4096) << 11)) >>> 0;
}

/** The middle of the operand's interval, from 1 to 2. */
function middle(bits: number): number {
  return 1 + (((bits >>> 11) & 0xfff) + 0.5) / 4096;
}

/** RCPSS/PS: about 1/x of a binary32 pattern. */
export function sseReciprocalEstimate(bits: number): number {
  const sign = (bits & 0x80000000) >>> 0;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > INFINITY) return (bits | QUIET) >>> 0;
  if (magnitude === INFINITY) return sign;
  if (magnitude < 0x00800000) return (sign | INFINITY) >>> 0;
  return encode(sign, 1 / middle(bits), 127 - (magnitude >>> 23));
}

/** RSQRTSS/PS: about 1/sqrt(x) of a binary32 pattern; the default NaN below zero. */
export function sseReciprocalSqrtEstimate(bits: number): number {
  const sign = (bits & 0x80000000) >>> 0;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > INFINITY) return (bits | QUIET) >>> 0;
  if (magnitude < 0x00800000) return (sign | INFINITY) >>> 0;
  if (sign !== 0) return INDEFINITE;
  if (magnitude === INFINITY) return 0;
  const exponent = (magnitude >>> 23) - 127;
  const odd = exponent & 1;
  return encode(0, 1 / Math.sqrt(odd === 0 ? middle(bits) : 2 * middle(bits)), -(exponent - odd) / 2);
}
