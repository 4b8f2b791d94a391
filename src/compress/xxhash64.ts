// XXH64 (xxHash specification 0.1.1), seed 0, on pairs of 32-bit halves in an Int32Array. zstd stores the low
// 32 bits of the digest, which depend on all 64, so everything is computed.

// The five primes as high and low halves.
const P1H = 0x9e3779b1 | 0;
const P1L = 0x85ebca87 | 0;
const P2H = 0xc2b2ae3d | 0;
const P2L = 0x27d4eb4f | 0;
const P3H = 0x165667b1 | 0;
const P3L = 0x9e3779f9 | 0;
const P4H = 0x85ebca77 | 0;
const P4L = 0xc2b2ae63 | 0;
const P5H = 0x27d4eb2f | 0;
const P5L = 0x165667c5 | 0;

/** High 32 bits of the unsigned product of two 32-bit numbers. */
function mulHigh(a: number, b: number): number {
  const al = a & 0xffff;
  const ah = a >>> 16;
  const bl = b & 0xffff;
  const bh = b >>> 16;
  const low = al * bl;
  const middle = ah * bl + (low >>> 16);
  const cross = al * bh + (middle & 0xffff);
  return (ah * bh + (middle >>> 16) + (cross >>> 16)) | 0;
}

/** v[at], v[at + 1] are the low and high half of a 64-bit word, changed in place by the functions below. */
function multiply(v: Int32Array, at: number, high: number, low: number): void {
  const l = v[at]!;
  v[at + 1] = mulHigh(l, low) + Math.imul(v[at + 1]!, low) + Math.imul(l, high);
  v[at] = Math.imul(l, low);
}

function add(v: Int32Array, at: number, high: number, low: number): void {
  const sum = (v[at]! >>> 0) + (low >>> 0);
  v[at] = sum;
  v[at + 1] = v[at + 1]! + high + (sum > 0xffffffff ? 1 : 0);
}

/** Rotation left by 1 to 31. */
function rotate(v: Int32Array, at: number, count: number): void {
  const l = v[at]!;
  const h = v[at + 1]!;
  v[at] = (l << count) | (h >>> (32 - count));
  v[at + 1] = (h << count) | (l >>> (32 - count));
}

/** v ^= v >> count, count 1 to 63. */
function xorShift(v: Int32Array, at: number, count: number): void {
  const l = v[at]!;
  const h = v[at + 1]!;
  if (count >= 32) {
    v[at] = l ^ (h >>> (count - 32));
  } else {
    v[at] = l ^ ((l >>> count) | (h << (32 - count)));
    v[at + 1] = h ^ (h >>> count);
  }
}

function le32(data: Uint8Array, at: number): number {
  return data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24);
}

/** One accumulator step: acc = rotl(acc + lane * P2, 31) * P1, the lane given as halves. */
function round(v: Int32Array, at: number, high: number, low: number): void {
  const laneHigh = mulHigh(low, P2L) + Math.imul(high, P2L) + Math.imul(low, P2H);
  add(v, at, laneHigh, Math.imul(low, P2L));
  rotate(v, at, 31);
  multiply(v, at, P1H, P1L);
}

/** Words 0-3: accumulators; 4: the hash; 5: scratch. */
const HASH = 8;
const SCRATCH = 10;

/** The low 32 bits of XXH64 of data[start, end). */
export function xxh64Low(data: Uint8Array, start = 0, end = data.length): number {
  const v = new Int32Array(12);
  let at = start;
  if (end - start >= 32) {
    add(v, 0, P1H, P1L);
    add(v, 0, P2H, P2L);
    add(v, 2, P2H, P2L);
    // Accumulator 3 is minus P1.
    add(v, 6, ~P1H, -P1L | 0);
    for (; at + 32 <= end; at += 32) {
      round(v, 0, le32(data, at + 4), le32(data, at));
      round(v, 2, le32(data, at + 12), le32(data, at + 8));
      round(v, 4, le32(data, at + 20), le32(data, at + 16));
      round(v, 6, le32(data, at + 28), le32(data, at + 24));
    }
    for (const [word, count] of [
      [0, 1],
      [2, 7],
      [4, 12],
      [6, 18],
    ] as const) {
      v[SCRATCH] = v[word]!;
      v[SCRATCH + 1] = v[word + 1]!;
      rotate(v, SCRATCH, count);
      add(v, HASH, v[SCRATCH + 1]!, v[SCRATCH]!);
    }
    for (let word = 0; word < 8; word += 2) {
      mergeRound(v, v[word + 1]!, v[word]!);
      multiply(v, HASH, P1H, P1L);
      add(v, HASH, P4H, P4L);
    }
  } else {
    add(v, HASH, P5H, P5L);
  }
  add(v, HASH, Math.floor((end - start) / 2 ** 32), (end - start) | 0);

  for (; at + 8 <= end; at += 8) {
    mergeRound(v, le32(data, at + 4), le32(data, at));
    rotate(v, HASH, 27);
    multiply(v, HASH, P1H, P1L);
    add(v, HASH, P4H, P4L);
  }
  if (at + 4 <= end) {
    const lane = le32(data, at);
    v[HASH + 1] = v[HASH + 1]! ^ (mulHigh(lane, P1L) + Math.imul(lane, P1H));
    v[HASH] = v[HASH]! ^ Math.imul(lane, P1L);
    rotate(v, HASH, 23);
    multiply(v, HASH, P2H, P2L);
    add(v, HASH, P3H, P3L);
    at += 4;
  }
  for (; at < end; at++) {
    const byte = data[at]!;
    v[HASH + 1] = v[HASH + 1]! ^ (mulHigh(byte, P5L) + Math.imul(byte, P5H));
    v[HASH] = v[HASH]! ^ Math.imul(byte, P5L);
    rotate(v, HASH, 11);
    multiply(v, HASH, P1H, P1L);
  }
  xorShift(v, HASH, 33);
  multiply(v, HASH, P2H, P2L);
  xorShift(v, HASH, 29);
  multiply(v, HASH, P3H, P3L);
  xorShift(v, HASH, 32);
  return v[HASH]! >>> 0;
}

/** hash ^= round(0, lane). */
function mergeRound(v: Int32Array, high: number, low: number): void {
  v[SCRATCH] = 0;
  v[SCRATCH + 1] = 0;
  round(v, SCRATCH, high, low);
  v[HASH] = v[HASH]! ^ v[SCRATCH]!;
  v[HASH + 1] = v[HASH + 1]! ^ v[SCRATCH + 1]!;
}
