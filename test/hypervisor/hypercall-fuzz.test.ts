// A short run of the hypercall fuzzer; test/slow/hypercall-fuzz.test.ts has the long one. A failure prints its seed and the
// shortest attack found.

import fc from "fast-check";
import { expect, it } from "vitest";
import { attackArb, Fuzzer } from "../fuzz/attack.js";

const RUNS = 60;

it("hostile hypercalls and code harm nobody else", () => {
  const fuzzer = new Fuzzer(false);
  fc.assert(
    fc.property(attackArb, (steps) => fuzzer.run(steps)),
    { numRuns: RUNS },
  );
  expect(fuzzer.calls).toBeGreaterThan(RUNS);
});
