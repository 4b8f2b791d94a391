// src/cpu/float against the real processor: random and special operands, all rounding modes, masks and precisions, bit
// for bit with exception flags and condition codes. Needs gcc on an x86-64 machine; skipped elsewhere.
// FLOAT_OPS=fadd,fsub limits it, FLOAT_COUNT sets vectors per operation, XEN_TS_SEED the seed.
// FLOAT_WRITE=1 rewrites the committed sample test/cpu/float/vectors.txt.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, describe as suite } from "vitest";
import { createRandom } from "../cpu/float/operands.js";
import { type Operation, operations } from "../cpu/float/operations.js";
import {
  decode,
  describe,
  difference,
  encode,
  format,
  isTranscendental,
  masksOf,
  randomVector,
  type Vector,
} from "../cpu/float/vectors.js";
import { seed } from "../support/seed.js";

const hasCompiler = process.arch === "x64" && spawnSync("gcc", ["--version"]).status === 0;
const COUNT = Number(process.env.FLOAT_COUNT ?? 40_000);
/** Our transcendentals are correctly rounded; the processor's are within one unit of that. */
const ULPS = BigInt(process.env.FLOAT_ULPS ?? 1);
const only = process.env.FLOAT_OPS?.split(",");
const BATCH = 20_000;
const directory = hasCompiler ? mkdtempSync(join(tmpdir(), "float-native-")) : "";
const program = join(directory, "native");

function execute(vectors: Vector[]): void {
  const run = spawnSync(program, { input: encode(vectors), maxBuffer: 1 << 30 });
  if (run.status !== 0) throw new Error(`oracle: ${run.stderr.toString()} ${run.error}`);
  decode(vectors, run.stdout);
}

function failures(operation: Operation, count: number): { total: number; failed: number; text: string[] } {
  const random = createRandom(seed * 977 + operation.code);
  const text: string[] = [];
  let total = 0;
  let failed = 0;
  for (let done = 0; done < count; done += BATCH) {
    const vectors = Array.from({ length: Math.min(BATCH, count - done) }, () => randomVector(operation, random));
    execute(vectors);
    for (const vector of vectors) {
      total++;
      const problem = difference(operation, vector, isTranscendental(operation) ? ULPS : 0n);
      if (problem === "") continue;
      failed++;
      if (text.length < 12) text.push(`${describe(operation, vector)}: ${problem}`);
    }
  }
  return { total, failed, text };
}

suite.skipIf(!hasCompiler)(`native floating point, seed ${seed}`, () => {
  beforeAll(() => {
    const source = join(import.meta.dirname, "float-native.c");
    execFileSync("gcc", ["-O1", "-msse4.1", "-o", program, source]);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  for (const operation of operations) {
    if (only && !only.includes(operation.name)) continue;
    it(`${operation.code} ${operation.name}`, () => {
      const count = isTranscendental(operation) ? Math.ceil(COUNT / 8) : COUNT;
      const { total, failed, text } = failures(operation, count);
      expect(failed, `${failed} of ${total} differ:\n${text.join("\n")}`).toBe(0);
    });
  }

  it.runIf(process.env.FLOAT_WRITE === "1")("writes the committed sample", () => {
    const lines: string[] = [];
    for (const operation of operations) {
      const random = createRandom(operation.code);
      const vectors = Array.from({ length: 4000 }, () => randomVector(operation, random));
      execute(vectors);
      // One vector for each outcome: flags, condition codes, and whether all of the exceptions were masked.
      const seen = new Set<string>();
      for (const v of vectors) {
        const key = `${v.status & 0x7f3f} ${masksOf(operation, v) === 0x3f} ${v.control & 0x0c00}`;
        if (seen.has(key) || seen.size === 16) continue;
        seen.add(key);
        lines.push(format(v));
      }
    }
    writeFileSync(join(import.meta.dirname, "../cpu/float/vectors.txt"), `${lines.join("\n")}\n`);
  });
});
