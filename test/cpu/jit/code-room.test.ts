// Regions at the very end of the area that decoded code has: records, their copies for the interpreter and pools must not run over the
// record tables, which lie at the other end.

import { expect, test } from "vitest";
import { ComputedJumps } from "../../../src/cpu/interpreter/computed-jumps.js";
import * as R from "../../../src/cpu/interpreter/record.js";
import { RegionCompiler } from "../../../src/cpu/jit/compiler.js";
import { placeOf } from "../../../src/cpu/jit/mapped-code.js";
import { RegionFinder } from "../../../src/cpu/jit/region.js";
import { CODE, Tier } from "./tiers.js";

const ENTRIES = 1500;

/** A machine whose code page is decoded, where all instructions were seen running. */
function machine() {
  const tier = new Tier(false);
  const bytes = new Uint8Array(ENTRIES + 1).fill(0x90);
  bytes[ENTRIES] = 0xf4;
  tier.load({ bytes, starts: [] }, new Array(16).fill(0n));
  tier.cpu.run(ENTRIES);
  const { cache, handlers, predecoder } = tier.cpu.engine;
  const page = cache.page(CODE >> 12, 2);
  for (const record of page.records) tier.memory.view.setUint8(record + R.RAN, 1);
  const finder = new RegionFinder(tier.memory, cache, handlers, predecoder, new ComputedJumps(tier.memory));
  const compiler = new RegionCompiler(tier.memory, cache, finder, predecoder, () => undefined);
  const place = { ...placeOf(tier.memory.view, tier.cpu.state.base), va: BigInt(CODE) };
  const first = compiler.prepare(page, 0, place)!;
  return { tier, cache, page, place, compiler, first };
}

/** A merge of regions that are entered at each instruction. */
function mergeAll({ cache, page, place, compiler, first }: ReturnType<typeof machine>) {
  const entries = Array.from({ length: ENTRIES }, (_, at) => ({ record: cache.recordAt(page, at), clone: 0, at }));
  const region = { ...first, entries, size: ENTRIES };
  return compiler.merge([{ region, va: BigInt(CODE) }], BigInt(CODE + 1), place);
}

test("a large region takes thousands of records where there is room", () => {
  const here = machine();
  const before = here.cache.bytesUsed;
  expect(mergeAll(here)?.entries).toHaveLength(ENTRIES);
  expect(here.cache.bytesUsed - before).toBeGreaterThan(2 * ENTRIES * R.RECORD_SIZE);
});

test("it isn't made where there is none, and the record tables stay what they were", () => {
  const twin = machine();
  let taken = 0;
  for (; twin.cache.hasRoom; taken++) twin.cache.newRecord();
  const here = machine();
  const { cache, page, tier } = here;
  for (let i = 1; i < taken; i++) cache.newRecord();
  expect(cache.hasRoom).toBe(true);
  const table = tier.memory.linear.subarray(page.table, page.table + 4096 * 4);
  const before = table.slice();
  expect(mergeAll(here)).toBeUndefined();
  expect(Buffer.compare(table, before)).toBe(0);
});

test("what finds no room says so", () => {
  const { cache } = machine();
  expect(() => {
    for (let i = 0; i < 1e6; i++) cache.newRecord();
  }).toThrow(RangeError);
  expect(() => cache.page(1, 2)).toThrow(RangeError);
  expect(() => cache.store(new Array(17).fill(1))).toThrow(RangeError);
});
