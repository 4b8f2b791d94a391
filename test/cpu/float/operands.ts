// Operands for the vectors: special values of every format and random ones that make the interesting cases likely.
import type { OperandKind } from "./operations.js";

/** xorshift32: deterministic, seeded. */
export function createRandom(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

type Random = () => number;

function random64(random: Random): bigint {
  return (BigInt(random()) << 32n) | BigInt(random());
}

/** Random bits, or few ones, or long runs: rounding boundaries are frequent. */
function pattern(random: Random, bits: number): bigint {
  const mask = (1n << BigInt(bits)) - 1n;
  switch (random() % 5) {
    case 0:
      return 0n;
    case 1:
      return (mask ^ (random64(random) >> BigInt(20 + (random() % 44)))) & mask;
    case 2:
      return (1n << BigInt(random() % bits)) | (random() % 2 === 0 ? 1n << BigInt(random() % bits) : 0n);
    case 3:
      return (mask << BigInt(random() % bits)) & mask;
    default:
      return random64(random) & mask;
  }
}

function binary(random: Random, fraction: number, exponentBits: number): bigint {
  const top = 2 ** exponentBits - 1;
  const bias = top >> 1;
  const sign = BigInt(random() & 1) << BigInt(fraction + exponentBits);
  let exponent: number;
  switch (random() % 8) {
    case 0:
      exponent = 0;
      break;
    case 1:
      exponent = random() % 3 === 0 ? top : random() % (top + 1);
      break;
    case 2:
      exponent = 1 + (random() % 60);
      break;
    case 3:
      exponent = top - 1 - (random() % 60);
      break;
    default:
      exponent = bias - 70 + (random() % 140);
  }
  exponent = Math.min(Math.max(exponent, 0), top);
  return sign | (BigInt(exponent) << BigInt(fraction)) | pattern(random, fraction);
}

function extended(random: Random): bigint {
  const bits = binary(random, 63, 15);
  const exponent = Number(bits >> 63n) & 0x7fff;
  const sign = bits >> 78n;
  let integer = exponent === 0 ? 0n : 1n;
  // Some pseudo-denormals and unsupported encodings.
  if (random() % 24 === 0) integer ^= 1n;
  return (sign << 79n) | (BigInt(exponent) << 64n) | (integer << 63n) | (bits & ((1n << 63n) - 1n));
}

/** Mostly ordinary lanes, so that one lane's exception is seen beside the others' results. */
function lanes(width: bigint, count: number, lane: () => bigint): bigint {
  let bits = 0n;
  for (let index = 0; index < count; index++) bits = (bits << width) | lane();
  return bits;
}

export function operand(kind: OperandKind, random: Random): bigint {
  switch (kind) {
    case "f32":
      return binary(random, 23, 8);
    case "f64":
      return binary(random, 52, 11);
    case "f80":
      return extended(random);
    case "f32x4":
      return lanes(32n, 4, () => operand("f32", random));
    case "f64x2":
      return lanes(64n, 2, () => operand("f64", random));
    case "i16":
    case "i32":
    case "i64":
      return BigInt.asUintN(Number(kind.slice(1)), BigInt.asIntN(64, random64(random)) >> BigInt(random() % 64));
    case "bcd": {
      let bits = BigInt(random() & 1) << 79n;
      for (let digit = 0n; digit < 72n; digit += 4n) bits |= BigInt(random() % 10) << digit;
      return bits;
    }
    default:
      return 0n;
  }
}

/** A second operand near the first one in exponent (or equal), where cancellation and rounding ties live. */
export function neighbour(kind: OperandKind, a: bigint, random: Random): bigint {
  const b = operand(kind, random);
  const fraction = kind === "f32" ? 23n : kind === "f64" ? 52n : kind === "f80" ? 64n : 0n;
  if (fraction === 0n) return b;
  switch (random() % 4) {
    case 0: {
      const mask = (1n << fraction) - 1n;
      const exponent = (a >> fraction) + BigInt((random() % 7) - 3);
      return BigInt.asUintN(kind === "f80" ? 80 : Number(kind.slice(1)), (exponent << fraction) | (b & mask));
    }
    case 1:
      if (random() % 6 !== 0) return b;
      return random() % 2 === 0 ? a : a ^ (1n << (kind === "f80" ? 79n : BigInt(kind.slice(1)) - 1n));
    default:
      return b;
  }
}
