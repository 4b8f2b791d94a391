// What tests with random input draw from: XEN_TS_SEED where given; in CI the commit, so that a run of it is the same whenever and
// wherever it's made, and each commit tries something new; elsewhere something new each time.

import { execFileSync } from "node:child_process";

/** 1 to 2^31 - 1. */
export const seed = chooseSeed();

function chooseSeed(): number {
  const given = process.env.XEN_TS_SEED;
  if (given !== undefined) {
    if (!/^\d{1,10}$/.test(given)) throw new Error(`XEN_TS_SEED: a decimal number, not "${given}"`);
    return Number(given);
  }
  if (!process.env.CI) return 1 + Math.floor(Math.random() * 0x7ffffffe);
  return Number.parseInt(commit().slice(0, 8), 16) & 0x7fffffff || 1;
}

/** "1" where there is no repository, as in an unpacked archive. */
function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "HEAD"], { cwd: import.meta.dirname, encoding: "utf8", stdio: "pipe" });
  } catch {
    return "1";
  }
}
