// Instructions recorded on a real processor (vectors.txt, written by test/slow/float-native.test.ts with FLOAT_WRITE=1):
// results, exception flags and condition codes must be equal bit for bit; transcendental results within one unit.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { operations, operationsByCode } from "./operations.js";
import { describe, difference, isTranscendental, parse } from "./vectors.js";

const lines = readFileSync(join(import.meta.dirname, "vectors.txt"), "utf8")
  .trim()
  .split("\n");

it("equals the processor on every recorded instruction", () => {
  const byCode = operationsByCode();
  const problems: string[] = [];
  for (const line of lines) {
    const vector = parse(line);
    const operation = byCode.get(vector.code)!;
    const problem = difference(operation, vector, isTranscendental(operation) ? 1n : 0n);
    if (problem !== "") problems.push(`${describe(operation, vector)}: ${problem}`);
  }
  expect(problems).toEqual([]);
});

it("has vectors for every operation", () => {
  const codes = new Set(lines.map((line) => parse(line).code));
  expect(operations.filter((operation) => !codes.has(operation.code)).map((operation) => operation.name)).toEqual([]);
});
