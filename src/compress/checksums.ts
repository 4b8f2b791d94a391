// CRC-32 (ISO-HDLC; xz, gzip, lzop), CRC-64 (ECMA-182 reflected; xz), the MSB-first CRC-32 of bzip2, and
// Adler-32 (RFC 1950). 64-bit values are pairs of 32-bit halves, so that nothing here uses BigInt.

function crc32Tables(): Int32Array {
  // Eight tables for slicing-by-8: table k gives the effect of a byte that is k positions further back.
  const t = new Int32Array(8 * 256);
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    t[i] = c;
  }
  for (let i = 256; i < t.length; i++) {
    const previous = t[i - 256]!;
    t[i] = (previous >>> 8) ^ t[previous & 0xff]!;
  }
  return t;
}

const CRC32 = crc32Tables();

/** CRC-32 of data[start, end); `seed` is the result over the bytes before it. */
export function crc32(data: Uint8Array, start = 0, end = data.length, seed = 0): number {
  const t = CRC32;
  let c = ~seed;
  let i = start;
  for (; i + 8 <= end; i += 8) {
    c ^= data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24);
    c =
      t[1792 + (c & 0xff)]! ^
      t[1536 + ((c >>> 8) & 0xff)]! ^
      t[1280 + ((c >>> 16) & 0xff)]! ^
      t[1024 + (c >>> 24)]! ^
      t[768 + data[i + 4]!]! ^
      t[512 + data[i + 5]!]! ^
      t[256 + data[i + 6]!]! ^
      t[data[i + 7]!]!;
  }
  for (; i < end; i++) c = (c >>> 8) ^ t[(c ^ data[i]!) & 0xff]!;
  return ~c >>> 0;
}

const CRC64_LOW = new Int32Array(256);
const CRC64_HIGH = new Int32Array(256);
for (let i = 0; i < 256; i++) {
  let low = i;
  let high = 0;
  for (let k = 0; k < 8; k++) {
    const carry = low & 1;
    low = (low >>> 1) | (high << 31);
    high >>>= 1;
    if (carry) {
      low ^= 0xd7870f42;
      high ^= 0xc96c5795;
    }
  }
  CRC64_LOW[i] = low;
  CRC64_HIGH[i] = high;
}

/** CRC-64 of data[start, end) as unsigned halves. */
export function crc64(data: Uint8Array, start = 0, end = data.length): { low: number; high: number } {
  let low = -1;
  let high = -1;
  for (let i = start; i < end; i++) {
    const index = (low ^ data[i]!) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ CRC64_LOW[index]!;
    high = (high >>> 8) ^ CRC64_HIGH[index]!;
  }
  return { low: ~low >>> 0, high: ~high >>> 0 };
}

const CRC32_MSB = new Int32Array(256);
for (let i = 0; i < 256; i++) {
  let c = i << 24;
  for (let k = 0; k < 8; k++) c = c < 0 ? (c << 1) ^ 0x04c11db7 : c << 1;
  CRC32_MSB[i] = c;
}

/** CRC-32 with the same polynomial fed most significant bit first (bzip2's block CRC). */
export function crc32Msb(data: Uint8Array, start = 0, end = data.length): number {
  let c = -1;
  for (let i = start; i < end; i++) c = (c << 8) ^ CRC32_MSB[(c >>> 24) ^ data[i]!]!;
  return ~c >>> 0;
}

/** Adler-32 of data[start, end). */
export function adler32(data: Uint8Array, start = 0, end = data.length): number {
  let a = 1;
  let b = 0;
  for (let i = start; i < end; ) {
    // 5552 bytes is the longest run for which b stays below 2^32 (RFC 1950, section 9).
    const stop = Math.min(i + 5552, end);
    for (; i < stop; i++) {
      a += data[i]!;
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return ((b << 16) | a) >>> 0;
}
