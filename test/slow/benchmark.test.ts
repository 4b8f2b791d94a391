// The benchmarks' commands: usage, their lists of programs, and two programs measured natively (busybox from Debian's archive or the
// cache); machines that take turns.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test, vi } from "vitest";

const run = (file: string, words: string[]) =>
  spawnSync(process.execPath, [fileURLToPath(new URL(`../benchmark/${file}`, import.meta.url)), ...words], {
    encoding: "utf8",
  });
const bench = (...words: string[]) => run("run.mjs", words);
const benchIo = (...words: string[]) => run("io.mjs", words);
const { Turns } = await import(new URL("../benchmark/turns.mjs", import.meta.url).href);

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

test("bench:io: usage", () => {
  expect(benchIo("--help")).toMatchObject({ status: 0, stdout: expect.stringMatching(/^usage: npm run bench:io/) });
  expect(benchIo("--list").stdout).toMatch(/^raw-read-1M /m);
  const wrong = [
    ["--frobnicate"],
    ["--peers", "bochs"],
    ["--rows", "tape"],
    ["--runs", "0"],
    ["--peers", "xen-ts-base"],
    ["--base", "."],
  ];
  for (const words of wrong)
    expect(benchIo(...words)).toMatchObject({ status: 2, stdout: "", stderr: expect.stringMatching(/^bench:io: /) });
});

test.runIf(process.platform === "linux")(
  "machines take turns: the others are stopped, and one that ends isn't waited for",
  async () => {
    const machines = ["a", "b", "c"];
    const processes = new Map(machines.map((name) => [name, spawn("sleep", ["60"])]));
    const state = (name: string) => /\) (\S)/.exec(readFileSync(`/proc/${processes.get(name)!.pid}/stat`, "utf8"))![1];
    const turns = new Turns(machines);
    const running = new Set(machines);
    const order: string[] = [];
    const runs = async (name: string, count: number) => {
      for (let i = 0; i < count; i++) {
        await turns.wait(name, [processes.get(name)]);
        order.push(name);
        for (const each of running) await vi.waitFor(() => expect(state(each)).toBe(each === name ? "S" : "T"));
      }
      running.delete(name);
      turns.end(name);
    };
    try {
      await Promise.all([runs("b", 2), runs("a", 3), runs("c", 1)]);
      expect(order.join("")).toBe("abcaba");
    } finally {
      for (const child of processes.values()) child.kill("SIGKILL");
    }
  },
);
