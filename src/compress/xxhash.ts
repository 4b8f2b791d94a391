// xxHash (specification 0.1.1): XXH32 for lz4 frames, XXH64 for zstd frames. XXH64 words are pairs of
// 32-bit halves.

const P32_1 = 0x9e3779b1 | 0;
const P32_2 = 0x85ebca77 | 0;
const P32_3 = 0xc2b2ae3d | 0;
const P32_4 = 0x27d4eb2f | 0;
const P32_5 = 0x165667b1 | 0;

function rotl(value: number, count: number): number {
  return (value << count) | (value >>> (32 - count));
}

function le32(data: Uint8Array, at: number): number {
  return data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24);
}

/** XXH32 of data[start, end) with seed 0. */
export function xxh32(data: Uint8Array, start = 0, end = data.length): number {
  let at = start;
  let hash: number;
  if (end - start >= 16) {
    let a = (P32_1 + P32_2) | 0;
    let b = P32_2;
    let c = 0;
    let d = -P32_1 | 0;
    for (; at + 16 <= end; at += 16) {
      a = Math.imul(rotl((a + Math.imul(le32(data, at), P32_2)) | 0, 13), P32_1);
      b = Math.imul(rotl((b + Math.imul(le32(data, at + 4), P32_2)) | 0, 13), P32_1);
      c = Math.imul(rotl((c + Math.imul(le32(data, at + 8), P32_2)) | 0, 13), P32_1);
      d = Math.imul(rotl((d + Math.imul(le32(data, at + 12), P32_2)) | 0, 13), P32_1);
    }
    hash = (rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18)) | 0;
  } else {
    hash = P32_5;
  }
  hash = (hash + (end - start)) | 0;
  for (; at + 4 <= end; at += 4) hash = Math.imul(rotl((hash + Math.imul(le32(data, at), P32_3)) | 0, 17), P32_4);
  for (; at < end; at++) hash = Math.imul(rotl((hash + Math.imul(data[at]!, P32_5)) | 0, 11), P32_1);
  hash = Math.imul(hash ^ (hash >>> 15), P32_2);
  hash = Math.imul(hash ^ (hash >>> 13), P32_3);
  return (hash ^ (hash >>> 16)) >>> 0;
}
