// Which regions become one because control goes back and forth between them.

import { expect, test } from "vitest";
import type { PendingRegion } from "../../../src/cpu/jit/compiler.js";
import { RegionLinks } from "../../../src/cpu/jit/links.js";

/** Regions of so many instructions, by number; each one's first page is that of its number, or of the first one that it replaced. */
function links(sizes: Record<number, number>, generations: Readonly<Record<number, number>> = {}) {
  const regions = new Map<number, PendingRegion>();
  const add = (id: number, size: number) =>
    regions.set(id, { size, generation: generations[id] ?? 0, id } as PendingRegion);
  for (const [id, size] of Object.entries(sizes)) add(Number(id), size);
  const known = new RegionLinks((id) => regions.get(id));
  const places = new Map<number, bigint>();
  const place = (id: number) => places.get(id) ?? BigInt(id) << 12n;
  /** Samples until something comes of it, and what. */
  const note = (from: number, to: number, times = 5000): [number, number[]] | undefined => {
    for (let i = 1; i <= times; i++) {
      const cluster = known.note(from, place(from), to, place(to));
      if (!cluster) continue;
      known.accept(cluster);
      return [i, cluster.map(({ region }) => region.id)];
    }
    return undefined;
  };
  const replace = (old: readonly number[], by: number, size: number) => {
    for (const id of old) regions.delete(id);
    add(by, size);
    places.set(by, place(old[0]!));
    known.replace(old, by);
  };
  return { known, note, replace, place };
}

test("two regions become one when samples speak for what compiling them anew takes", () => {
  const { note } = links({ 1: 300, 2: 60 });
  expect(note(1, 2)).toEqual([120, [1, 2]]);
  expect(links({ 1: 10, 2: 10 }).note(1, 2)![0]).toBe(24);
});

test("what is linked with them comes along, and its samples count", () => {
  const { note } = links({ 1: 300, 2: 60, 3: 60, 4: 60, 5: 1500 });
  expect(note(2, 3, 20)).toBeUndefined();
  expect(note(1, 4, 9)).toBeUndefined();
  expect(note(1, 5, 30)).toBeUndefined();
  expect(note(1, 2)).toEqual([120, [1, 2, 3]]);
});

test("where both are too much for one region the first is extended, later where it has been before", () => {
  expect(links({ 1: 1400, 2: 300 }).note(1, 2)).toEqual([504, [1]]);
  for (const generation of [2, 6])
    expect(links({ 1: 1400, 2: 300 }, { 1: generation }).note(1, 2)).toEqual([1504, [1]]);
  expect(links({ 1: 1950, 2: 300 }).note(1, 2)).toBeUndefined();
});

test("samples stay when regions have become another one", () => {
  const { note, replace } = links({ 1: 300, 2: 60, 3: 60, 4: 30 });
  expect(note(2, 3, 30)).toBeUndefined();
  expect(note(4, 1, 40)).toBeUndefined();
  replace([1, 2], 7, 330);
  expect(note(7, 3)).toEqual([106, [7, 3]]);
  expect(note(4, 7, 100)).toEqual([80, [4, 7]]);
});

test("a region that runs at another address begins anew; what was refused isn't tried again", () => {
  const { known, note, place } = links({ 1: 30, 2: 30 });
  expect(note(1, 2, 23)).toBeUndefined();
  known.note(1, place(9), 2, place(2));
  expect(note(1, 2, 23)).toBeUndefined();
  known.refuse(1, 2);
  expect(note(1, 2)).toBeUndefined();
});
