// Instructions whose compiled code differs from the interpreter's handler, because their immediates are known: both against each
// other on many operands.

import fc from "fast-check";
import { expect, test } from "vitest";
import { TierPair } from "./tiers.js";

const register = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
/** Words with many null and equal bytes. */
const text = fc
  .array(fc.constantFrom<bigint[]>(0n, 0x61n, 0x61n, 0x62n, 0xffn), { minLength: 8, maxLength: 8 })
  .map((bytes) => {
    return bytes.reduce((word, byte) => (word << 8n) | byte, 0n);
  });

function agree(code: (immediate: number) => number[], immediates: readonly number[], word: fc.Arbitrary<bigint>): void {
  const pair = new TierPair();
  const values = fc.array(word, { minLength: 16, maxLength: 16 });
  fc.assert(
    fc.property(fc.constantFrom(...immediates), values, (immediate, registers) => {
      const bytes = Uint8Array.from([0x90, ...code(immediate), 0x90, 0xf4]);
      const difference = pair.compare({ program: { bytes, starts: [0] }, registers, budgets: [100], limit: 3 });
      expect(difference).toBeUndefined();
    }),
    { numRuns: 80 },
  );
  expect(pair.regions).toBeGreaterThan(40);
}

test("PCMPISTRI of equal elements", () => {
  const equalEach = [...Array(64).keys()].map((n) => 2 * n).filter((n) => (n & 0xc) === 8);
  agree((n) => [0x66, 0x0f, 0x3a, 0x63, 0xca, n], [...equalEach, ...equalEach.map((n) => n + 1)], text);
});

test("CMPPS, CMPSD and their relatives", () => {
  const all = [...Array(8).keys()];
  for (const prefix of [[], [0x66], [0xf2], [0xf3]]) agree((n) => [...prefix, 0x0f, 0xc2, 0xca, n], all, register);
});

test("what is known of a register's lowest lane isn't taken for another's", () => {
  // addsd xmm2, xmm2; movapd xmm1, xmm2; movups xmm3, [r8]; addsd xmm3, xmm3; addsd xmm1, xmm3
  const code = [0xf2, 0x0f, 0x58, 0xd2, 0x66, 0x0f, 0x28, 0xca, 0x41, 0x0f, 0x10, 0x18];
  const sums = [0xf2, 0x0f, 0x58, 0xdb, 0xf2, 0x0f, 0x58, 0xcb];
  const bytes = Uint8Array.from([...code, ...sums, 0xf4]);
  const pair = new TierPair();
  const one = 0x3ff0000000000000n;
  const registers = Array.from({ length: 16 }, (_, i) => (i === 8 ? 0x10000n : one + (BigInt(i) << 40n)));
  // The TLB is warm in every second trial.
  for (let i = 0; i < 4; i++)
    expect(pair.compare({ program: { bytes, starts: [0] }, registers, budgets: [100], limit: 6 })).toBeUndefined();
  expect(pair.regions).toBeGreaterThan(0);
});
