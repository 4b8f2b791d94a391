// Check values: the "123456789" of the CRC catalogue, RFC 1950's example algorithm, the xxHash specification's.

import { describe, expect, it } from "vitest";
import { adler32, crc32, crc32Msb, crc64 } from "../../src/compress/checksums.js";
import { xxh32 } from "../../src/compress/xxhash.js";
import { xxh64Low } from "../../src/compress/xxhash64.js";

const bytes = (text: string) => new TextEncoder().encode(text);
const NINE = bytes("123456789");

describe("checksums", () => {
  it("have their published check values", () => {
    expect(crc32(NINE)).toBe(0xcbf43926);
    expect(crc64(NINE)).toEqual({ low: 0xdf1939fa, high: 0x995dc9bb });
    expect(crc32Msb(NINE)).toBe(0xfc891918);
    expect(adler32(bytes("Wikipedia"))).toBe(0x11e60398);
    expect(xxh32(new Uint8Array(0))).toBe(0x02cc5d05);
    expect(xxh32(bytes("abc"))).toBe(0x32d153ff);
    expect(xxh64Low(new Uint8Array(0))).toBe(0x51d8e999);
    expect(xxh64Low(bytes("abc"))).toBe(0xad770999);
  });

  it("cover ranges, and CRC-32 continues from a seed", () => {
    const data = bytes("xx123456789yy");
    expect(crc32(data, 2, 11)).toBe(0xcbf43926);
    expect(crc32(data, 6, 11, crc32(data, 2, 6))).toBe(0xcbf43926);
  });

  it("stay exact over megabytes of 0xff, where sums overflow first", () => {
    const data = new Uint8Array(3_000_000).fill(0xff);
    let a = 1;
    let b = 0;
    for (let i = 0; i < data.length; i++) {
      a = (a + 255) % 65521;
      b = (b + a) % 65521;
    }
    expect(adler32(data)).toBe(b * 65536 + a);
  });
});
