import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { defaultKernelCacheDirectory, FileKernelCache } from "../src/kernel-cache.js";

const key = (digit: string) => digit.repeat(64);

describe("FileKernelCache", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "xen-ts-cache-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it("gives back what was put, also to another instance, and leaves no temporary file", () => {
    const cache = new FileKernelCache({ directory: join(directory, "a", "b") });
    expect(cache.get(key("1"))).toBeUndefined();
    cache.put(key("1"), Uint8Array.of(1, 2, 3));
    expect(new FileKernelCache({ directory: cache.directory }).get(key("1"))).toEqual(Uint8Array.of(1, 2, 3));
    expect(readdirSync(cache.directory)).toEqual([`${key("1")}.elf`]);
  });

  it("forgets the longest unused beyond its limit", async () => {
    const cache = new FileKernelCache({ directory, limit: 2 });
    const pause = () => new Promise((resolve) => setTimeout(resolve, 15));
    cache.put(key("1"), Uint8Array.of(1));
    await pause();
    cache.put(key("2"), Uint8Array.of(2));
    await pause();
    expect(cache.get(key("1"))).toBeDefined();
    await pause();
    cache.put(key("3"), Uint8Array.of(3));
    expect(readdirSync(directory).sort()).toEqual([`${key("1")}.elf`, `${key("3")}.elf`]);
  });

  it("only warns when the file system refuses", () => {
    writeFileSync(join(directory, "file"), "");
    const warnings: string[] = [];
    const cache = new FileKernelCache({ directory: join(directory, "file"), warn: (line) => warnings.push(line) });
    cache.put(key("1"), Uint8Array.of(1));
    expect(cache.get(key("1"))).toBeUndefined();
    expect(warnings[0]).toMatch(/^kernel cache: can't write: /);
  });

  it("accepts only digests as keys", () => {
    expect(() => new FileKernelCache({ directory }).get("../../etc/passwd")).toThrow(RangeError);
  });
});

describe("defaultKernelCacheDirectory", () => {
  it("follows XDG_CACHE_HOME if it is absolute", () => {
    expect(defaultKernelCacheDirectory({ XDG_CACHE_HOME: "/x" })).toBe("/x/xen-ts/kernels");
    expect(defaultKernelCacheDirectory({ XDG_CACHE_HOME: "x" })).toMatch(/\.cache\/xen-ts\/kernels$/);
  });
});
