// What a run used of the kept machine code, put together in one file for the next run. It was made in hundreds of modules of a few regions
// each; a guest that goes from one to the other all the time takes up to twice as long when they are spread that widely.

import { CodePack, canPack } from "./code-pack.js";
import type { CodeStore } from "./code-store.js";
import type { CatalogEntry } from "./region-catalog.js";

/** Modules that are few enough. */
export const MAX_UNITS = 64;
/** Bytes of machine code in one. */
const MAX_BYTES = 16 * 1024 * 1024;

/** The entries, those that were used last with their code in one unit; as they are where it's in few already, or can't be put together. */
export function packUsed(store: CodeStore, entries: readonly CatalogEntry[]): readonly CatalogEntry[] {
  const last = entries.reduce((latest, { lastUsed }) => Math.max(latest, lastUsed), 0);
  const byUnit = new Map<string, CatalogEntry[]>();
  for (const entry of entries) {
    if (!entry.code || entry.lastUsed < last) continue;
    const others = byUnit.get(entry.code.unit);
    if (others) others.push(entry);
    else byUnit.set(entry.code.unit, [entry]);
  }
  if (!canPack || byUnit.size <= MAX_UNITS) return entries;
  const pack = new CodePack();
  const places = new Map<CatalogEntry, number>();
  for (const [unit, users] of byUnit) {
    const content = store.read(unit);
    if (!content || pack.bytes > MAX_BYTES) continue;
    const numbers = pack.add(
      content,
      users.map(({ code }) => code!.index),
    );
    for (const [i, number] of numbers.entries()) if (number !== undefined) places.set(users[i]!, number);
  }
  if (pack.count === 0) return entries;
  const unit = store.write(pack.finish());
  const packed = entries.map((entry) => {
    const index = places.get(entry);
    return index === undefined ? entry : { ...entry, code: { unit, index, size: entry.code!.size } };
  });
  const left = new Set(packed.map(({ code }) => code?.unit));
  for (const old of byUnit.keys()) if (!left.has(old)) store.remove(old);
  return packed;
}
