// Random damage to real streams: every decompressor returns or throws CompressError, quickly and within the limit.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CompressError, decompress, detectCompression } from "../../src/compress/index.js";
import { FIXTURES } from "./fixtures.js";

const LIMIT = 1 << 20;

function survives(bytes: Uint8Array): void {
  const start = performance.now();
  try {
    expect(decompress(bytes, { maxOutput: LIMIT }).length).toBeLessThanOrEqual(LIMIT);
  } catch (error) {
    if (!(error instanceof CompressError)) throw error;
  }
  expect(performance.now() - start).toBeLessThan(2000);
}

/** A change at a position: set a byte, remove some, or repeat some. */
const damage = fc.record({
  at: fc.nat(),
  kind: fc.constantFrom("set", "cut", "repeat", "truncate"),
  value: fc.oneof(fc.constantFrom(0, 255, 0x7f, 0x80), fc.nat(255)),
  length: fc.integer({ min: 1, max: 40 }),
});

function apply(bytes: Uint8Array, changes: readonly { at: number; kind: string; value: number; length: number }[]) {
  let out = [...bytes];
  for (const { at, kind, value, length } of changes) {
    // Leave the first bytes alone most of the time, so that the format is still recognised.
    const i = out.length === 0 ? 0 : at % out.length;
    if (kind === "set") out[i] = value;
    else if (kind === "cut") out.splice(i, length);
    else if (kind === "repeat") out.splice(i, 0, ...out.slice(i, i + length));
    else out = out.slice(0, Math.max(i, 16));
  }
  return Uint8Array.from(out);
}

describe.each(FIXTURES)("damaged %s", (_name, base64) => {
  const packed = new Uint8Array(Buffer.from(base64, "base64"));

  it("never crashes or hangs", () => {
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (changes) => survives(apply(packed, changes))),
      { numRuns: 100 },
    );
  });

  it("never crashes or hangs on noise after its header", () => {
    fc.assert(
      fc.property(fc.nat(60), fc.uint8Array({ maxLength: 300 }), (keep, noise) => {
        const bytes = Uint8Array.of(...packed.subarray(0, 6 + keep), ...noise);
        if (detectCompression(bytes) !== undefined) survives(bytes);
      }),
      { numRuns: 100 },
    );
  });
});
