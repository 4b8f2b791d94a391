// Prepares a region for compilation: chooses its entries, gives them copies for the interpreter, and describes it as plain data.

import { type MachineMemory, PAGE_SIZE } from "../../mmu/machine-memory.js";
import type { CodeCache, CodePage } from "../interpreter/code-cache.js";
import { Slot } from "../interpreter/core-module.js";
import type { Predecoder } from "../interpreter/predecoder.js";
import * as R from "../interpreter/record.js";
import type { KnownRegion } from "./known-regions.js";
import { MappedCode, type Place } from "./mapped-code.js";
import { type Block, type Exit, limitsFor, type Region, type RegionFinder } from "./region.js";
import type { BlockRequest, Edge, RegionRequest } from "./request.js";

export interface RegionEntry {
  readonly record: number;
  /** The record's copy for the interpreter. */
  readonly clone: number;
  /** Distance from the region's first page. */
  readonly at: number;
}

/** A region on its way through emission. */
export interface PendingRegion {
  readonly request: RegionRequest;
  /** Address of its pool (request.ts): a number of its own until all records go. */
  readonly id: number;
  /** The interpreter's records of all blocks, in their order. */
  readonly records: readonly number[];
  /** Its pages, with how far they lie from the first one. */
  readonly pages: ReadonlyMap<CodePage, number>;
  /** In the order of the request's. */
  readonly entries: readonly RegionEntry[];
  /** Record that was found hot. */
  readonly entryRecord: number;
  /** Numbers of the regions that it takes the place of, and how many generations came before. */
  readonly replaces: readonly number[];
  readonly generation: number;
  /** There was more than it could hold. */
  readonly isCut: boolean;
  /** Instructions. */
  readonly size: number;
  /** It was found among these (recall.ts). */
  readonly known?: KnownRegion | undefined;
}

/** A region, and the address of its first page where it was seen running. */
export interface RunningRegion {
  readonly region: PendingRegion;
  readonly va: bigint;
}

/** Instructions of a region at first, and of one that turned out to be entered often: TurboFan takes far more for large functions. */
const FIRST_SIZE = 64;
const GROWN_SIZE = 500;
/** Beyond these a region isn't extended by another entry any more. */
const MAX_GENERATION = 3;
const MAX_EXTENDED = 400;
/** Regions become one up to so many instructions, with a sample of what that is for per so many instructions that have to be compiled anew. */
export const MAX_WHOLE = 1600;
export const INSTRUCTIONS_PER_SAMPLE = 3;
/** Instructions of an extended region, at most, and by how many one is extended where another one's code is to come in. */
export const MAX_MERGED = 2000;
export const EXTENSION = 100;
/** Part of the blocks and entries of merged regions that the new one may do without. */
const MAX_LOST = 1 / 16;
/** Words of a pool. */
const MAX_POOL = 0x2000;
/** Records of an entry's copy, at most. */
const RECORDS_OF_CLONE = 3;
/** Between pages of one region. */
const MAX_DISTANCE = 0x4000_0000;

export class RegionCompiler {
  readonly #memory: MachineMemory;
  readonly #cache: CodeCache;
  readonly #finder: RegionFinder;
  readonly #mapped: MappedCode;
  readonly #predecoder: Predecoder;
  readonly #regionOf: (id: number) => PendingRegion | undefined;
  /** By a record that enters, or entered, a region: its copy for the interpreter. */
  readonly #clones = new Map<number, number>();

  /** `regionOf` gives a region in use by its number. */
  constructor(
    memory: MachineMemory,
    cache: CodeCache,
    finder: RegionFinder,
    predecoder: Predecoder,
    regionOf: (id: number) => PendingRegion | undefined,
  ) {
    this.#memory = memory;
    this.#cache = cache;
    this.#mapped = new MappedCode(memory, cache);
    this.#finder = finder;
    this.#predecoder = predecoder;
    this.#regionOf = regionOf;
  }

  /** Instructions that were looked at for all regions, found or not. */
  get searched(): number {
    return this.#finder.searched;
  }

  /** All records are gone. */
  reset(): void {
    this.#clones.clear();
  }

  /** What compiling the region takes, as data for `emitRegion`, here or in another thread. `ahead`: with code that has not run yet. */
  prepare(page: CodePage, offset: number, place: Place, ahead = false): PendingRegion | undefined {
    const { view } = this.#memory;
    const record = this.#cache.recordAt(page, offset);
    if (record === 0 || view.getUint8(record + R.COMPILED) & R.Compiled.Enters) return undefined;
    if (view.getUint32(record + R.HANDLER, true) < Slot.First || !this.#cache.hasRoom) return undefined;
    const interpreted = (of: number) => this.#interpreted(of);
    // Inside a region, or next to one.
    const inside = this.#regionOf(view.getUint32(record + R.REGION, true) & ~R.REGION_INSIDE);
    const known = this.#extend(inside, page, offset, place, ahead);
    if (known) return known;
    const around = { page: (distance: number) => this.#pageAt(page, place, distance), ahead, interpreted };
    const found = this.#finder.find(around, [offset], limitsFor(ahead ? GROWN_SIZE : FIRST_SIZE));
    if (!found || found.instructionCount < 2) return undefined;
    return this.#extend(this.#overlapping(found), page, offset, place, ahead) ?? this.#plan(found, record, []);
  }

  /** A region with one more entry, when that works out. */
  #extend(
    old: PendingRegion | undefined,
    page: CodePage,
    offset: number,
    place: Place,
    ahead: boolean,
  ): PendingRegion | undefined {
    const shift = old?.pages.get(page);
    if (!old || shift === undefined || !this.#canExtend(old)) return undefined;
    const interpreted = (of: number) => this.#interpreted(of);
    const around = { page: (distance: number) => this.#pageAt(page, place, distance - shift), ahead, interpreted };
    const limit = limitsFor(ahead ? GROWN_SIZE : Math.min(old.size + FIRST_SIZE, GROWN_SIZE));
    const extended = this.#finder.find(around, [...old.entries.map(({ at }) => at), offset + shift], limit);
    const record = this.#cache.recordAt(page, offset);
    return extended && extended.entries.length > old.entries.length ? this.#plan(extended, record, [old]) : undefined;
  }

  /**
   * A region with what lies around it too, and with the regions that have most of that already, once so many samples speak for it.
   * Undefined when that isn't much, "later" when it may work out after more samples. `page`: one of its pages, at `place`.
   */
  grow(old: PendingRegion, page: CodePage, place: Place, samples: number): PendingRegion | "later" | undefined {
    const shift = old.pages.get(page);
    if (shift === undefined || !old.isCut || !this.#cache.hasRoom) return undefined;
    const interpreted = (of: number) => this.#interpreted(of);
    const around = { page: (at: number) => this.#pageAt(page, place, at - shift), ahead: false, interpreted };
    const entries = old.entries.map(({ at }) => at);
    const grown = this.#finder.find(around, entries, limitsFor(GROWN_SIZE));
    if (!grown || grown.instructionCount < 1.25 * old.size) return undefined;
    const { coming, regions } = this.#held(grown, old);
    if (2 * coming >= grown.instructionCount) return "later";
    if (regions.length === 0) return this.#plan(grown, old.entryRecord, [old]);
    const most = regions.reduce((sum, { region }) => sum + region.size, grown.instructionCount);
    if (most > MAX_WHOLE || samples < most / INSTRUCTIONS_PER_SAMPLE) return "later";
    for (const { region, shift: by } of regions) entries.push(...region.entries.map(({ at }) => at + by));
    const limits = { ...limitsFor(most), entries: most, leaders: most };
    const whole = this.#finder.find(around, [...new Set(entries)], limits);
    return whole && this.#plan(whole, old.entryRecord, [old, ...regions.map(({ region }) => region)]);
  }
  /** How many instructions of what was found are being compiled, and other regions that share much of it: with how far they lie off. */
  #held(found: Region, but: PendingRegion): { coming: number; regions: { region: PendingRegion; shift: number }[] } {
    const { view } = this.#memory;
    let coming = 0;
    const shared = new Map<number, { count: number; shift: number }>();
    for (const { instructions } of found.blocks) {
      for (const { at, page } of instructions) {
        const record = this.#cache.recordAt(page, at & (PAGE_SIZE - 1));
        if (view.getUint8(record + R.COMPILED) & R.Compiled.Coming) coming++;
        const id = view.getUint32(record + R.REGION, true) & ~R.REGION_INSIDE;
        const known = shared.get(id);
        const distance = this.#regionOf(id)?.pages.get(page);
        if (known) known.count++;
        else if (distance !== undefined) shared.set(id, { count: 1, shift: distanceOf(at) - distance });
      }
    }
    const regions = [...shared].flatMap(([id, { count, shift }]) => {
      const region = this.#regionOf(id)!;
      return region !== but && 2 * count >= Math.min(found.instructionCount, region.size) ? [{ region, shift }] : [];
    });
    return { coming, regions };
  }
  #canExtend({ generation, size }: PendingRegion): boolean {
    return generation < MAX_GENERATION && size <= MAX_EXTENDED;
  }

  /**
   * Several regions as one, or one region with more of what surrounds it, and with the code at `target`. Undefined when that does
   * not work out. `place`: the page of that.
   */
  merge(cluster: readonly RunningRegion[], target: bigint, place: Place): PendingRegion | undefined {
    if (!this.#cache.hasRoom) return undefined;
    const { va: base } = cluster[0]!;
    const pages = new Map<number, CodePage>();
    const starts = new Set<number>();
    const way = Number(BigInt.asIntN(64, target - base));
    if (Math.abs(way) > MAX_DISTANCE) return undefined;
    const entries = new Set<number>([way]);
    let size = cluster.length > 1 ? 0 : EXTENSION;
    for (const { region, va } of cluster) {
      size += region.size;
      const shift = Number(BigInt.asIntN(64, va - base));
      if (Math.abs(shift) > MAX_DISTANCE) return undefined;
      for (const [page, distance] of region.pages) pages.set(distance + shift, page);
      for (const { at } of region.request.blocks) starts.add(at + shift);
      for (const { at } of region.entries) entries.add(at + shift);
    }
    const interpreted = (of: number) => this.#interpreted(of);
    const page = (distance: number) => pages.get(distance) ?? this.#mapped.pageAt(place, base + BigInt(distance));
    const instructions = Math.max(GROWN_SIZE, size + EXTENSION);
    const limits = { instructions, entries: MAX_MERGED, leaders: MAX_MERGED, pages: pages.size + 8 };
    // What they were cut off from comes last.
    const around = { page, ahead: false, interpreted, first: starts };
    const found = this.#finder.find(around, [...entries], limits);
    const old = cluster.map(({ region }) => region);
    return found && hasMost(found, starts, entries, way) ? this.#plan(found, old[0]!.entryRecord, old) : undefined;
  }

  /**
   * A region as it was known before, where the same code stands: `page` lies `distance` from its first one. Undefined when that isn't
   * so, or a page of it isn't mapped now.
   */
  revive(
    known: KnownRegion,
    request: RegionRequest,
    page: CodePage,
    distance: number,
    place: Place,
  ): PendingRegion | undefined {
    if (!this.#cache.hasRoom) return undefined;
    const frames = new Map<number, number>();
    const frameAt = (at: number) => {
      const known = frames.get(at);
      if (known !== undefined) return known;
      const frame = at === distance ? page.frame : this.#mapped.frameAt(place, place.va + BigInt(at - distance));
      frames.set(at, frame);
      return frame;
    };
    if (!holds(this.#memory.u8, request, frameAt)) return undefined;
    // Pages whose code wasn't met yet need a table of words by offset.
    if (!this.#cache.hasRoomFor(0, frames.size * PAGE_SIZE)) return undefined;
    const pageAt = (at: number) => {
      const frame = frameAt(at);
      return frame < 0 ? undefined : this.#cache.page(frame, page.mode);
    };
    const record = (at: number) => this.#decoded(at, pageAt);
    const records: number[] = [];
    const pages = new Map<CodePage, number>();
    for (const { at: start, bytes, count, crosses } of request.blocks) {
      let at = start;
      for (let i = 0; i < count; i++) {
        const found = record(at);
        if (found === 0) return undefined;
        records.push(this.#interpreted(found));
        at += this.#memory.view.getUint8(found + R.LENGTH);
      }
      if (at !== start + bytes.length) return undefined;
      pages.set(pageAt(distanceOf(start))!, distanceOf(start));
      if (crosses >= 0) pages.set(pageAt(distanceOf(start) + PAGE_SIZE)!, distanceOf(start) + PAGE_SIZE);
    }
    const pool = new Pool(records);
    const fits = request.blocks.every(
      ({ at, bytes, crosses, fallThrough, target, returnTo, jumps, behindCalls }) =>
        [fallThrough, target, returnTo, ...jumps, ...behindCalls].every(
          (edge) =>
            !edge ||
            ((edge.record < 0 || pool.isAt(edge.record, record(edge.at))) &&
              (edge.table < 0 || pool.isAt(edge.table, pageAt(distanceOf(edge.at))?.table ?? 0))),
        ) &&
        (crosses < 0 || pool.isAt(crosses, pageAt(distanceOf(at + bytes.length - 1))?.table ?? 0)),
    );
    if (!fits || !this.#cache.hasRoomFor(RECORDS_OF_CLONE * request.entries.length, pool.length)) return undefined;
    const entries = request.entries.map((block): RegionEntry => {
      const { at } = request.blocks[block]!;
      const entered = record(at);
      return { record: entered, clone: this.#clone(pageAt(distanceOf(at))!, at & (PAGE_SIZE - 1), entered), at };
    });
    // An entry's record was not yet the interpreter's copy of it.
    for (const [i, each] of records.entries()) pool.set(i, (records[i] = this.#interpreted(each)));
    return {
      request,
      id: pool.write(this.#cache),
      records,
      pages,
      entries,
      entryRecord: entries[0]!.record,
      replaces: [],
      generation: known.generation,
      isCut: known.isCut,
      size: records.length,
      known,
    };
  }

  /** The record of the instruction at a distance, if there is one that a region may hold; else 0. */
  #decoded(at: number, pageAt: (distance: number) => CodePage | undefined): number {
    const start = distanceOf(at);
    const page = pageAt(start);
    if (!page || !this.#cache.hasRoom) return 0;
    const next = () => pageAt(start + PAGE_SIZE);
    const found = this.#cache.recordAt(page, at - start) || this.#predecoder.decode(page, at - start, next);
    if (found === 0) return 0;
    const { view } = this.#memory;
    const record = this.#interpreted(found);
    const slot = view.getUint32(record + R.HANDLER, true);
    if (slot === Slot.Crossing) return next()?.table === view.getUint32(record + R.LINK, true) ? found : 0;
    return slot < Slot.First ? 0 : found;
  }

  #interpreted(record: number): number {
    return this.#clones.get(record) ?? record;
  }

  /** The page at a distance from a place's own. */
  #pageAt(page: CodePage, place: Place, distance: number): CodePage | undefined {
    return distance === 0 ? page : this.#mapped.pageAt(place, place.va + BigInt(distance));
  }

  /** A region that has much of what was found, so that one more entry serves better than the same code once more. */
  #overlapping(found: Region): PendingRegion | undefined {
    const shared = new Map<number, number>();
    for (const { instructions } of found.blocks) {
      for (const { at, page } of instructions) {
        const record = this.#interpreted(this.#cache.recordAt(page, at & (PAGE_SIZE - 1)));
        const id = this.#memory.view.getUint32(record + R.REGION, true) & ~R.REGION_INSIDE;
        if (id !== 0) shared.set(id, (shared.get(id) ?? 0) + 1);
      }
    }
    for (const [id, count] of shared) {
      const region = this.#regionOf(id);
      if (!region || !this.#canExtend(region)) continue;
      if (2 * count >= Math.min(found.instructionCount, region.size)) return region;
    }
    return undefined;
  }

  /** Undefined when there's no room for it. */
  #plan(region: Region, entryRecord: number, old: readonly PendingRegion[]): PendingRegion | undefined {
    if (!this.#cache.hasRoomFor(RECORDS_OF_CLONE * region.entries.length, mostWords(region))) return undefined;
    const index = new Map(region.blocks.map((block, i) => [block, i]));
    const record = (page: CodePage, at: number) => this.#cache.recordAt(page, at & (PAGE_SIZE - 1));
    const entries = region.entries.map(({ page, at }): RegionEntry => {
      const entered = record(page, at);
      return { record: entered, clone: this.#clone(page, at & (PAGE_SIZE - 1), entered), at };
    });
    const records = region.blocks.flatMap(({ page, instructions }) =>
      instructions.map(({ at }) => this.#interpreted(record(page, at))),
    );
    const pool = new Pool(records);
    const edge = (from: Block, exit: Exit | undefined): Edge | undefined => {
      if (!exit) return undefined;
      const { at, block } = exit;
      const near = distanceOf(from.at) === distanceOf(at);
      return {
        at,
        block: block ? index.get(block)! : -1,
        record: near && !block ? pool.placeOf(record(from.page, at)) : -1,
        table: block && !near ? pool.placeOf(block.page.table) : -1,
      };
    };
    let place = 0;
    const { u8 } = this.#memory;
    const blocks = region.blocks.map((block): BlockRequest => {
      const { at, page, instructions } = block;
      const last = instructions.at(-1)!;
      const start = page.frame * PAGE_SIZE + (at & (PAGE_SIZE - 1));
      const returnTo = edge(block, block.returnTo);
      const fallThrough = edge(block, block.fallThrough);
      const first = place;
      place += instructions.length;
      return {
        at,
        bytes: last.crosses ? this.#crossing(block) : u8.slice(start, start + last.at + last.length - at),
        count: instructions.length,
        records: first,
        crosses: last.crosses ? pool.placeOf(last.crosses.table) : -1,
        // An instruction that crosses has looked at its second page.
        fallThrough: last.crosses && fallThrough ? { ...fallThrough, table: -1 } : fallThrough,
        target: edge(block, block.target),
        jumps: block.jumps.map((jump) => edge(block, jump)!),
        behindCalls: block.behindCalls.map((to) => edge(block, { at: to.at, block: to })!),
        // The page returned to was run in this very call of the region.
        returnTo: returnTo && { ...returnTo, table: -1 },
      };
    });
    const pages = new Map(region.blocks.map(({ page, at }) => [page, distanceOf(at)]));
    for (const { at, instructions } of region.blocks) {
      const { crosses } = instructions.at(-1)!;
      if (crosses) pages.set(crosses, distanceOf(at) + PAGE_SIZE);
    }
    return {
      request: { blocks, entries: region.entries.map((block) => index.get(block)!) },
      id: pool.write(this.#cache),
      records,
      pages,
      entries,
      entryRecord,
      replaces: old.map(({ id }) => id),
      generation: Math.max(-1, ...old.map(({ generation }) => generation)) + 1,
      isCut: region.isCut,
      size: region.instructionCount,
      known: undefined,
    };
  }

  /** The bytes of a block whose last instruction crosses into the next page. */
  #crossing({ at, page, instructions }: Block): Uint8Array {
    const { u8 } = this.#memory;
    const { at: last, length, crosses } = instructions.at(-1)!;
    const bytes = new Uint8Array(last + length - at);
    const here = PAGE_SIZE - (at & (PAGE_SIZE - 1));
    bytes.set(u8.subarray((page.frame + 1) * PAGE_SIZE - here, (page.frame + 1) * PAGE_SIZE));
    bytes.set(u8.subarray(crosses!.frame * PAGE_SIZE, crosses!.frame * PAGE_SIZE + bytes.length - here), here);
    return bytes;
  }

  /**
   * A copy of an entry's record for the interpreter, followed by a jump to the instruction behind it. That of an instruction that
   * crosses into the next page is one of its guard and of the record behind that.
   */
  #clone(page: CodePage, offset: number, record: number): number {
    const known = this.#clones.get(record);
    if (known !== undefined) return known;
    const { linear, view } = this.#memory;
    const isGuard = view.getUint32(record + R.HANDLER, true) === Slot.Crossing;
    const owners = [page, isGuard && this.#cache.pageOfTable(view.getUint32(record + R.LINK, true))];
    const clone = this.#cache.newRecord();
    const last = isGuard ? this.#cache.newRecord() : clone;
    linear.copyWithin(clone, record, record + (last - clone) + R.RECORD_SIZE);
    for (let copy = clone; copy <= last; copy += R.RECORD_SIZE) {
      view.setUint8(copy + R.COMPILED, R.Compiled.Inside);
      for (const owner of owners) if (owner) owner.records.push(copy);
    }
    const after = this.#cache.newRecord();
    view.setUint32(after + R.HANDLER, Slot.Goto, true);
    view.setUint16(after + R.OFFSET, offset + view.getUint8(record + R.LENGTH), true);
    view.setUint32(after + R.PAGE, page.table, true);
    view.setUint32(after + R.LINK, 0, true);
    page.records.push(after);
    this.#clones.set(record, clone);
    return clone;
  }
}

/** What a region's code takes from memory: records, and behind them record tables and records that edges lead to. */
class Pool {
  readonly #words: number[];
  readonly #places = new Map<number, number>();

  constructor(records: readonly number[]) {
    this.#words = [...records];
  }

  /** The place of a record or a table, -1 for 0. */
  placeOf(address: number): number {
    if (address === 0) return -1;
    const known = this.#places.get(address);
    if (known !== undefined) return known;
    this.#places.set(address, this.#words.length);
    return this.#words.push(address) - 1;
  }

  /** Puts an address at a place, if there isn't another one. */
  isAt(place: number, address: number): boolean {
    if (address === 0 || place >= MAX_POOL) return false;
    this.#words[place] ??= address;
    return this.#words[place] === address;
  }
  get length(): number {
    return this.#words.length;
  }
  set(place: number, address: number): void {
    this.#words[place] = address;
  }

  /** Returns its address. */
  write(cache: CodeCache): number {
    return cache.store(this.#words);
  }
}

/** Words of a region's pool, at most. */
function mostWords({ blocks }: Region): number {
  // Beside records, of each way one record or table: target, next instruction, return, and a page that is crossed into.
  return blocks.reduce((sum, { instructions, jumps, behindCalls }) => {
    return sum + instructions.length + jumps.length + behindCalls.length + 4;
  }, 0);
}

/** Whether a request's code stands in these pages. */
function holds(u8: Uint8Array, { blocks }: RegionRequest, frameAt: (distance: number) => number): boolean {
  for (const { at, bytes } of blocks) {
    for (let i = 0; i < bytes.length; ) {
      const start = distanceOf(at + i);
      const frame = frameAt(start);
      if (frame < 0) return false;
      const end = Math.min(bytes.length, start + PAGE_SIZE - at);
      for (let from = frame * PAGE_SIZE + at - start; i < end; i++) if (u8[from + i] !== bytes[i]) return false;
    }
  }
  return true;
}

function distanceOf(at: number): number {
  return Math.floor(at / PAGE_SIZE) * PAGE_SIZE;
}

/** Whether what was found has `way` and nearly all of these blocks and entries (distances): else something has changed, or it's too much. */
function hasMost(found: Region, starts: ReadonlySet<number>, entries: ReadonlySet<number>, way: number): boolean {
  const blocks = new Set(starts);
  const others = new Set(entries);
  for (const { instructions } of found.blocks) for (const { at } of instructions) blocks.delete(at);
  for (const { at } of found.entries) others.delete(at);
  return !others.has(way) && blocks.size + others.size <= (starts.size + entries.size) * MAX_LOST;
}
