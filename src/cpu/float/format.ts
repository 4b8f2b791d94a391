// Floating-point formats of x86 and the unpacking of their bit patterns (SDM Vol. 1, 4.2.2, 4.8, 8.2.2).
// A value is a bigint bit pattern everywhere: 32 bits, 64 bits, or 80 bits (sign and exponent above bit 64, then the
// significand with its explicit integer bit). Unpacked finite values are sig * 2^exp with an integer sig, not normalised.

export interface Format {
  readonly name: "binary32" | "binary64" | "extended80";
  readonly width: number;
  /** Significand bits, the integer bit included. */
  readonly precision: number;
  readonly bias: number;
  /** Exponent of the smallest and largest normal number, as in 1.f * 2^e. */
  readonly emin: number;
  readonly emax: number;
  /** Position of the exponent field. */
  readonly exponentShift: bigint;
  readonly exponentMask: number;
  readonly signShift: bigint;
  /** All bits below the exponent field. */
  readonly significandMask: bigint;
  /** The integer bit: stored for extended80, implied for the others. */
  readonly integerBit: bigint;
  readonly infinity: bigint;
  /** The quiet NaN that stands for an invalid operation: negative, only the quiet bit set. */
  readonly indefinite: bigint;
}

function makeFormat(name: Format["name"], width: number, precision: number): Format {
  const explicit = name === "extended80";
  const fieldBits = explicit ? precision : precision - 1;
  const exponentBits = width - 1 - fieldBits;
  const exponentMask = 2 ** exponentBits - 1;
  const bias = exponentMask >> 1;
  const exponentShift = BigInt(fieldBits);
  const integerBit = 1n << BigInt(precision - 1);
  const infinity = (BigInt(exponentMask) << exponentShift) | (explicit ? integerBit : 0n);
  return {
    name,
    width,
    precision,
    bias,
    emin: 1 - bias,
    emax: bias,
    exponentShift,
    exponentMask,
    signShift: BigInt(width - 1),
    significandMask: (1n << exponentShift) - 1n,
    integerBit,
    infinity,
    indefinite: (1n << BigInt(width - 1)) | infinity | (integerBit >> 1n),
  };
}

export const BINARY32: Format = makeFormat("binary32", 32, 24);
export const BINARY64: Format = makeFormat("binary64", 64, 53);
export const EXTENDED80: Format = makeFormat("extended80", 80, 64);

/** What an unpacked operand is; kinds from QUIET_NAN up never take part in arithmetic. */
export const ZERO = 0;
export const FINITE = 1;
export const INFINITE = 2;
export const QUIET_NAN = 3;
export const SIGNALLING_NAN = 4;
/** An 80-bit encoding that no processor since the 387 accepts: unnormal, pseudo-NaN, pseudo-infinity. */
export const UNSUPPORTED = 5;

export interface Unpacked {
  kind: number;
  /** 0 or 1. */
  sign: number;
  /** Of a nonzero finite value: value = sig * 2^exp. */
  exp: number;
  /** Of a NaN: its significand aligned as in extended80 (bit 63 set, bit 62 is the quiet bit). */
  sig: bigint;
  /** A denormal or pseudo-denormal operand. */
  denormal: boolean;
}

export function createUnpacked(): Unpacked {
  return { kind: ZERO, sign: 0, exp: 0, sig: 0n, denormal: false };
}

const BIT63 = 1n << 63n;
const BIT62 = 1n << 62n;

/** Takes the pattern apart into `u`. With `denormalsAreZero` a denormal becomes a zero of its sign (MXCSR.DAZ). */
export function unpack(format: Format, bits: bigint, u: Unpacked, denormalsAreZero = false): void {
  const top = Number(bits >> format.exponentShift);
  const biased = top & format.exponentMask;
  let sig = bits & format.significandMask;
  u.sign = top > format.exponentMask ? 1 : 0;
  u.denormal = false;
  u.exp = (biased || 1) - format.bias - format.precision + 1;
  u.kind = FINITE;
  if (format === EXTENDED80) {
    if (biased === 0) {
      if (sig === 0n) u.kind = ZERO;
      else u.denormal = true;
    } else if (sig < BIT63) {
      u.kind = UNSUPPORTED;
    } else if (biased === 0x7fff) {
      if (sig === BIT63) u.kind = INFINITE;
      else u.kind = (sig & BIT62) !== 0n ? QUIET_NAN : SIGNALLING_NAN;
    }
  } else if (biased === 0) {
    if (sig === 0n) u.kind = ZERO;
    else if (denormalsAreZero) {
      u.kind = ZERO;
      sig = 0n;
    } else u.denormal = true;
  } else if (biased === format.exponentMask) {
    if (sig === 0n) u.kind = INFINITE;
    else {
      sig = (sig << BigInt(64 - format.precision)) | BIT63;
      u.kind = (sig & BIT62) !== 0n ? QUIET_NAN : SIGNALLING_NAN;
    }
  } else {
    sig |= format.integerBit;
  }
  u.sig = sig;
}

export function signed(format: Format, sign: number, magnitude: bigint): bigint {
  return sign === 0 ? magnitude : magnitude | (1n << format.signShift);
}

export function zero(format: Format, sign: number): bigint {
  return signed(format, sign, 0n);
}

export function infinity(format: Format, sign: number): bigint {
  return signed(format, sign, format.infinity);
}

/** A NaN of `format` from an 80-bit-aligned significand, made quiet; low significand bits that don't fit are dropped. */
export function quietNaN(format: Format, sign: number, sig: bigint): bigint {
  const field = (sig & (BIT63 - 1n)) >> BigInt(64 - format.precision);
  return signed(format, sign, format.infinity | (format.integerBit >> 1n) | field);
}

const doubles = new Float64Array(1);
const words = new Uint32Array(doubles.buffer);

/** Number of significant bits of a positive bigint below 2^1000. */
export function bitLength(x: bigint): number {
  doubles[0] = Number(x);
  const high = words[1]!;
  const length = (high >>> 20) - 1022;
  // Number() rounds: a run of ones may have become the next power of two.
  if ((high & 0xfffff) === 0 && words[0] === 0 && x >> BigInt(length - 1) === 0n) return length - 1;
  return length;
}
