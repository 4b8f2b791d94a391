import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { crc32 } from "../../src/compress/checksums.js";
import { CompressError, decompress, detectCompression } from "../../src/compress/index.js";
import { FIXTURES } from "./fixtures.js";
import { sample } from "./sample.js";

const expected = sample();

function bytesOf(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, "base64"));
}

function failure(action: () => unknown): CompressError {
  try {
    action();
  } catch (error) {
    if (error instanceof CompressError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe.each(FIXTURES)("%s", (name, base64) => {
  const packed = bytesOf(base64);

  it("is recognised", () => {
    expect(detectCompression(packed)).toBe(name.split(" ")[0]);
  });

  it("unpacks to the sample", () => {
    expect(decompress(packed)).toEqual(expected);
  });

  it("unpacks within exactly its size, with and without a size hint", () => {
    expect(decompress(packed, { maxOutput: expected.length })).toEqual(expected);
    expect(decompress(packed, { maxOutput: expected.length, expectedSize: expected.length })).toEqual(expected);
    expect(decompress(packed, { expectedSize: 10 })).toEqual(expected);
  });

  it("unpacks from the middle of a larger buffer", () => {
    const buffer = new Uint8Array(packed.length + 200).fill(0xa5);
    buffer.set(packed, 100);
    expect(decompress(buffer.subarray(100, 100 + packed.length))).toEqual(expected);
  });

  it("refuses to produce one byte more than allowed", () => {
    const error = failure(() => decompress(packed, { maxOutput: expected.length - 1 }));
    expect(error.code).toBe("too-large");
  });

  it("reports each truncation", () => {
    // Padding and whole streams may go; then the output is a shorter valid one.
    for (let length = 0; length < packed.length; length += length < 64 ? 1 : 11) {
      const cut = packed.slice(0, length);
      try {
        const out = decompress(cut);
        expect(name).toMatch(/two|legacy/);
        expect(out).toEqual(expected.slice(0, out.length));
      } catch (error) {
        if (!(error instanceof CompressError)) throw error;
        expect(["truncated", "corrupt", "unknown-format"]).toContain(error.code);
        expect(error.message).toMatch(/^[a-z0-9]+: [a-z-]+ at offset \d+: [^\n]+$/);
      }
    }
  });
});

describe("checksums", () => {
  // lz4's legacy frame and .lzma have none, so a changed byte may go unseen there.
  const checked = FIXTURES.filter(([name]) => !/legacy|lzma|level 19|padding/.test(name));

  it.each(checked)("%s: a flipped bit never passes", (name, base64) => {
    const packed = bytesOf(base64);
    for (let at = 0; at < packed.length; at += 5) {
      const damaged = packed.slice();
      damaged[at] = damaged[at]! ^ (1 << (at % 8));
      try {
        const out = decompress(damaged);
        // What may pass: header fields such as names and times, and what doesn't bear on the data.
        expect(out, `${name}, byte ${at}`).toEqual(expected);
      } catch (error) {
        if (!(error instanceof CompressError)) throw error;
      }
    }
  });
});

describe("errors", () => {
  it("names an unknown format", () => {
    expect(failure(() => decompress(Uint8Array.of(1, 2, 3, 4))).code).toBe("unknown-format");
    expect(failure(() => decompress(new Uint8Array(0))).code).toBe("unknown-format");
  });

  it("stops a gzip bomb at the limit", () => {
    const bomb = gzipSync(new Uint8Array(50_000_000));
    expect(failure(() => decompress(bomb, { maxOutput: 1_000_000 })).code).toBe("too-large");
  });

  it("names an unsupported xz filter", () => {
    const xz = bytesOf(FIXTURES.find(([name]) => name.startsWith("xz x86"))![1]);
    // The block header follows the 12-byte stream header; its first filter id (x86) is the third byte.
    expect([...xz.subarray(12, 15)]).toEqual([2, 1, 4]);
    const arm = xz.slice();
    arm[14] = 7;
    expect(failure(() => decompress(arm)).message).toBe("xz: corrupt at offset 12: block header CRC32 differs");
    new DataView(arm.buffer).setUint32(20, crc32(arm, 12, 20), true);
    expect(failure(() => decompress(arm)).message).toBe("xz: unsupported at offset 14: filter ARM");
  });

  it("refuses a zstd frame that needs a dictionary", () => {
    const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 0, 1, 0, 0);
    expect(failure(() => decompress(frame)).message).toMatch(/zstd: unsupported at offset 4: frame needs a dictionary/);
  });

  it("refuses bytes after the end of .lzma data", () => {
    const lzma = bytesOf(FIXTURES.find(([name]) => name.startsWith("lzma"))![1]);
    expect(failure(() => decompress(Uint8Array.of(...lzma, 0))).code).toBe("corrupt");
  });
});
