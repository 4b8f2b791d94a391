// Fixed-point elementary functions on bigints with FRACTION bits after the point, for the x87 transcendentals. Errors are
// a few units of the last of 192 bits, so rounding to 64 bits is right unless a true value comes within 2^-120 of a tie.

export const FRACTION = 192;
const F: bigint = BigInt(FRACTION);
export const ONE: bigint = 1n << F;

/** Integer division-based series 2 * atanh(1/n), for ln 2. */
function twiceInverseTanh(n: bigint): bigint {
  let power = (2n * ONE) / n;
  let sum = power;
  for (let k = 3n; power !== 0n; k += 2n) {
    power /= n * n;
    sum += power / k;
  }
  return sum;
}

/** ln 2 = 18 atanh(1/26) - 2 atanh(1/4801) + 8 atanh(1/8749). */
export const LN2: bigint = 9n * twiceInverseTanh(26n) - twiceInverseTanh(4801n) + 4n * twiceInverseTanh(8749n);
export const LOG2_E: bigint = (ONE << F) / LN2;

/** pi, from its 256-bit expansion. */
export const PI: bigint = 0x3243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89n >> (256n - F);

/** sin(r) / r for z = r^2 below 1; just under 1 when z vanishes. */
export function sineRatio(z: bigint): bigint {
  if (z === 0n) return ONE - 1n;
  let term = ONE;
  let sum = ONE;
  for (let k = 2n; term !== 0n; k += 2n) {
    term = ((term * z) >> F) / (k * (k + 1n));
    sum += (k & 2n) !== 0n ? -term : term;
  }
  return sum;
}

/** cos(r) for z = r^2 below 1; just under 1 when z vanishes. */
export function cosine(z: bigint): bigint {
  if (z === 0n) return ONE - 1n;
  let term = ONE;
  let sum = ONE;
  for (let k = 1n; term !== 0n; k += 2n) {
    term = ((term * z) >> F) / (k * (k + 1n));
    sum += (k & 2n) === 0n ? -term : term;
  }
  return sum;
}

/** (e^t - 1) / t for |t| below 1. */
export function expRatio(t: bigint): bigint {
  let term = ONE;
  let sum = ONE;
  for (let k = 2n; term !== 0n && term !== -1n; k++) {
    term = ((term * t) >> F) / k;
    sum += term;
  }
  return sum;
}

/** atanh(s) / s for z = s^2, |s| below 0.2. */
export function inverseTanhRatio(z: bigint): bigint {
  let power = ONE;
  let sum = ONE;
  for (let k = 3n; power !== 0n; k += 2n) {
    power = (power * z) >> F;
    sum += power / k;
  }
  return sum;
}

/** atan(t) / t for z = t^2 below 1/8; just under 1 when z vanishes. */
export function arcTangentRatio(z: bigint): bigint {
  if (z === 0n) return ONE - 1n;
  let power = ONE;
  let sum = ONE;
  for (let k = 3n; power !== 0n; k += 2n) {
    power = (power * z) >> F;
    sum += (k & 2n) !== 0n ? -(power / k) : power / k;
  }
  return sum;
}

function smallArcTangent(t: bigint): bigint {
  return (t * arcTangentRatio((t * t) >> F)) >> F;
}

/** atan(k / 16) for k = 0 to 16; those above atan(1/3) as pi/4 - atan((16 - k) / (16 + k)). */
const SIXTEENTHS: readonly bigint[] = Array.from({ length: 17 }, (_, index) => {
  const k = BigInt(index);
  if (k <= 5n) return smallArcTangent((k * ONE) / 16n);
  return PI / 4n - smallArcTangent(((16n - k) * ONE) / (16n + k));
});

/** atan(t) for t from 0 to 1, as an absolute fixed-point value. */
export function arcTangent(t: bigint): bigint {
  const k = (t * 16n + ONE / 2n) >> F;
  const c = (k * ONE) / 16n;
  const reduced = ((t - c) << F) / (ONE + ((t * c) >> F));
  return SIXTEENTHS[Number(k)]! + smallArcTangent(reduced);
}
