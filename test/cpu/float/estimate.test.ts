import fc from "fast-check";
import { expect, it } from "vitest";
import { sseReciprocalEstimate, sseReciprocalSqrtEstimate } from "../../../src/cpu/float/estimate.js";

// operand, RCPSS, RSQRTSS as a processor gives them where the result isn't an estimate.
const SPECIAL = [
  [0x00000000, 0x7f800000, 0x7f800000],
  [0x80000000, 0xff800000, 0xff800000],
  [0x00000001, 0x7f800000, 0x7f800000],
  [0x807fffff, 0xff800000, 0xff800000],
  [0x7f800000, 0x00000000, 0x00000000],
  [0xff800000, 0x80000000, 0xffc00000],
  [0x7f800001, 0x7fc00001, 0x7fc00001],
  [0xff923456, 0xffd23456, 0xffd23456],
  [0x7fc00001, 0x7fc00001, 0x7fc00001],
] as const;

it.each(SPECIAL)("special operand %i", (x, reciprocal, root) => {
  expect(sseReciprocalEstimate(x)).toBe(reciprocal);
  expect(sseReciprocalSqrtEstimate(x)).toBe(root);
});

it("flushes tiny reciprocals and refuses negative roots", () => {
  expect(sseReciprocalEstimate(0x7e800000)).toBe(0);
  expect(sseReciprocalEstimate(0xfe800001)).toBe(0x80000000);
  expect(sseReciprocalSqrtEstimate(0xbf800000)).toBe(0xffc00000);
});

const view = new DataView(new ArrayBuffer(4));
function value(bits: number): number {
  view.setUint32(0, bits);
  return view.getFloat32(0);
}

it("stays within 1.5 * 2^-12 of the true value", () => {
  const bound = 1.5 / 4096;
  fc.assert(
    fc.property(fc.integer({ min: 0x00800000, max: 0x7e7fffff }), (bits) => {
      const x = value(bits);
      const reciprocal = value(sseReciprocalEstimate(bits));
      if (reciprocal !== 0) expect(Math.abs(reciprocal * x - 1)).toBeLessThan(bound);
      expect(Math.abs(value(sseReciprocalSqrtEstimate(bits)) * Math.sqrt(x) - 1)).toBeLessThan(bound);
    }),
    { numRuns: 5000 },
  );
});
