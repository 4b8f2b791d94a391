// The deterministic random source of the vectors: xoshiro128** (Blackman and Vigna, "Scrambled linear pseudorandom
// number generators", 2018), seeded by splitmix32. Committed vectors depend on its exact sequence.

export class Random {
  private a = 0;
  private b = 0;
  private c = 0;
  private d = 0;

  constructor(seed: number) {
    this.seed(seed);
  }

  seed(seed: number): void {
    let s = seed | 0;
    const next = (): number => {
      s = (s + 0x9e3779b9) | 0;
      let z = s;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return z ^ (z >>> 15);
    };
    this.a = next();
    this.b = next();
    this.c = next();
    this.d = next() | 1;
  }

  /** Uniform 32 bits, unsigned. */
  u32(): number {
    const m = Math.imul(this.b, 5);
    const result = Math.imul((m << 7) | (m >>> 25), 9);
    const t = this.b << 9;
    this.c ^= this.a;
    this.d ^= this.b;
    this.b ^= this.c;
    this.a ^= this.d;
    this.c ^= t;
    this.d = (this.d << 11) | (this.d >>> 21);
    return result >>> 0;
  }

  /** Uniform in [0, n), n at most 2^16. */
  below(n: number): number {
    return ((this.u32() >>> 16) * n) >>> 16;
  }

  /** True once in n. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }
}

const WORDS = [
  0, 0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff,
  0x80000000, 0xffffffff, 0xffffffff, 0xfffffffe, 0xffffff80, 0xffff8000, 0x55555555, 0xaaaaaaaa, 0x80808080,
] as const;

/** A 32-bit word: half of the time one of the values at which carries, signs and shifts turn. */
export function interestingWord(random: Random): number {
  const r = random.u32();
  return r & 1 ? (WORDS[(r >>> 8) % WORDS.length] as number) : random.u32();
}

const SINGLES = [
  0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7fc01234, 0xffc00000, 0x7f800001,
  0xffa00000, 1, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x3f000000, 0x40490fdb, 0x4f000000,
  0xcf000000, 0x4effffff, 0x5f000000, 0xdf000000, 0x3fc00000, 0x40200000, 0xc0600000, 0x33800000, 0x4b000001,
] as const;

/** The bits of a single: a special value, or one near 1, or of any exponent. */
export function interestingSingle(random: Random): number {
  const r = random.u32();
  switch (r & 3) {
    case 0:
      return SINGLES[(r >>> 8) % SINGLES.length] as number;
    case 1:
      return random.u32();
    default:
      return (
        ((r & 0x80000000) | ((118 + ((r >>> 4) % 40)) << 23) | ((r & 4 ? random.u32() : r << 12) & 0x7fffff)) >>> 0
      );
  }
}

const DOUBLE_HIGHS = [
  0, 0x80000000, 0x3ff00000, 0xbff00000, 0x7ff00000, 0xfff00000, 0x7ff80000, 0xfff80000, 0x7ff00001, 0xfff40000,
  0x00000001, 0x000fffff, 0x00100000, 0x7fefffff, 0x41dfffff, 0x41e00000, 0xc1e00000, 0x43e00000, 0xc3e00000,
  0x3fe00000, 0x3ff80000, 0x40040000, 0x36a00000, 0x47efffff, 0x47f00000, 0x38100000, 0x380fffff, 0x43300000,
] as const;
const DOUBLE_LOWS = [0, 0, 0, 1, 0xffffffff, 0xffc00000, 0xe0000000, 0x10000000, 0x80000000] as const;

/** Writes the bits of a double as two words. */
export function interestingDouble(random: Random, words: Uint32Array, at: number): void {
  const r = random.u32();
  let high: number;
  let low: number;
  switch (r & 3) {
    case 0:
      high = DOUBLE_HIGHS[(r >>> 8) % DOUBLE_HIGHS.length] as number;
      low = DOUBLE_LOWS[(r >>> 20) % DOUBLE_LOWS.length] as number;
      break;
    case 1:
      high = random.u32();
      low = random.u32();
      break;
    default:
      high = (r & 0x80000000) | ((1000 + ((r >>> 4) % 80)) << 20) | ((r >>> 11) & 0xfffff);
      low = r & 4 ? random.u32() : (DOUBLE_LOWS[(r >>> 20) % DOUBLE_LOWS.length] as number);
  }
  words[at] = high === 0 && r & 8 ? 0 : low;
  words[at + 1] = high;
}
