// Thousands of attacks by hypercalls and code: an unprivileged domain changes and reads nothing of others, leaves nothing behind, and
// never makes the host throw; a privileged one may do more, but the host doesn't throw either. XEN_TS_SEED=n repeats a run.

import fc from "fast-check";
import { expect, it } from "vitest";
import { attackArb, Fuzzer } from "../fuzz/attack.js";

/** Hypercalls whose successes count by the dozen in any run: an attack that no longer gets that far proves nothing. */
const REACHED = [0, 1, 10, 12, 13, 14, 20, 22, 23, 24, 26, 29, 32, 33];
const RUNS = Number(process.env.FUZZ_RUNS ?? 3000);

it.each([
  ["an unprivileged domain harms nobody else", false, RUNS],
  ["domain 0 doesn't make the host throw", true, Math.ceil(RUNS / 3)],
])("%s", (_name, privileged, numRuns) => {
  const fuzzer = new Fuzzer(privileged);
  fc.assert(
    fc.property(attackArb, (steps) => fuzzer.run(steps)),
    { numRuns },
  );
  const succeeded = [...fuzzer.succeeded].sort(([a], [b]) => a - b).map(([number, count]) => `${number}:${count}`);
  console.log(`${fuzzer.calls} hypercalls, ${fuzzer.crashes} crashes; succeeded by number: ${succeeded.join(" ")}`);
  expect([...fuzzer.succeeded.keys()]).toEqual(expect.arrayContaining(REACHED));
});
