// The regions that were worth compiling in earlier runs, in one file for each build of xen-ts: what cpu/jit/known-regions.ts begins
// with. A header (JSON) has what is needed to find a region; requests lie behind it and are read when they are asked for.

import { readdirSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { CodePlace, KnownRegion } from "../cpu/jit/known-regions.js";
import { readChecked, writeChecked } from "./code-store.js";

/** A region as it goes to a file. */
export interface CatalogEntry {
  readonly keys: readonly number[];
  readonly text: string;
  readonly isCut: boolean;
  readonly generation: number;
  readonly code: CodePlace | undefined;
  /** Seconds since 1970. */
  readonly lastUsed: number;
}

interface Header {
  readonly regions: readonly (Omit<CatalogEntry, "text"> & { readonly length: number })[];
}

/** Bytes of the requests; beyond, the least recently used go. Files of other builds that are kept. */
const MAX_BYTES = 12 * 1024 * 1024;
const MAX_OTHERS = 3;
const PREFIX = "regions-";

export const catalogPath = (directory: string, build: string): string => join(directory, PREFIX + build);

/** One of the file. */
export class CatalogRegion implements KnownRegion {
  readonly keys: readonly number[];
  readonly isCut: boolean;
  readonly generation: number;
  code: CodePlace | undefined;
  isUsed = false;
  readonly lastUsed: number;
  #text: string | Buffer;

  constructor({ keys, isCut, generation, code, lastUsed }: Omit<CatalogEntry, "text">, text: Buffer) {
    this.keys = keys;
    this.isCut = isCut;
    this.generation = generation;
    this.code = code;
    this.lastUsed = lastUsed;
    this.#text = text;
  }

  get text(): string {
    if (typeof this.#text !== "string") this.#text = this.#text.toString();
    return this.#text;
  }
}

/** Nothing when there's no file, or it is damaged. Other errors of the file system are thrown. */
export function readCatalog(path: string): CatalogRegion[] {
  const content = readChecked(path);
  if (!content) return [];
  let at = 4 + content.readUInt32LE(0);
  const { regions } = JSON.parse(content.toString("utf8", 4, at)) as Header;
  return regions.map((region) => new CatalogRegion(region, content.subarray(at, (at += region.length))));
}

/** Replaces the file: by these, and by those that others have added to it since. `removed`: texts of entries that are no longer wanted. */
export function writeCatalog(path: string, entries: readonly CatalogEntry[], removed: ReadonlySet<string>): void {
  const all = new Map<string, CatalogEntry>();
  for (const entry of readCatalog(path)) if (!removed.has(entry.text)) all.set(entry.text, entry);
  for (const entry of entries) {
    const other = all.get(entry.text);
    all.set(entry.text, { ...entry, code: entry.code ?? other?.code });
  }
  const kept: Buffer[] = [];
  const regions: Header["regions"][number][] = [];
  let bytes = 0;
  for (const { text, keys, isCut, generation, code, lastUsed } of [...all.values()].sort(
    (a, b) => b.lastUsed - a.lastUsed,
  )) {
    const packed = Buffer.from(text);
    bytes += packed.length;
    if (bytes > MAX_BYTES) break;
    kept.push(packed);
    regions.push({ keys, isCut, generation, code, lastUsed, length: packed.length });
  }
  const header = Buffer.from(JSON.stringify({ regions } satisfies Header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  writeChecked(path, [length, header, ...kept]);
  removeOthers(path);
}

function removeOthers(path: string): void {
  const directory = dirname(path);
  readdirSync(directory)
    .filter((name) => name.startsWith(PREFIX) && name !== basename(path))
    .map((name) => ({ name, used: statSync(join(directory, name), { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .sort((a, b) => b.used - a.used)
    .slice(MAX_OTHERS)
    .forEach(({ name }) => {
      rmSync(join(directory, name), { force: true });
    });
}
