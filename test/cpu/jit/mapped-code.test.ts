// What is mapped around a place: the code TLB's pages, and those of the page tables that it has no room for.

import { expect, test } from "vitest";
import { MappedCode, placeOf } from "../../../src/cpu/jit/mapped-code.js";
import { CODE_TLB_ENTRIES } from "../../../src/cpu/tlb-layout.js";
import { CODE, Tier } from "./tiers.js";

const PAGE = 4096;
/** A page directory, a page table and a directory of large pages of a second gigabyte's and a third's. */
const [DIRECTORY, TABLE, LARGE, POINTERS] = [0x28000, 0x29000, 0x2a000, 0x2b000] as const;
/** Present, accessed; writable; no execution; a large page. */
const [PA, RW, NX, PS] = [0x21n, 2n, 1n << 63n, 0x80n] as const;
const ROOT = 0x2c000;
/** Linear addresses above, in the upper half. */
const TOP = 0xffff_8000_0000_0000n;

function machine() {
  const tier = new Tier(false);
  tier.load({ bytes: new Uint8Array([0x90, 0xf4]), starts: [] }, new Array(16).fill(0n));
  tier.cpu.run(1);
  const { view, ramBase } = tier.memory;
  const entry = (table: number, index: number, value: bigint) =>
    view.setBigUint64(ramBase + table + 8 * index, value, true);
  entry(ROOT, 256, BigInt(POINTERS) | PA | RW);
  entry(POINTERS, 0, BigInt(DIRECTORY) | PA | RW);
  entry(POINTERS, 1, BigInt(LARGE) | PA | RW);
  entry(DIRECTORY, 0, BigInt(TABLE) | PA | RW);
  entry(LARGE, 0, PA | PS);
  entry(LARGE, 1, 0x4000_0000n | PA | PS);
  const { cache } = tier.cpu.engine;
  const { state } = tier.cpu;
  const place = { ...placeOf(view, state.base), root: ROOT };
  return {
    tier,
    cache,
    place,
    mapped: new MappedCode(tier.memory, cache),
    page: (index: number, value: bigint) => entry(TABLE, index, value),
  };
}

test("a page that the code TLB has", () => {
  const { tier, cache, mapped, place } = machine();
  expect(placeOf(tier.memory.view, tier.cpu.state.base)).toEqual({ ...place, root: 0x1000, va: BigInt(CODE) });
  expect(mapped.pageAt({ ...place, root: 0x3f000 }, BigInt(CODE))).toBe(cache.page(CODE / PAGE, 2));
});

test("a page whose entry in the code TLB another one took", () => {
  const { mapped, place, page } = machine();
  const index = CODE / PAGE;
  page(index, BigInt(CODE) | PA);
  // It shares the entry of CODE itself.
  expect((Number((TOP >> 12n) & 0xfffn) + index) % CODE_TLB_ENTRIES).toBe(index);
  const at = TOP + BigInt(index * PAGE);
  expect(mapped.pageAt(place, at)).toBeUndefined();
  expect(mapped.frameAt(place, at)).toBe(index);
});

test("a page that no code of was met has a frame, and nothing is made of it", () => {
  const { cache, mapped, place, page } = machine();
  page(3, 0x30000n | PA | RW);
  const before = cache.pageCount;
  expect(mapped.frameAt(place, TOP + 0x3000n)).toBe(0x30);
  expect(mapped.pageAt(place, TOP + 0x3000n)).toBeUndefined();
  expect(cache.pageCount).toBe(before);
});

test("a large page has the frame of the part that is asked for", () => {
  const { mapped, place } = machine();
  expect(mapped.frameAt(place, TOP + 0x4000_0000n + 0x12000n)).toBe(0x12);
});

test.each([
  ["not present", 0x30000n | (PA & ~1n)],
  ["never looked at", 0x30000n | 1n],
  ["not to be executed", 0x30000n | PA | NX],
  ["of reserved bits", 0x30000n | PA | (1n << 45n)],
  ["beyond the memory", 0x4000_0000n | PA],
])("a page that is %s has none", (_, value) => {
  const { mapped, place, page } = machine();
  page(3, value);
  expect(mapped.frameAt(place, TOP + 0x3000n)).toBe(-1);
  expect(mapped.pageAt(place, TOP + 0x3000n)).toBeUndefined();
});

test("tables beyond the memory, large pages beyond it and addresses that aren't canonical have none", () => {
  const { mapped, place } = machine();
  expect(mapped.frameAt({ ...place, root: 0x7fff_f000 }, TOP)).toBe(-1);
  expect(mapped.frameAt(place, TOP + 0x4000_0000n + 0x20_0000n)).toBe(-1);
  expect(mapped.frameAt(place, 0x8000_0000_0000n)).toBe(-1);
  expect(mapped.frameAt(place, TOP - 0x1000n)).toBe(-1);
});
