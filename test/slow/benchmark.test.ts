// The benchmark's command: usage, its list of programs, and two programs measured natively (busybox from Debian's archive or the cache).

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const script = fileURLToPath(new URL("../benchmark/run.mjs", import.meta.url));
const bench = (...words: string[]) => spawnSync(process.execPath, [script, ...words], { encoding: "utf8" });

test("usage", () => {
  expect(bench("--help")).toMatchObject({ status: 0, stdout: expect.stringMatching(/^usage: npm run bench/) });
  expect(bench("--list").stdout).toMatch(/^integer {2}sha256sum/m);
  for (const words of [["--frobnicate"], ["--peers", "bochs"], ["--programs", "crysis"], ["--runs", "0"]])
    expect(bench(...words)).toMatchObject({ status: 2, stdout: "", stderr: expect.stringMatching(/^bench: /) });
});

test.runIf(process.arch === "x64")("native times, as a table and as JSON", () => {
  const directory = mkdtempSync(join(tmpdir(), "xen-ts-bench-test-"));
  const file = join(directory, "out.json");
  try {
    const words = ["--peers", "native", "--programs", "dd-bytes,md5sum", "--runs", "3", "--json", file];
    const { status, stdout } = bench(...words);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ {2}md5sum +\d/m);
    const { results } = JSON.parse(readFileSync(file, "utf8"));
    expect(Object.keys(results.native.times).sort()).toEqual(["amd64/dd-bytes", "amd64/md5sum"]);
    expect(results.native.times["amd64/md5sum"]).toHaveLength(3);
    expect(results.native.hashes["amd64/md5sum"]).toMatch(/^[0-9a-f]{32}$/);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
