// The files of the translation cache: what comes back is what was written, whole, for this build and this V8; everything else is as if
// it weren't there. That a second run of a guest finds what the first one left is test/guests/translation-cache.test.ts.

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { buildId } from "../../src/host/build-id.js";
import { CodeStore } from "../../src/host/code-store.js";
import { MadeModules } from "../../src/host/made-modules.js";
import { type CatalogEntry, catalogPath, readCatalog, writeCatalog } from "../../src/host/region-catalog.js";
import { defaultTranslationCacheDirectory, TranslationCache } from "../../src/host/translation-cache.js";
import { enableHints, hasTierControl, isOptimized, withoutTierUp } from "../../src/host/v8-flags.js";

enableHints();
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "xen-ts-translations-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** f: adds a constant to its argument; to be optimized when it is first called. */
const bytesOf = (constant: number) =>
  Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f, 3, 2, 1, 0],
    ...[0, 19, 16, ...Buffer.from("compilationHints"), 1, 0x28],
    ...[7, 5, 1, 1, 0x66, 0, 0, 10, 9, 1, 7, 0, 0x20, 0, 0x41, constant, 0x6a, 0x0b],
  ]);
type F = { f: (x: number) => number };
const runs = (module: WebAssembly.Module) => (new WebAssembly.Instance(module).exports as F).f(1);

/** Keeps such a module's code. */
function keep(store: CodeStore, constant: number, isCalled = true): string | undefined {
  const module = new WebAssembly.Module(bytesOf(constant));
  const { f } = new WebAssembly.Instance(module).exports as F;
  if (isCalled) f(1);
  return store.store(bytesOf(constant), module, [f]);
}

test.runIf(hasTierControl)("machine code comes back, for this folder's owner alone", () => {
  const store = new CodeStore(directory);
  const unit = keep(store, 5)!;
  expect(runs(new CodeStore(directory).load(unit)!)).toBe(6);
  const [name] = readdirSync(directory);
  expect(statSync(join(directory, name!)).mode & 0o777).toBe(0o600);
  expect(store.load("0123")).toBeUndefined();
  // What has not been compiled yet can't be kept.
  expect(keep(store, 6, false)).toBeUndefined();
});

test.runIf(hasTierControl)(
  "a damaged file isn't taken, nor one cut short, and another version's isn't even looked for",
  () => {
    const store = new CodeStore(directory);
    const unit = keep(store, 7)!;
    const path = join(directory, readdirSync(directory)[0]!);
    const whole = readFileSync(path);
    for (let at = 0; at < whole.length; at += 97) {
      const damaged = Buffer.from(whole);
      damaged[at]! ^= 0x10;
      writeFileSync(path, damaged);
      expect(store.load(unit)).toBeUndefined();
    }
    for (const length of [0, 10, 35, 40, whole.length - 1]) {
      writeFileSync(path, whole.subarray(0, length));
      expect(store.load(unit)).toBeUndefined();
    }
    rmSync(path);
    writeFileSync(path.replace(/-[0-9a-f]+\.code$/, "-1.code"), whole);
    expect(store.load(unit)).toBeUndefined();
  },
);

test.runIf(hasTierControl)("the least recently used files go when there are too many bytes", () => {
  const small = new CodeStore(directory);
  const units = [1, 2, 3, 4].map((constant) => keep(small, constant)!);
  const names = units.map((unit) => readdirSync(directory).find((name) => name.startsWith(unit))!);
  for (const [i, name] of names.entries()) utimesSync(join(directory, name), 1000 + i, 1000 + i);
  const { size } = statSync(join(directory, names[0]!));
  // What a process that was killed was writing.
  const torn = join(directory, "torn-1.code.77.new");
  writeFileSync(torn, "");
  utimesSync(torn, 500, 500);
  expect(small.load(units[0]!)).toBeDefined();
  // A store looks at what there is when it writes for the first time.
  keep(new CodeStore(directory, 3 * size + 8), 5);
  const left = readdirSync(directory);
  expect(names.map((name) => left.includes(name))).toEqual([true, false, false, true]);
  expect(left).not.toContain("torn-1.code.77.new");
});

/** f and g: add 1 and 2; not to be optimized. */
const TWO = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f, 3, 3, 2, 0, 0],
  ...[0, 20, 16, ...Buffer.from("compilationHints"), 2, 0x15, 0x15],
  ...[7, 9, 2, 1, 0x66, 0, 0, 1, 0x67, 0, 1, 10, 17, 2, 7, 0, 0x20, 0, 0x41, 1, 0x6a, 0x0b],
  ...[7, 0, 0x20, 0, 0x41, 2, 0x6a, 0x0b],
]);

test.runIf(hasTierControl)("of a module's functions those are kept that were optimized where they are", async () => {
  const store = new CodeStore(directory);
  const module = withoutTierUp(() => new WebAssembly.Module(TWO));
  const functions = Object.values(new WebAssembly.Instance(module).exports) as ((x: number) => number)[];
  const results = () => functions.map((run) => [run(1), isOptimized(run)]);
  expect(results()).toEqual([
    [2, false],
    [3, false],
  ]);
  const modules = new MadeModules();
  modules.addQuick(7, { bytes: TWO, module, functions }, store);
  modules.addQuick(8, { bytes: TWO, module, functions }, undefined);
  modules.save();
  expect(readdirSync(directory)).toEqual([]);
  const { unit } = (await modules.optimize(7, 1))!;
  // Another instance, which asks for the same.
  expect(await modules.optimize(8, 1)).toEqual({ unit: undefined });
  expect(await modules.optimize(7, 2)).toBeUndefined();
  expect(await modules.optimize(9, 0)).toBeUndefined();
  expect(results()).toEqual([
    [2, false],
    [3, true],
  ]);
  expect(readdirSync(directory)).toEqual([]);
  modules.save();
  const { length } = readFileSync(join(directory, readdirSync(directory)[0]!));
  expect(unit).toBe(CodeStore.unitOf(TWO));
  await modules.optimize(7, 0);
  modules.release(7);
  modules.release(7);
  expect(readFileSync(join(directory, readdirSync(directory)[0]!)).length).toBeGreaterThan(length);
  expect(await modules.optimize(7, 0)).toBeUndefined();
});

const entry = (text: string, lastUsed: number, unit?: string): CatalogEntry => ({
  ...{ keys: [1, 2, text.length], text, isCut: true, generation: 2, lastUsed },
  code: unit === undefined ? undefined : { unit, index: 3, size: 400 },
});
const plain = (path: string) =>
  readCatalog(path)
    .map(({ keys, text, isCut, generation, lastUsed, code }) => ({ keys, text, isCut, generation, lastUsed, code }))
    .sort((a, b) => (a.text < b.text ? -1 : 1));

test("a catalog comes back; what others added to it stays, what was replaced goes", () => {
  const path = catalogPath(directory, "build");
  expect(readCatalog(path)).toEqual([]);
  const [a, b, c] = [entry("a\u00ff\u0000", 5, "u"), entry("bb", 6), entry("ccc", 7)];
  writeCatalog(path, [a, b], new Set());
  expect(plain(path)).toEqual([a, b]);
  writeCatalog(path, [c, entry("a\u00ff\u0000", 9)], new Set(["bb"]));
  expect(plain(path)).toEqual([{ ...a, lastUsed: 9 }, c]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("a damaged catalog is an empty one; those of few other builds are kept", () => {
  const path = catalogPath(directory, "build");
  writeCatalog(path, [entry("a", 1)], new Set());
  const whole = readFileSync(path);
  for (let at = 0; at < whole.length; at += 7) {
    const damaged = Buffer.from(whole);
    damaged[at]! ^= 1;
    writeFileSync(path, damaged);
    expect(readCatalog(path)).toEqual([]);
  }
  for (let i = 0; i < 6; i++) {
    const other = catalogPath(directory, `other${i}`);
    writeFileSync(other, "");
    utimesSync(other, 1000 + i, 1000 + i);
  }
  writeCatalog(path, [], new Set());
  expect(readdirSync(directory).sort()).toEqual([
    "regions-build",
    "regions-other3",
    "regions-other4",
    "regions-other5",
  ]);
});

test("regions are found again in the next run", async () => {
  const noted = (text: string) => {
    const block = { at: 0x123, bytes: Uint8Array.from(Buffer.from(text)) };
    return { id: 64, request: { blocks: [block], entries: [0] }, isCut: false, generation: 1, replaces: [] } as never;
  };
  const lines: string[] = [];
  const first = new TranslationCache(directory, (line) => lines.push(line));
  first.known.noteInstalled(noted("code"), undefined);
  await first.close();
  const second = new TranslationCache(directory, (line) => lines.push(line));
  const [region] = [...second.known.all];
  expect(region).toMatchObject({ isCut: false, generation: 1, isUsed: false });
  expect(second.known.find(region!.keys[0]!)).toEqual([region]);
  expect(lines).toEqual([]);
  expect(readdirSync(directory)).toEqual([`regions-${buildId()}`]);
});

test("a folder that can't be used costs one line in the log", async () => {
  const file = join(directory, "file");
  writeFileSync(file, "");
  const lines: string[] = [];
  const cache = new TranslationCache(join(file, "below"), (line) => lines.push(line));
  expect([...cache.known.all]).toEqual([]);
  await cache.close();
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^translation cache: .*; going on without$/);
});

test("by default it lies in the user's cache folder", () => {
  expect(defaultTranslationCacheDirectory({ XDG_CACHE_HOME: "/c" })).toBe("/c/xen-ts/translations");
  expect(defaultTranslationCacheDirectory({ XDG_CACHE_HOME: "c" })).toMatch(/\/\.cache\/xen-ts\/translations$/);
});
