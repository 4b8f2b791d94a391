// The example of a partition in virtual time (examples/partition): what it shows, and that two runs are the same to the last instruction.
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { testImage } from "../support/image.js";

const script = resolve(import.meta.dirname, "../../examples/partition/partition.mjs");

test("a client finds its server again after a partition, and again in the same way", async () => {
  await testImage("bookworm");
  const run = async () => (await promisify(execFile)(process.execPath, [script, "7"])).stdout;
  const [first, second] = await Promise.all([run(), run()]);
  // 143: SIGTERM, by timeout. A connection is asked for 1, 3 and 7 seconds after the first time (RFC 6298 2, 5.5).
  expect(first).toMatch(
    /^connected: "hello" in 0 s\ncut: nothing, status 143 in 5 s\ncut, then healed: "hello" in 7 s\nhealed: "hello" in 0 s\n\d+ instructions, [\d.]+ s/,
  );
  expect(second).toBe(first);
});
