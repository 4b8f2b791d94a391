// The compiled regions that records lead to, within a bound on the machine code that V8 holds for them. Regions of one module
// live and die together when room is needed, the least recently used module first, since V8 frees whole modules; those whose
// code bytes change go at once. A region that goes gives its slot back and its entry's record the instruction's own handler.

import { DOUBLE_ZERO } from "../../mmu/double.js";
import { type MachineMemory, PAGE_SIZE } from "../../mmu/machine-memory.js";
import type { CodePage } from "../interpreter/code-cache.js";
import type { HandlerSet } from "../interpreter/handlers.js";
import * as R from "../interpreter/record.js";
import type { PendingRegion } from "./compiler.js";
import type { CodeTier } from "./region-module.js";

/** Machine code and bookkeeping per byte of a body: itself, Liftoff's and TurboFan's code (measured 2.8 and 1.8). */
const CODE_PER_BYTE: Readonly<Record<CodeTier, number>> = { auto: 6, quick: 4, optimized: 3 };
/** What V8 takes for a module and its instance whatever is in them. */
const MODULE_BYTES = 24 * 1024;
/** A sample counts for half as much after so many others (some 300 ms). */
const HALF_LIFE = 2048;

interface Unit {
  readonly regions: Set<InstalledRegion>;
  bytes: number;
  lastUsed: number;
}

/** What a region runs, or several that are the same code. */
export interface RegionCode {
  /** A function of the handlers' signature, and the bytes of its body. */
  readonly run: unknown;
  readonly size: number;
  /** Where the function comes from, and its number there. */
  readonly module: RegionModule;
  readonly index: number;
  /** It was made quickly, and optimized where it is if at all. */
  readonly isQuick: boolean;
  /** Of the machine code that runs. */
  tier: CodeTier;
}

export type Exports = Readonly<Record<string, unknown>>;

/** A module of regions in use, and the exports of its instance. */
export interface RegionModule {
  readonly module: WebAssembly.Module;
  readonly exports: Exports;
}

interface InstalledRegion {
  unit: Unit;
  readonly pending: PendingRegion;
  readonly slot: number;
  readonly records: Uint32Array;
  code: RegionCode;
  readonly since: number;
  /** Samples of instructions that ran in it, or in what it took the place of. */
  ran: number;
  /** The same as of the sample of this number, late ones counting for more. */
  recent: number;
  noted: number;
}

export class InstalledRegions {
  readonly #memory: MachineMemory;
  readonly #handlers: HandlerSet;
  readonly #table: WebAssembly.Table;
  readonly #bound: number;
  readonly #bySlot = new Map<number, InstalledRegion>();
  readonly #byId = new Map<number, InstalledRegion>();
  readonly #byPage = new Map<CodePage, Set<InstalledRegion>>();
  readonly #units = new Set<Unit>();
  /** Samples of instructions that ran in regions. */
  #noted = 0;
  /** Estimate of machine code held. */
  bytes = 0;
  /** Regions dropped to make room. */
  evicted = 0;
  /** A region was lost because its code changed, after so many samples since it was installed. */
  onLost: (page: CodePage, age: number) => void = () => {};
  /** A region was dropped to make room. */
  onEvicted: (id: number) => void = () => {};

  /** `bound`: bytes of machine code. */
  constructor(memory: MachineMemory, handlers: HandlerSet, table: WebAssembly.Table, bound: number) {
    this.#memory = memory;
    this.#handlers = handlers;
    this.#table = table;
    this.#bound = bound;
  }

  get count(): number {
    return this.#bySlot.size;
  }

  /** A region in use by its number. */
  regionOf(id: number): PendingRegion | undefined {
    return this.#byId.get(id)?.pending;
  }

  /** The region in use is waiting for nothing better. */
  isOptimized(id: number): boolean {
    return this.#byId.get(id)?.code.tier === "optimized";
  }

  /** What it runs was made quickly, if optimized since. */
  isQuick(id: number): boolean {
    return this.#byId.get(id)?.code.isQuick ?? false;
  }

  codeOf(id: number): RegionCode | undefined {
    return this.#byId.get(id)?.code;
  }

  /** What this region runs has been optimized where it is. */
  noteOptimized(id: number): void {
    const { code, unit } = this.#byId.get(id)!;
    const bytes = code.size * (CODE_PER_BYTE.optimized - 1);
    code.tier = "optimized";
    unit.bytes += bytes;
    this.bytes += bytes;
  }

  /** Regions that could have better code, installed before this sample, the first ones first. */
  *settled(before: number): Iterable<PendingRegion> {
    for (const { code, since, pending } of this.#byId.values())
      if (code.tier !== "optimized" && since <= before) yield pending;
  }

  /** Counts a sample of instructions that ran in a region. Returns how many there are. */
  noteRan(id: number): number {
    const region = this.#byId.get(id);
    if (!region) return 0;
    this.#noted++;
    region.recent = this.#recent(region) + 1;
    region.noted = this.#noted;
    return ++region.ran;
  }

  /** What has run in a region of late, in samples. */
  recentlyRan(id: number): number {
    const region = this.#byId.get(id);
    return region ? this.#recent(region) : 0;
  }
  #recent({ recent, noted }: InstalledRegion): number {
    return recent * 2 ** ((noted - this.#noted) / HALF_LIFE);
  }

  /** The optimized code of regions in use, and what ran of it, in samples. */
  optimized(): Map<RegionCode, number> {
    const samples = new Map<RegionCode, number>();
    for (const { code, ran } of this.#byId.values())
      if (code.tier === "optimized") samples.set(code, (samples.get(code) ?? 0) + ran);
    return samples;
  }

  /** Bytes of bodies, optimized, that take a quarter of the bound. */
  get mostPacked(): number {
    return this.#bound / 4 / CODE_PER_BYTE.optimized;
  }

  /** Has regions run the same code in another module. */
  move(codes: ReadonlyMap<RegionCode, RegionCode>, now: number): void {
    const unit: Unit = { regions: new Set(), bytes: MODULE_BYTES, lastUsed: now };
    for (const code of codes.values()) unit.bytes += code.size * CODE_PER_BYTE.optimized;
    for (const region of [...this.#byId.values()]) {
      const code = codes.get(region.code);
      if (!code) continue;
      this.#table.set(region.slot, code.run);
      this.#leave(region);
      region.code = code;
      region.unit = unit;
      unit.regions.add(region);
      unit.bytes += region.records.byteLength;
    }
    if (unit.regions.size === 0) return;
    this.#units.add(unit);
    this.bytes += unit.bytes;
    this.#keepBound(unit);
  }

  /** Enters one module's regions. */
  install(regions: readonly { pending: PendingRegion; code: RegionCode }[], now: number): void {
    const unit: Unit = { regions: new Set(), bytes: MODULE_BYTES, lastUsed: now };
    for (const { pending, code } of regions) {
      const slot = this.#takeSlot(unit);
      if (slot === 0) break;
      this.#enter(unit, slot, pending, code, now, code.size * CODE_PER_BYTE[code.tier]);
    }
    this.#keepBound(unit);
  }

  /** Enters a region with the code of one in use that was made of the same request. False when there's no room for it. */
  share(pending: PendingRegion, id: number, now: number): boolean {
    const { unit, code } = this.#byId.get(id)!;
    const slot = this.#takeSlot(unit);
    if (slot === 0) return false;
    unit.lastUsed = now;
    this.#enter(unit, slot, pending, code, now, 0);
    this.#keepBound(unit);
    return true;
  }

  /** `bytes`: of its machine code, when that is new. */
  #enter(unit: Unit, slot: number, pending: PendingRegion, code: RegionCode, now: number, bytes: number): void {
    const { view } = this.#memory;
    const { Never, Inside, Enters } = R.Compiled;
    const { id } = pending;
    let since = now;
    let ran = 0;
    let recent = DOUBLE_ZERO;
    for (const old of pending.replaces) {
      const replaced = this.#byId.get(old);
      if (!replaced) continue;
      ran += replaced.ran;
      recent += this.#recent(replaced);
      if (old === id) since = replaced.since;
      this.#takeOut(replaced);
    }
    const records = Uint32Array.from(pending.records);
    const region = { unit, pending, slot, records, code, since, ran, recent, noted: this.#noted };
    this.#table.set(slot, code.run);
    for (const record of records) {
      const state = view.getUint8(record + R.COMPILED);
      // One that has come to enter another region since this one was planned goes on doing so.
      if (state & Enters) continue;
      view.setUint8(record + R.COMPILED, (state & Never) | Inside);
      view.setUint32(record + R.REGION, id | R.REGION_INSIDE, true);
    }
    for (const [i, { record, at }] of pending.entries.entries()) {
      view.setUint32(record + R.HANDLER, slot, true);
      view.setUint8(record + R.COMPILED, Inside | Enters);
      view.setUint16(record + R.HEAT, 0, true);
      view.setInt32(record + R.ENTRY, (at & ~(PAGE_SIZE - 1)) | (i + 1), true);
      view.setUint32(record + R.REGION, id, true);
    }
    unit.regions.add(region);
    if (!this.#units.has(unit)) {
      this.#units.add(unit);
      this.bytes += unit.bytes;
    }
    unit.bytes += bytes + records.byteLength;
    this.bytes += bytes + records.byteLength;
    this.#bySlot.set(slot, region);
    this.#byId.set(id, region);
    for (const page of pending.pages.keys()) {
      const siblings = this.#byPage.get(page);
      if (siblings) siblings.add(region);
      else this.#byPage.set(page, new Set([region]));
    }
  }

  /** The region at this slot is about to run. */
  touch(slot: number, now: number): void {
    const region = this.#bySlot.get(slot);
    if (region) region.unit.lastUsed = now;
  }

  /** The page's records are stale. */
  forget(page: CodePage, now: number): void {
    const regions = this.#byPage.get(page);
    if (!regions) return;
    let age = 0;
    for (const region of regions) {
      age = Math.max(age, now - region.since);
      this.#takeOut(region);
    }
    this.onLost(page, age);
  }

  /** All records are gone. */
  reset(): void {
    for (const slot of this.#bySlot.keys()) {
      this.#table.set(slot, null);
      this.#handlers.freeRegionSlot(slot);
    }
    this.#bySlot.clear();
    this.#byId.clear();
    this.#byPage.clear();
    this.#units.clear();
    this.bytes = 0;
  }

  /** Room for it isn't made of this unit. */
  #takeSlot(unit: Unit): number {
    const slot = this.#handlers.takeRegionSlot();
    if (slot !== 0) return slot;
    this.#makeRoom(this.bytes * 0.875, unit);
    return this.#handlers.takeRegionSlot();
  }

  /** Room isn't made of this unit. */
  #keepBound(unit: Unit): void {
    if (this.bytes > this.#bound) this.#makeRoom(this.#bound * 0.875, unit);
  }

  #makeRoom(bound: number, except: Unit): void {
    for (const unit of [...this.#units].sort((a, b) => a.lastUsed - b.lastUsed)) {
      if (this.bytes <= bound) return;
      if (unit === except) continue;
      for (const region of unit.regions) {
        this.evicted++;
        this.#takeOut(region);
        this.onEvicted(region.pending.id);
      }
    }
  }

  /** Gives its records back to the interpreter. */
  #takeOut(region: InstalledRegion): void {
    const { view } = this.#memory;
    const { pending, slot, records } = region;
    const { id } = pending;
    for (const record of records) {
      if (view.getUint32(record + R.REGION, true) !== (id | R.REGION_INSIDE) >>> 0) continue;
      view.setUint32(record + R.REGION, 0, true);
      view.setUint8(record + R.COMPILED, 0);
    }
    for (const { record, clone } of pending.entries) {
      if (view.getUint32(record + R.REGION, true) !== id) continue;
      view.setUint32(record + R.REGION, 0, true);
      view.setUint8(record + R.COMPILED, 0);
      view.setUint16(record + R.HEAT, 0, true);
      if (view.getUint32(record + R.HANDLER, true) === slot)
        view.setUint32(record + R.HANDLER, view.getUint32(clone + R.HANDLER, true), true);
    }
    this.#remove(region);
  }

  #remove(region: InstalledRegion): void {
    const { slot, pending } = region;
    this.#table.set(slot, null);
    this.#handlers.freeRegionSlot(slot);
    this.#bySlot.delete(slot);
    this.#byId.delete(pending.id);
    for (const page of pending.pages.keys()) {
      const siblings = this.#byPage.get(page)!;
      siblings.delete(region);
      if (siblings.size === 0) this.#byPage.delete(page);
    }
    this.#leave(region);
  }

  #leave(region: InstalledRegion): void {
    const { unit, records } = region;
    unit.regions.delete(region);
    unit.bytes -= records.byteLength;
    this.bytes -= records.byteLength;
    // Its code stays with the module until the last of its regions goes.
    if (unit.regions.size > 0) return;
    this.#units.delete(unit);
    this.bytes -= unit.bytes;
  }
}
