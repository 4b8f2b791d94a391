// The cpio writer: bytes as buffer-format.rst gives them, and what cpio(1) makes of them where it is installed.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { type CpioEntry, writeCpio } from "../../images/initramfs/cpio.js";

const text = (value: string) => new TextEncoder().encode(value);
const ENTRIES: CpioEntry[] = [
  { kind: "directory", path: "dev" },
  { kind: "character-device", path: "dev/console", major: 5, minor: 1 },
  { kind: "block-device", path: "dev/xvda", major: 202, minor: 0, mode: 0o660 },
  { kind: "file", path: "a", data: text("hello"), mode: 0o755 },
  { kind: "symlink", path: "b", target: "a" },
];

describe("writeCpio", () => {
  it("writes one file byte for byte", () => {
    const archive = writeCpio([{ kind: "file", path: "a", data: text("hello"), mode: 0o755 }], 0x65000000);
    const expected =
      // magic    inode    mode     uid      gid      nlink    mtime    size
      "070701" +
      "00000001" +
      "000081ed" +
      "00000000" +
      "00000000" +
      "00000001" +
      "65000000" +
      "00000005" +
      // device major, minor; rdev major, minor; name size; check
      "00000000" +
      "00000000" +
      "00000000" +
      "00000000" +
      "00000002" +
      "00000000" +
      "a\0" +
      "hello\0\0\0" +
      "070701" +
      "00000000".repeat(4) +
      "00000001" +
      "00000000".repeat(6) +
      "0000000b" +
      "00000000" +
      "TRAILER!!!\0\0\0\0";
    const written = Buffer.from(archive).toString("latin1");
    expect(written.slice(0, expected.length)).toBe(expected);
    expect(written.slice(expected.length)).toMatch(/^\0*$/);
    expect(archive.length % 512).toBe(0);
  });

  it("gives the same bytes for the same entries", () => {
    expect(writeCpio(ENTRIES, 1)).toEqual(writeCpio(ENTRIES, 1));
  });

  it.each(["", "/abs", "a/../b", "a//b", "TRAILER!!!", "nul\0"])("refuses the path %j", (path) => {
    expect(() => writeCpio([{ kind: "directory", path }])).toThrow(RangeError);
  });

  it("refuses a path given twice", () => {
    expect(() => writeCpio([ENTRIES[0]!, ENTRIES[0]!])).toThrow(/dev is given twice/);
  });

  it.skipIf(spawnSync("cpio", ["--version"]).status !== 0)("is listed by cpio(1) as it was meant", () => {
    const directory = mkdtempSync(`${tmpdir()}/xen-ts-cpio-`);
    const env = { ...process.env, TZ: "UTC", LC_ALL: "C" };
    const list = execFileSync("cpio", ["-itv", "--numeric-uid-gid", "--quiet"], {
      input: writeCpio(ENTRIES, 86400),
      cwd: directory,
      env,
    });
    rmSync(directory, { recursive: true });
    const lines = list
      .toString()
      .trim()
      .split("\n")
      .map((line) => line.replaceAll(/ +/g, " "));
    expect(lines).toEqual([
      "drwxr-xr-x 2 0 0 0 Jan 2 1970 dev",
      "crw------- 1 0 0 5, 1 Jan 2 1970 dev/console",
      "brw-rw---- 1 0 0 202, 0 Jan 2 1970 dev/xvda",
      "-rwxr-xr-x 1 0 0 5 Jan 2 1970 a",
      "lrwxrwxrwx 1 0 0 1 Jan 2 1970 b -> a",
    ]);
  });
});
