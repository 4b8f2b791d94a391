// Megabytes packed by the reference tools, where they are installed, at many settings; and a longer fuzz run.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CompressError, decompress } from "../../../src/compress/index.js";
import { FIXTURES } from "../../compress/fixtures.js";

const COMMANDS = [
  "gzip -1c",
  "gzip -9c",
  "xz -0c",
  "xz -6c",
  "xz -9ec --check=sha256",
  "xz -c --x86 --lzma2=preset=6 --check=crc32",
  "xz -c --x86 --delta=dist=3 --lzma2=preset=3,lc=1,lp=3,pb=1 --block-size=300000",
  "xz -c --lzma2=preset=1,lc=0,lp=4,pb=4,nice=273",
  "xz -c --format=lzma -9",
  "xz -c --format=lzma --lzma1=preset=1,lc=4,lp=0,pb=0",
  "zstd -qc -1",
  "zstd -qc -19",
  "zstd -qc --ultra -22",
  "zstd -qc --fast=5",
  "zstd -qc -3 --long=27 --no-check",
  "lz4 -qc -1",
  "lz4 -qc -9 -BD -B4 -BX",
  "lz4 -qlc -9",
  "bzip2 -1c",
  "bzip2 -9c",
  "lzop -qc -1",
  "lzop -qc -9 --crc32",
];

const SAMPLES: readonly (readonly [string, Uint8Array])[] = [
  ["the node binary's beginning", new Uint8Array(readFileSync(process.execPath).subarray(0, 6_000_000))],
  ["noise", Uint8Array.from({ length: 500_000 }, (_, i) => (Math.imul(i, 0x9e3779b1) >>> 13) & 255)],
  ["zeros", new Uint8Array(5_000_000)],
  ["one byte", Uint8Array.of(7)],
  ["nothing", new Uint8Array(0)],
];

describe.each(COMMANDS)("%s", (command) => {
  const [program, ...args] = command.split(" ");
  const present = spawnSync(program!, ["--version"]).error === undefined;

  it.skipIf(!present).each(SAMPLES)("%s", (_name, data) => {
    const packed = spawnSync(program!, args, { input: data, maxBuffer: 1 << 28 });
    expect(packed.status, packed.stderr.toString()).toBe(0);
    // .lzma with unusual properties has nothing to be recognised by.
    const format = command.includes("--format=lzma") ? { format: "lzma" as const } : {};
    const out = decompress(new Uint8Array(packed.stdout), { maxOutput: data.length, ...format });
    expect(Buffer.compare(out, data)).toBe(0);
  });
});

describe.each(FIXTURES)("fuzz: %s", (_name, base64) => {
  const packed = new Uint8Array(Buffer.from(base64, "base64"));

  it("4,000 damaged streams give data or CompressError", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(packed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        (changes) => {
          const bytes = packed.slice();
          for (const [at, value] of changes) bytes[at] = value;
          try {
            decompress(bytes, { maxOutput: 1 << 20 });
          } catch (error) {
            if (!(error instanceof CompressError)) throw error;
          }
        },
      ),
      { numRuns: 4_000 },
    );
  });
});
