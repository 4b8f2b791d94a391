// Regions that were worth compiling before, in this run or an earlier one, found by the bytes that a hot place consists of. What a
// region was extended or merged to takes its place here too. Hints all of them: before one is used all of its bytes are compared
// (compiler.ts, revive).

import { PAGE_SIZE } from "../../mmu/machine-memory.js";
import { packRequest } from "./packed-request.js";
import type { BlockRequest, RegionRequest } from "./request.js";

/** Where a service keeps a region's best machine code: the name of a module, the number of its function and the bytes of its body. */
export interface CodePlace {
  readonly unit: string;
  readonly index: number;
  readonly size: number;
}

export interface KnownRegion {
  /** Of its blocks (keyOf). */
  readonly keys: readonly number[];
  /** Its request by `packRequest`. */
  readonly text: string;
  readonly isCut: boolean;
  readonly generation: number;
  code: CodePlace | undefined;
  /** In this run. */
  isUsed: boolean;
}

/** A region that is in use from now on (PendingRegion). */
interface NewRegion {
  readonly id: number;
  readonly request: RegionRequest;
  readonly replaces: readonly number[];
  readonly isCut: boolean;
  readonly generation: number;
  readonly known?: KnownRegion | undefined;
}

/** Characters of the regions found in this run that are remembered at most, and regions that begin alike. */
const MAX_TEXT = 12 * 1024 * 1024;
const MAX_ALIKE = 8;
/** A block's first bytes. */
const KEY_BYTES = 4;

/** Of code at a page offset whose bytes begin at `start`. */
export function keyOf(offset: number, bytes: Uint8Array, start: number): number {
  // Behind the end there is nothing, which counts as zero.
  const word = bytes[start]! | (bytes[start + 1]! << 8) | (bytes[start + 2]! << 16) | (bytes[start + 3]! << 24);
  return (Math.imul(word, 0x9e3779b1) ^ Math.imul(offset, 0x85ebca6b)) >>> 2;
}

const keyOfBlock = ({ at, bytes }: BlockRequest): number => keyOf(at & (PAGE_SIZE - 1), bytes, 0);

function keysOf(blocks: readonly BlockRequest[]): number[] {
  return [...new Set(blocks.filter(({ bytes }) => bytes.length >= KEY_BYTES).map(keyOfBlock))];
}

/** What isn't known is asked for 160,000 times in a boot: bits of keys that say so before the map does. */
const FILTER_SIZE = 0x10000;
const NONE: readonly KnownRegion[] = [];

export class KnownRegions {
  readonly #filter = new Uint8Array(FILTER_SIZE);
  readonly #byKey = new Map<number, KnownRegion[]>();
  readonly #byText = new Map<string, KnownRegion>();
  /** By the number of a region in use. */
  readonly #byId = new Map<number, KnownRegion>();
  /** The other way around. */
  readonly #users = new Map<KnownRegion, Set<number>>();
  readonly #all = new Set<KnownRegion>();
  readonly #tried = new WeakSet<KnownRegion>();
  /** Since takeUnkept found nothing more some region has come, or gone out of use. */
  #hasChanged = true;
  /** Characters of #byText's. */
  #characters = 0;

  /** `earlier`: of earlier runs. */
  constructor(earlier: Iterable<KnownRegion> = []) {
    for (const region of earlier) this.#add(region);
  }

  get all(): Iterable<KnownRegion> {
    return this.#all;
  }

  /** Those with a block that may begin like this. */
  find(key: number): readonly KnownRegion[] {
    return this.#filter[key & (FILTER_SIZE - 1)] === 0 ? NONE : (this.#byKey.get(key) ?? NONE);
  }

  /** The next ones of this run that are not in use any more and have no code yet; each is given once. */
  takeUnkept(most: number, isInUse: (id: number) => boolean): KnownRegion[] {
    const taken: KnownRegion[] = [];
    this.prune(isInUse);
    // Asked at each wake-up of an idle host.
    if (!this.#hasChanged) return taken;
    const inUse = new Set(this.#byId.values());
    for (const known of this.#all) {
      if (known.code || !known.isUsed || this.#tried.has(known) || inUse.has(known)) continue;
      this.#tried.add(known);
      if (taken.push(known) === most) return taken;
    }
    this.#hasChanged = false;
    return taken;
  }

  get numbers(): number {
    return this.#byId.size;
  }
  /** Forgets the numbers of regions that are no longer in use. */
  prune(isInUse: (id: number) => boolean): void {
    for (const id of this.#byId.keys()) if (!isInUse(id)) this.#forgetId(id);
  }
  #forgetId(id: number): void {
    const known = this.#byId.get(id);
    if (!known) return;
    this.#byId.delete(id);
    const users = this.#users.get(known)!;
    users.delete(id);
    if (users.size === 0) this.#users.delete(known);
    this.#hasChanged = true;
  }
  #use(id: number, known: KnownRegion): void {
    this.#forgetId(id);
    this.#byId.set(id, known);
    const users = this.#users.get(known);
    if (users) users.add(id);
    else this.#users.set(known, new Set([id]));
    this.#hasChanged = true;
  }

  /** Numbers of the regions that are this one, in several domains as a rule; some may have gone. */
  usersOf(known: KnownRegion): Iterable<number> {
    return this.#users.get(known) ?? [];
  }
  /** What a region is that is in use, or is to be. */
  of({ id, request, known }: NewRegion): KnownRegion | undefined {
    const own = known ?? this.#byId.get(id);
    if (own) return own;
    // Requests are rarely worth being packed for this.
    const alike = this.find(keyOfBlock(request.blocks[0]!)).filter((each) => this.#users.has(each));
    if (alike.length === 0) return undefined;
    const text = packRequest(request);
    return alike.find((each) => each.text === text);
  }

  /** A region is in use from now on. */
  noteInstalled(pending: NewRegion, code: CodePlace | undefined): void {
    const { id, request, isCut, generation } = pending;
    for (const old of pending.replaces) {
      const known = this.#byId.get(old);
      if (!known || old === id) continue;
      this.#forgetId(old);
      this.#remove(known);
    }
    let known = pending.known ?? this.#byId.get(id);
    if (!known) {
      const text = packRequest(request);
      known = this.#byText.get(text);
      if (!known) {
        known = { keys: keysOf(request.blocks), text, isCut, generation, code: undefined, isUsed: true };
        this.#byText.set(text, known);
        this.#characters += text.length;
        this.#add(known);
      }
    }
    known.isUsed = true;
    if (code) known.code = code;
    this.#use(id, known);
    while (this.#characters > MAX_TEXT) this.#remove(this.#byText.values().next().value!);
  }

  #add(region: KnownRegion): void {
    this.#all.add(region);
    for (const key of region.keys) {
      this.#filter[key & (FILTER_SIZE - 1)] = 1;
      const alike = this.#byKey.get(key);
      if (!alike) this.#byKey.set(key, [region]);
      else if (alike.length < MAX_ALIKE) alike.push(region);
      else alike[alike.indexOf(alike.find(({ isUsed }) => !isUsed) ?? alike[0]!)] = region;
    }
  }

  /** There was no room for a region: in this run it's made anew when it's hot again, else those that don't fit would chase each other. */
  noteEvicted(id: number): void {
    const known = this.#byId.get(id);
    this.#forgetId(id);
    if (known) this.#hide(known);
  }

  #remove(region: KnownRegion): void {
    if (!this.#all.delete(region)) return;
    if (this.#byText.delete(region.text)) this.#characters -= region.text.length;
    this.#hide(region);
  }

  /** It isn't found any more. */
  #hide(region: KnownRegion): void {
    for (const key of region.keys) {
      const alike = this.#byKey.get(key);
      if (!alike) continue;
      const at = alike.indexOf(region);
      if (at >= 0) alike.splice(at, 1);
      if (alike.length === 0) this.#byKey.delete(key);
    }
  }

  /** No region is in use. */
  reset(): void {
    this.#byId.clear();
    this.#users.clear();
    this.#hasChanged = true;
  }
}
