// The decoder against iced-x86 on 1,000,000 random byte strings for each code size. Exceptions are counted and printed with
// their reasons (test/cpu/decode/iced.ts).

import { expect, test } from "vitest";
import type { Bits } from "../cpu/decode/iced.js";
import { compareWithIced } from "../cpu/decode/iced.js";
import { seed } from "../support/seed.js";

test.each<Bits>([16, 32, 64])("agrees with iced-x86 on 1,000,000 random strings of %i-bit code", (bits) => {
  let valid = 0;
  const exceptions: Record<string, number> = {};
  for (let part = 0; part < 10; part++) {
    const result = compareWithIced(bits, 100_000, seed + bits * 100 + part);
    expect(result.mismatches.slice(0, 20), `XEN_TS_SEED=${seed}`).toEqual([]);
    valid += result.valid;
    for (const [reason, count] of Object.entries(result.exceptions))
      exceptions[reason] = (exceptions[reason] ?? 0) + count;
  }
  console.log(`${bits}-bit code, seed ${seed}: 1,000,000 strings, ${valid} valid, exceptions`, exceptions);
  expect(valid).toBeGreaterThan(250_000);
});
