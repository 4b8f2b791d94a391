// What is optimized next, and when; and the section that tells V8 so.

import { expect, test } from "vitest";
import { Decoder } from "../../../src/cpu/decode/decoder.js";
import { DEFAULT_FEATURES } from "../../../src/cpu/features.js";
import type { PendingRegion } from "../../../src/cpu/jit/compiler.js";
import { Promotions } from "../../../src/cpu/jit/promotions.js";
import { type CodeTier, emitRegions } from "../../../src/cpu/jit/region-module.js";
import type { RegionRequest } from "../../../src/cpu/jit/request.js";
import { semantics } from "../../../src/cpu/semantics/index.js";

/** Regions of so many instructions, by number. */
function promotions(sizes: Readonly<Record<number, number>>) {
  const ran = new Map<number, number>();
  const optimized = new Set<number>();
  const quick = new Set<number>();
  const gone = new Set<number>();
  const recent = new Map<number, number>();
  const promoted = new Promotions({
    recentlyRan: (id) => recent.get(id) ?? ran.get(id) ?? 0,
    regionOf: (id) => (gone.has(id) ? undefined : ({ size: sizes[id], id } as PendingRegion)),
    isOptimized: (id) => optimized.has(id),
    isQuick: (id) => quick.has(id),
    noteRan: (id) => {
      if (gone.has(id)) return 0;
      ran.set(id, (ran.get(id) ?? 0) + 1);
      return ran.get(id)!;
    },
  });
  const note = (id: number, times: number) => {
    for (let i = 0; i < times; i++) promoted.note(id);
  };
  const take = () => promoted.take().map(({ id, replaces }) => [id, ...replaces]);
  const renew = (id: number) => promoted.renew({ size: 500, id, replaces: [100 + id] } as unknown as PendingRegion);
  const done = (id: number) => promoted.done([{ id } as PendingRegion]);
  return { note, take, renew, done, optimized, quick, gone, recent };
}

test("what runs most for each of its instructions comes first, in small lots", () => {
  const { note, take } = promotions({ 1: 100, 2: 100, 3: 10, 4: 500, 5: 10 });
  note(1, 10);
  note(2, 20);
  note(3, 8);
  note(4, 60);
  note(5, 8);
  expect(take()).toEqual([
    [3, 3],
    [5, 5],
    [2, 2],
  ]);
  expect(take()).toEqual([[4, 4]]);
  expect(take()).toEqual([[1, 1]]);
  expect(take()).toEqual([]);
});

test("a large region needs more samples; what is optimized or gone needs nothing", () => {
  const { note, take, optimized, gone } = promotions({ 1: 10, 2: 500, 3: 10 });
  note(1, 1);
  note(2, 5);
  expect(take()).toEqual([]);
  note(1, 1);
  note(2, 1);
  expect(take()).toEqual([[1, 1]]);
  expect(take()).toEqual([[2, 2]]);
  optimized.add(1);
  note(1, 50);
  note(3, 50);
  gone.add(3);
  note(3, 50);
  expect(take()).toEqual([]);
});

test("what was taken isn't taken again before it's done, however often it runs", () => {
  const { note, take, done } = promotions({ 1: 10, 2: 10 });
  note(1, 10);
  expect(take()).toEqual([[1, 1]]);
  note(1, 10);
  note(2, 10);
  expect(take()).toEqual([[2, 2]]);
  expect(take()).toEqual([]);
  // It couldn't be installed.
  done(1);
  note(1, 1);
  expect(take()).toEqual([[1, 1]]);
});

test("what was optimized as quick code and runs on is made anew", () => {
  const { note, take, optimized, quick } = promotions({ 1: 100, 2: 100 });
  for (const id of [1, 2]) optimized.add(id);
  quick.add(1);
  note(1, 255);
  note(2, 600);
  expect(take()).toEqual([]);
  note(1, 300);
  expect(take()).toEqual([[1, 1]]);
  expect(take()).toEqual([]);
  // It couldn't be installed.
  note(1, 300);
  expect(take()).toEqual([[1, 1]]);
});

test("what was hot before waits for what is hot now", () => {
  const { note, take, recent } = promotions({ 1: 100, 2: 100 });
  note(1, 50);
  note(2, 10);
  recent.set(1, 3);
  expect(take()).toEqual([[2, 2]]);
  expect(take()).toEqual([[1, 1]]);
});

test("what takes an optimized one's place comes when that runs twice as much as what never was, and some time", () => {
  const { note, take, renew, recent } = promotions({ 1: 100, 2: 100 });
  // In place of 110 to 112, of 500 instructions.
  for (const id of [10, 11, 12]) renew(id);
  recent.set(110, 90).set(111, 250);
  note(1, 20);
  note(2, 10);
  const order = Array.from({ length: 6 }, () => take()[0]?.join());
  expect(order).toEqual(["11,111", "1,1", "2,2", "10,110", "12,112", undefined]);
});

test("a module for the optimizing compiler says so for each function, behind their types; any engine runs it", () => {
  const block = { at: 0, bytes: Uint8Array.of(0x90), records: 0, count: 1, crosses: -1 };
  const ways = {
    fallThrough: { at: 1, block: -1, record: 1, table: -1 },
    target: undefined,
    returnTo: undefined,
    jumps: [],
    behindCalls: [],
  };
  const request: RegionRequest = { blocks: [{ ...block, ...ways }], entries: [0] };
  const decoder = new Decoder({ features: DEFAULT_FEATURES });
  const bytes = (tier: CodeTier) => emitRegions([request, request], decoder, semantics, tier).bytes;
  const [quick, optimized] = [Buffer.from(bytes("quick")), Buffer.from(bytes("optimized"))];
  const plain = Buffer.from(bytes("auto"));
  const section = (hint: number) =>
    Buffer.concat([Buffer.from([0, 20, 16]), Buffer.from("compilationHints"), Buffer.from([2, hint, hint])]);
  const at = optimized.indexOf(section(0x2a));
  expect(at).toBeGreaterThan(0);
  expect(quick.indexOf(section(0x15))).toBe(at);
  for (const hinted of [quick, optimized])
    expect(Buffer.concat([hinted.subarray(0, at), hinted.subarray(at + section(0).length)])).toEqual(plain);
  // Behind section 3 with two functions' types.
  expect([...optimized.subarray(at - 5, at - 2)]).toEqual([3, 3, 2]);
  expect(() => new WebAssembly.Module(optimized)).not.toThrow();
});
