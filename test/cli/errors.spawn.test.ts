// Bad input to the command: one line on stderr, nothing on stdout, the right exit code; nothing is booted.
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildBzImage } from "../hypervisor/loader/build-image.js";
import { kernel32, kernel64, LINUX_NOTES } from "../hypervisor/loader/kernels.js";
import { main, xenTs } from "../support/command.js";
import { corruptBzImage, tinyKernel } from "../support/tiny-kernel.js";

let directory: string;
let env: Record<string, string>;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "xen-ts-cli-"));
  env = { XDG_CACHE_HOME: directory };
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function file(name: string, bytes: Uint8Array | string): string {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
}

async function expectError(words: readonly string[], code: number, message: RegExp | string): Promise<void> {
  const result = await xenTs(words, { env, cwd: directory });
  expect(result.stdout).toBe("");
  expect(result.stderr).toMatch(/^xen-ts: [^\n]+\n$/);
  if (typeof message === "string") expect(result.stderr).toBe(`xen-ts: ${message}\n`);
  else expect(result.stderr).toMatch(message);
  expect(result.code).toBe(code);
}

describe("usage errors end with 2", () => {
  test.each<[string, string[], RegExp]>([
    ["unknown command of a group", ["image", "bild"], /unknown command 'bild' \(Did you mean build\?\)/],
    ["unknown option", ["boot", "--headles"], /unknown option '--headles' \(Did you mean --headless\?\)/],
    ["missing value", ["boot", "--memory"], /--memory <size>.* argument missing/],
    ["two images", ["boot", "a", "b"], /too many arguments/],
    ["invalid regex", ["boot", "--until", "("], /--until: invalid regular expression: .*Unterminated group/],
    ["invalid size", ["boot", "--memory", "lots"], /--memory: "lots" is not a size/],
    ["memory above the limit", ["boot", "--kernel", "k", "--memory", "64G"], /memory must be between .* not 64G/],
    ["memory below the limit", ["boot", "--kernel", "k", "--memory", "1M"], /memory must be between .* not 1M/],
    ["invalid timeout", ["boot", "--timeout", "soon"], /--timeout: "soon" is not a number of seconds/],
    ["invalid trace", ["boot", "--trace", "everything"], /--trace: "everything" is none of hypercalls, exceptions/],
    ["unknown suite", ["image", "build", "--suite", "etch"], /'etch' is invalid\. Allowed choices are bullseye/],
    ["no name for rm", ["image", "rm"], /missing required argument 'name'/],
    ["a name that can't be", ["image", "rm", "../x"], /is not an image name/],
    ["log in no directory", ["boot", "--kernel", "k", "--log", "none/x"], /--log none\/x: no such directory/],
  ])("%s", (_what, words, message) => expectError(words, 2, message));

  test("a command line too long for Xen", async () => {
    const kernel = file("fits", kernel64());
    await expectError(["boot", "--kernel", kernel, "--cmdline", "x".repeat(1024)], 2, /command line has 1024 bytes/);
  });
});

describe("output that nobody reads, or that can't be written", () => {
  test.each(["--help", "boot --help"])("xen-ts %s into a pipe that was closed ends quietly with 141", async (words) => {
    const result = await xenTs(words.split(" "), { env, onStart: (child) => child.stdout?.destroy() });
    expect([result.stderr, result.code]).toEqual(["", 141]);
  });

  test.runIf(existsSync("/dev/full"))("a full disk is told in one sentence", () => {
    const full = openSync("/dev/full", "w");
    const result = spawnSync(process.execPath, [main, "boot", "--help"], { stdio: ["ignore", full, "pipe"] });
    closeSync(full);
    expect(`${result.stderr}`).toMatch(/^xen-ts: can't write the output: ENOSPC: no space left on device[^\n]*\n$/);
    expect(result.status).toBe(120);
  });
});

describe("unusable input ends with 120", () => {
  const boot = (name: string, bytes: Uint8Array | string, ...more: string[]) => [
    ...["boot", "--kernel", file(name, bytes), "--headless"],
    ...more,
  ];

  test("missing kernel", () =>
    expectError(["boot", "--kernel", "nowhere/vmlinuz"], 120, "kernel nowhere/vmlinuz: no such file"));
  test("a directory as kernel", () => expectError(["run", "--kernel", "."], 120, "kernel .: is a directory"));
  test("missing ramdisk", () =>
    expectError([...boot("k0", kernel64()), "--ramdisk", "initrd.gone"], 120, "ramdisk initrd.gone: no such file"));
  test("empty kernel", () => expectError(boot("empty", ""), 120, /not a kernel: the file is empty/));
  test("a text file as kernel", () => expectError(boot("text", "#!/bin/sh\n"), 120, /not a kernel/));
  test("truncated bzImage", () =>
    expectError(boot("cut", buildBzImage(tinyKernel("", "hang")).subarray(0, 2000)), 120, /truncated/));
  test("corrupt packed kernel", () => expectError(boot("corrupt", corruptBzImage()), 120, /corrupt|truncated/));
  test("truncated ELF", () => expectError(boot("cutelf", kernel64().subarray(0, 100)), 120, /truncated/));
  test("ELF without Xen notes", () => expectError(boot("bare", kernel64([])), 120, /no Xen notes/));
  test("32-bit kernel", () =>
    expectError(
      boot("k32", kernel32(LINUX_NOTES)),
      120,
      /not supported: 32-bit PV kernel; only 64-bit PV kernels can be booted/,
    ));
  test("not enough memory for the kernel", () =>
    expectError(
      boot("big", tinyKernel("", "hang", 100 << 20), "--memory", "32M"),
      120,
      /needs at least \d+ MiB; the domain has 32 MiB/,
    ));
  test("a disk image", () =>
    expectError(["boot", file("disk.img", Buffer.alloc(4096))], 120, /disk images can't be booted yet/));
  test("a disk image that isn't there", () =>
    expectError(["run", "disk.qcow2"], 120, /no such image; IMAGE is a name/));
  test("a kernel in the place of an image", () =>
    expectError(["boot", file("vmlinuz", kernel64())], 120, /is a kernel: use --kernel/));
  test("an image that nobody knows", () =>
    expectError(["boot", "slackware"], 120, /there is no image slackware; known are/));
  test("removing an image that isn't there", () => expectError(["image", "rm", "sid"], 120, /no image busybox-sid/));
  test("a cold cache without network", () => expectError(["image", "build", "--offline"], 120, /offline|cache/));
});

describe("plain answers", () => {
  test("--version is the package's", async () => {
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
    expect(await xenTs(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  });

  test("--help names the commands, their options and exit codes", async () => {
    const { code, stdout } = await xenTs(["--help"]);
    expect(code).toBe(0);
    for (const name of ["boot", "run", "image"]) expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, "m"));
    const boot = await xenTs(["boot", "--help"]);
    expect(boot.stdout).toContain("--until <regex>");
    expect(boot.stdout).toContain("121 the guest crashed");
  });

  test("image list in an empty cache", async () => {
    const { code, stdout } = await xenTs(["image", "list", "--json"], { env });
    expect(code).toBe(0);
    const { images, available } = JSON.parse(stdout);
    expect(images).toEqual([]);
    expect(available).toContain("busybox-bookworm");
    expect((await xenTs(["image", "list"], { env })).stdout).toMatch(/^busybox-bookworm +- +- +not built$/m);
  });
});
