// The rules for ranges of doubles hold for any two numbers of those ranges.

import fc from "fast-check";
import { expect, test } from "vitest";
import { type FloatRange, isSafe, rangeRules } from "../../../src/cpu/emit/float-range.js";

const holds = ({ least, greatest, zero }: FloatRange, value: number) =>
  value === 0 ? zero : Math.abs(value) >= 2 ** least && Math.abs(value) <= 2 ** greatest;

/** A number, and a range around it: narrow ones have it at an end. */
const ranged = fc
  .record({
    exponent: fc.integer({ min: -250, max: 250 }),
    fraction: fc.oneof(
      fc.constantFrom(0, 2 ** -52, 1 - 2 ** -52, 2 ** -26),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
    ),
    sign: fc.constantFrom(1, -1),
    below: fc.integer({ min: 0, max: 2 }),
    above: fc.integer({ min: 1, max: 3 }),
    isZero: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  })
  .map(({ exponent, fraction, sign, below, above, isZero }) => ({
    value: isZero ? 0 : sign * (1 + fraction) * 2 ** exponent,
    range: { least: exponent - below, greatest: exponent + above, zero: isZero },
  }));

const operations = {
  add: (a: number, b: number) => a + b,
  sub: (a: number, b: number) => a - b,
  mul: (a: number, b: number) => a * b,
  div: (a: number, b: number) => a / b,
  sqrt: (a: number) => Math.sqrt(Math.abs(a)),
  either: (a: number, b: number) => Math.min(a, b),
} as const;

test.each(Object.keys(operations) as (keyof typeof operations)[])("%s", (name) => {
  // Neighbours cancel but for a last digit.
  const pair = fc.oneof(
    fc.tuple(ranged, ranged),
    ranged.map((a) => [a, { ...a, value: a.value * (1 + 2 ** -52) }] as const),
  );
  fc.assert(
    fc.property(pair, ([a, b]) => {
      if (!holds(b.range, b.value) || (name === "div" && b.value === 0)) return;
      const range = rangeRules[name](a.range, b.range);
      expect(holds(range, operations[name](a.value, b.value))).toBe(true);
    }),
    { numRuns: 3000 },
  );
});

test("safe ranges hold neither what rounding may have made nor infinity", () => {
  expect(isSafe({ least: -1021, greatest: 1023, zero: true })).toBe(true);
  expect(isSafe({ least: -1022, greatest: 0, zero: true })).toBe(false);
  expect(isSafe({ least: 0, greatest: 1024, zero: true })).toBe(false);
});
