import { expect, test } from "vitest";
import type { Bits } from "./iced.js";
import { compareWithIced } from "./iced.js";

const SEED = 0x5eed;

test.each<Bits>([16, 32, 64])("agrees with iced-x86 on 20,000 random strings of %i-bit code", (bits) => {
  const result = compareWithIced(bits, 20_000, SEED + bits);
  expect(result.mismatches.slice(0, 20), `seed ${SEED + bits}`).toEqual([]);
  expect(result.valid).toBeGreaterThan(5_000);
});
