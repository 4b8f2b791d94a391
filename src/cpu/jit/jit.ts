// Decides what to compile and when. The dispatch loop reports every SAMPLE_INTERVAL dispatches what it runs next: what is
// reported often is hot and still interpreted, or a region that is entered often and may grow. Hot places are compiled in batches, here
// or by a service in the background whose results are installed when they arrive, if the code they were made of is still there.

import { type MachineMemory, PAGE_SIZE } from "../../mmu/machine-memory.js";
import type { EngineObserver } from "../engine-observer.js";
import type { CodeCache, CodePage } from "../interpreter/code-cache.js";
import type { ComputedJumps } from "../interpreter/computed-jumps.js";
import { Slot } from "../interpreter/core-module.js";
import type { HandlerSet } from "../interpreter/handlers.js";
import * as R from "../interpreter/record.js";
import * as S from "../state-layout.js";
import type { PendingRegion, RegionCompiler } from "./compiler.js";
import { type Hot, HotQueue, type Link, MAX_BATCH } from "./hot-queue.js";
import type { Exports, InstalledRegions, RegionCode, RegionModule } from "./installed-regions.js";
import type { CodePlace, KnownRegion, KnownRegions } from "./known-regions.js";
import { RegionLinks } from "./links.js";
import { type Place, placeOf } from "./mapped-code.js";
import { Packing } from "./packing.js";
import { Promotions } from "./promotions.js";
import { Recall } from "./recall.js";
import type { CodeTier, CompiledRegions, RegionService } from "./region-module.js";
import type { RegionRequest } from "./request.js";

/** Samples of a place before its region is compiled. */
const THRESHOLD = 32;
/** The same for a record inside a region: it may only have been met where that region left for a host operation. */
const COVERED_THRESHOLD = 128;
/** Dispatches that are noted around a hot place before it is compiled. */
const NOTED = 2048;
const MAX_THRESHOLD = 0x8000;
/** Code that is lost sooner than this many samples after it was compiled makes its page harder to heat. */
const SHORT_LIFE = 256;
/** Instructions looked back over for the start of a stretch. */
const MAX_STRETCH = 400;
/** Samples that enter a region after which it may grow. */
const GROW = 32;
/** Places that start a batch, and samples that the first of them waits for others at most. */
const BATCH = 8;
const MAX_WAIT = 32;
/** Samples after which a region is unlikely to be extended, and instructions that are optimized at once for later runs. */
const SETTLED = 1024;
const MAX_UNKEPT_INSTRUCTIONS = 400;
const UNKEPT_AT_ONCE = 6;
/** Batches that are being optimized: the next one is at hand when one is done, whatever runs here meanwhile. */
const MAX_OPTIMIZING = 2;
/** Instructions of a region whose code is optimized where it is: others are made anew, in a thread of V8's. */
const MAX_IN_PLACE = 200;
/** Modules of machine code that are held for what may still be recalled of them. */
const MAX_UNITS = 128;
const { Inside, Enters, Waiting, Never, Coming } = R.Compiled;

export interface JitParts {
  readonly memory: MachineMemory;
  readonly cache: CodeCache;
  readonly handlers: HandlerSet;
  readonly computedJumps: ComputedJumps;
  readonly compiler: RegionCompiler;
  readonly installed: InstalledRegions;
  /** Compiles at once. */
  readonly compile: (requests: readonly RegionRequest[]) => CompiledRegions;
  /** The exports of a new instance of a regions' module. */
  readonly instantiate: (module: WebAssembly.Module) => Exports;
  /** Compiles in the background. */
  readonly service?: RegionService | undefined;
  /** Regions of this run and of earlier ones, which are made at once where their code is met. */
  readonly known: KnownRegions;
  readonly log: (line: string) => void;
  readonly observer: () => EngineObserver | undefined;
}

export class Jit {
  readonly #parts: JitParts;
  readonly #queue: HotQueue;
  readonly #links: RegionLinks;
  readonly #promotions: Promotions;
  readonly #recall: Recall;
  readonly #packing: Packing;
  /** Known regions that are to be compiled. */
  #recalled: PendingRegion[] = [];
  /** Modules whose machine code is kept. */
  readonly #units = new Map<string, RegionModule>();
  /** Samples taken, and when the first came that waits to be compiled. */
  #now = 0;
  #since = 0;
  #service: RegionService | undefined;
  /** What is being optimized. */
  readonly #inWork = new Set<KnownRegion>();
  readonly #isInUse = (id: number) => this.#parts.installed.regionOf(id) !== undefined;
  #isBusy = false;
  #optimizing = 0;
  #canOptimizeInPlace = true;
  /** Guests have little to do. */
  #isResting = false;
  #isClosed = false;
  /** Regions installed, their instructions, modules made for them, results that came too late. */
  regions = 0;
  compiledInstructions = 0;
  modules = 0;
  outdated = 0;
  /** Known regions that were made at once, and of those how many had machine code. */
  recalled = 0;
  recalledCode = 0;
  /** Regions that run the code of one in use. */
  shared = 0;

  constructor(parts: JitParts) {
    this.#parts = parts;
    this.#service = parts.service;
    this.#links = new RegionLinks((id) => parts.installed.regionOf(id));
    this.#promotions = new Promotions(parts.installed);
    this.#packing = new Packing(parts.installed, (module, move) => {
      if (!this.#isClosed) move(this.#instanceOf(module), this.#now);
    });
    const { cache, compiler, installed, known, memory } = parts;
    this.#queue = new HotQueue({
      memory,
      compiler,
      prepare: (hot) => this.#prepare(hot),
      takes: (pending) => this.#renews(pending),
    });
    this.#recall = new Recall(memory, compiler, known, (record) => this.#leadsOn(record));
    cache.onForget = (page) => installed.forget(page, this.#now);
    installed.onEvicted = (id) => {
      known.noteEvicted(id);
      // V8 frees the code of modules that nobody holds.
      this.#units.clear();
    };
    installed.onLost = (page, age) => {
      page.backOff = age < SHORT_LIFE ? page.backOff + 1 : 0;
    };
  }

  /** Compiled regions in use, the estimate of their machine code in bytes, and how many were dropped to make room. */
  get installed(): Pick<InstalledRegions, "count" | "bytes" | "evicted"> {
    return this.#parts.installed;
  }

  /** The vCPU whose struct lies at `cpu` is about to run this record. Returns how many dispatches to note. */
  sample(record: number, cpu: number): number {
    this.#now++;
    if (this.#queue.isNoting) {
      this.#parts.computedJumps.collect();
      this.#wait(this.#queue.endNoting());
    }
    const waiting = this.#waiting;
    const isTime = waiting >= BATCH || (waiting > 0 && this.#now - this.#since >= MAX_WAIT);
    if (isTime || this.#queue.isPreparing) this.#compileWaiting();
    const { view } = this.#parts.memory;
    if (view.getUint8(record + R.COMPILED) & Enters) this.#enter(record, cpu);
    else this.#heat(record, cpu);
    return this.#queue.isNoting ? NOTED : 0;
  }

  /** Guests have little to do. */
  rest(): void {
    this.#isResting = true;
    if (this.#queue.isPreparing) this.#compileWaiting();
    this.#optimize();
  }

  /** A slice ended at this record. */
  ran(record: number): void {
    this.#isResting = false;
    if (!this.#service?.hasTiers) return;
    const id = this.#parts.memory.view.getUint32(record + R.REGION, true) & ~R.REGION_INSIDE;
    if (id !== 0) this.#promotions.note(id);
    this.#optimize();
    this.#packing.note(this.#service);
  }

  /** A region that is entered often is short for what runs there. */
  #enter(record: number, cpu: number): void {
    const { installed, memory } = this.#parts;
    const { view } = memory;
    installed.touch(view.getUint32(record + R.HANDLER, true), this.#now);
    this.#link(record, cpu);
    const heat = view.getUint16(record + R.HEAT, true) + 1;
    view.setUint16(record + R.HEAT, Math.min(heat, MAX_THRESHOLD), true);
    const state = view.getUint8(record + R.COMPILED);
    // It's tried again after half as many samples more, and after twice as many: those of two bits.
    const shift = 30 - Math.clz32(heat);
    if (heat < GROW || (heat >> shift) << shift !== heat || heat > MAX_THRESHOLD) return;
    if (state & (Waiting | Coming | Never)) return;
    if (!installed.regionOf(view.getUint32(record + R.REGION, true))?.isCut) return;
    view.setUint8(record + R.RAN, 1);
    this.#found(record, cpu);
  }

  /** The region that the record enters, and the one that control left last, may better be one. */
  #link(record: number, cpu: number): void {
    const { view } = this.#parts.memory;
    const from = view.getUint32(cpu + S.LEFT_REGION, true);
    const to = view.getUint32(record + R.REGION, true);
    if (from === to || from === 0) return;
    const distance = BigInt(view.getInt32(record + R.ENTRY, true) & -PAGE_SIZE);
    const va = BigInt.asUintN(64, view.getBigUint64(cpu + S.PAGE_VA, true) - distance);
    const cluster = this.#links.note(from, view.getBigUint64(cpu + S.LEFT_VA, true), to, va);
    if (!cluster || view.getUint8(record + R.COMPILED) & (Waiting | Coming)) return;
    if (cluster.some(({ region }) => this.#isComing(region))) return;
    this.#links.accept(cluster);
    this.#found(record, cpu, { cluster, from, to });
  }

  #heat(record: number, cpu: number): void {
    const { view } = this.#parts.memory;
    const leader = this.#leader(record);
    if (leader === 0) return;
    // A stretch that leads into a loop need not run again, and then makes no region: the loop itself does.
    const place = view.getUint8(leader + R.COMPILED) & (Enters | Never) ? record : leader;
    const state = view.getUint8(place + R.COMPILED);
    if (state & Never) return;
    const page = this.#parts.cache.pageOfTable(view.getUint32(place + R.PAGE, true));
    if (page?.mode !== 2) return;
    const heat = view.getUint16(place + R.HEAT, true) + 1;
    const needed = (state & Inside ? COVERED_THRESHOLD : THRESHOLD) * 2 ** page.backOff;
    view.setUint16(place + R.HEAT, Math.min(heat, MAX_THRESHOLD), true);
    if (state & (Waiting | Coming)) return;
    // At first, and each time after four times as many samples: not all of a region's pages may have been mapped.
    if ((heat & (heat - 1)) === 0 && Math.clz32(heat) & 1 && this.#recallAt(record, page, cpu)) return;
    if (heat < Math.min(needed, MAX_THRESHOLD)) return;
    view.setUint8(record + R.RAN, 1);
    this.#found(place, cpu);
  }

  /** A region that was known before is made at once. */
  #recallAt(record: number, page: CodePage, cpu: number): boolean {
    // What keeps changing is better left to the interpreter.
    if (page.backOff > 0) return false;
    const observer = this.#parts.observer();
    observer?.begin();
    const pending = this.#recall.find(record, page, placeOf(this.#parts.memory.view, cpu));
    observer?.end("prepare", 1);
    if (!pending) return false;
    this.recalled++;
    if (this.#share(pending)) return true;
    this.#mark(pending, true);
    const place = pending.known?.code;
    const code = place && this.#keptCode(place);
    if (code) {
      this.recalledCode++;
      this.#enterRegions([{ pending, code, place }]);
      return true;
    }
    if (this.#waiting === 0) this.#since = this.#now;
    this.#recalled.push(pending);
    if (this.#service) this.#compileWaiting();
    return true;
  }

  /** A function whose machine code was kept, if it's still there. */
  #keptCode({ unit, index, size }: CodePlace): RegionCode | undefined {
    const module = this.#keptUnit(unit);
    const run = module?.exports[String(index)];
    if (!run || !(this.#service?.hasCode?.(run) ?? true)) return undefined;
    return { run, size, module, index, isQuick: false, tier: "optimized" };
  }
  #keptUnit(unit: string): RegionModule | undefined {
    const held = this.#units.get(unit);
    if (held) return held;
    const module = this.#service?.load?.(unit);
    if (!module) return undefined;
    const kept = this.#instanceOf(module);
    this.#keepUnit(unit, kept);
    return kept;
  }
  #instanceOf(module: WebAssembly.Module): RegionModule {
    this.modules++;
    return { module, exports: this.#parts.instantiate(module) };
  }
  #keepUnit(unit: string, module: RegionModule): void {
    this.#units.set(unit, module);
    if (this.#units.size <= MAX_UNITS) return;
    this.#units.delete(this.#units.keys().next().value!);
  }

  /** A region in use that is the same code: an optimized one if there is, or else another where nothing better is at hand. */
  #twinOf(region: KnownRegion, pending: PendingRegion): number | undefined {
    const { installed, known } = this.#parts;
    let twin: number | undefined;
    for (const id of known.usersOf(region)) {
      if (pending.replaces.includes(id) || !installed.regionOf(id)) continue;
      if (installed.isOptimized(id)) return id;
      twin ??= id;
    }
    const hasBetter = pending.replaces.some((id) => id === pending.id || installed.isOptimized(id));
    return region.code || hasBetter ? undefined : twin;
  }

  /** Enters a region with the code of one in use, as in another domain, if there is such. */
  #share(pending: PendingRegion): boolean {
    const { installed, known } = this.#parts;
    const region = known.of(pending);
    const twin = region && this.#twinOf(region, pending);
    if (twin === undefined || !this.#isValid(pending)) return false;
    const observer = this.#parts.observer();
    observer?.begin();
    const isShared = installed.share(pending, twin, this.#now);
    observer?.end("install", isShared ? 1 : 0);
    if (!isShared) return false;
    this.#links.replace(pending.replaces, pending.id);
    known.noteInstalled({ ...pending, known: region }, undefined);
    this.regions++;
    this.shared++;
    return true;
  }

  /** Others that are the same code as an optimized region run it too. */
  #shareOptimized(pending: PendingRegion): void {
    const { installed, known } = this.#parts;
    const region = known.of(pending);
    if (!region) return;
    for (const id of [...known.usersOf(region)]) {
      const other = installed.regionOf(id);
      if (other && id !== pending.id && !installed.isOptimized(id)) this.#share({ ...other, replaces: [id] });
    }
  }

  #found(record: number, cpu: number, link?: Link): void {
    const { cache, memory } = this.#parts;
    const { view } = memory;
    const page = cache.pageOfTable(view.getUint32(record + R.PAGE, true));
    if (!page) return;
    view.setUint8(record + R.COMPILED, view.getUint8(record + R.COMPILED) | Waiting);
    const place = placeOf(view, cpu);
    // Nothing has to be noted for a link.
    if (link) this.#wait([{ record, page, place, link }]);
    else this.#queue.note({ record, page, place, link });
  }

  /** Places and known regions that wait to be compiled. */
  get #waiting(): number {
    return this.#queue.length + this.#recalled.length;
  }
  #wait(places: readonly Hot[]): void {
    if (this.#waiting === 0) this.#since = this.#now;
    this.#queue.wait(places);
  }

  /** What is to be compiled for a place that comes out of the queue, if it's still worth it. */
  #prepare({ record: found, page, place, link }: Hot): PendingRegion | undefined {
    const { cache, compiler, installed, memory } = this.#parts;
    const { view } = memory;
    let state = view.getUint8(found + R.COMPILED);
    if (view.getUint32(found + R.HANDLER, true) < Slot.First || !(state & Waiting) || !cache.hasRoom) return undefined;
    const record = link ? found : this.#firstThatRan(found);
    view.setUint8(found + R.COMPILED, state & ~Waiting);
    if (record !== found) {
      // What leads into the loop is compiled when it runs: if not the loop's samples come back, it does.
      view.setUint16(found + R.HEAT, 0, true);
      state = record === 0 ? Never : view.getUint8(record + R.COMPILED);
      if (state & ~Coming) view.setUint8(found + R.COMPILED, view.getUint8(found + R.COMPILED) | Never);
      if (state !== 0) return undefined;
    }
    if (link?.cluster.some(({ region }) => installed.regionOf(region.id) !== region || this.#isComing(region)))
      return undefined;
    // Meanwhile another region has come to hold it, or soon will.
    if (state & Coming || (state & (Inside | Enters)) === Inside) {
      const heat = view.getUint16(record + R.HEAT, true);
      if (state & Coming || heat < COVERED_THRESHOLD) {
        view.setUint16(record + R.HEAT, 0, true);
        return undefined;
      }
    }
    const observer = this.#parts.observer();
    observer?.begin();
    const region = state & Enters ? installed.regionOf(view.getUint32(record + R.REGION, true)) : undefined;
    const offset = view.getUint16(record + R.OFFSET, true);
    let pending: PendingRegion | "later" | undefined;
    if (link) pending = compiler.merge(link.cluster, place.va + BigInt(offset), place);
    else if (region) pending = compiler.grow(region, page, place, view.getUint16(record + R.HEAT, true));
    else pending = compiler.prepare(page, offset, place);
    observer?.end("prepare", 1);
    if (pending === "later") return undefined;
    if (!pending && link) this.#links.refuse(link.from, link.to);
    else if (!pending && region) for (const entry of region.entries) this.#refuse(entry.record);
    else if (!pending) this.#refuse(record);
    if (!pending || this.#share(pending)) return undefined;
    this.#mark(pending, true);
    return pending;
  }

  /** Whether a region takes the place of an optimized one, which runs on until it is optimized itself. */
  #renews(pending: PendingRegion): boolean {
    const isRenewal = pending.replaces.some((id) => this.#parts.installed.isOptimized(id));
    if (isRenewal) this.#promotions.renew(pending);
    return isRenewal;
  }

  /** No region begins here, or the one that does isn't to grow. */
  #refuse(record: number): void {
    const { view } = this.#parts.memory;
    view.setUint8(record + R.COMPILED, view.getUint8(record + R.COMPILED) | Never);
  }

  /** Something that takes the region's place is being compiled. */
  #isComing({ entries }: PendingRegion): boolean {
    const { view } = this.#parts.memory;
    return entries.some(({ record }) => view.getUint8(record + R.COMPILED) & Coming);
  }

  /** Notes in a region's records whether it is on its way. */
  #mark({ entries, records }: PendingRegion, coming: boolean): void {
    const { view } = this.#parts.memory;
    const mark = (record: number) => {
      const state = view.getUint8(record + R.COMPILED);
      view.setUint8(record + R.COMPILED, coming ? state | Coming : state & ~Coming);
    };
    for (const { record } of entries) mark(record);
    for (const record of records) mark(record);
  }

  #compileWaiting(): void {
    if (this.#isBusy) return;
    const isLater = this.#service !== undefined;
    const recalled = this.#recalled.splice(0, MAX_BATCH);
    const batch = recalled.length > 0 ? recalled : this.#queue.nextBatch(isLater ? MAX_BATCH : BATCH, isLater);
    this.#since = this.#now;
    if (!this.#queue.isPreparing) this.#optimize();
    if (batch.length === 0) return;
    if (!this.#service) {
      this.#compileHere(batch);
      return;
    }
    this.#isBusy = true;
    this.#compileElsewhere(this.#service, batch, this.#service.hasTiers ? "quick" : "auto", () => {
      this.#isBusy = false;
      this.#compileWaiting();
    });
  }

  /** Has the next regions optimized that it is time for. */
  #optimize(): void {
    if (this.#optimizing >= MAX_OPTIMIZING || !this.#service) return;
    let batch = this.#nextToOptimize();
    // Nobody has anything to do: what later runs begin with is made. While a guest runs, its own code would wait for that.
    const isIdle = this.#optimizing === 0 && !this.#isBusy;
    if (batch.length === 0 && this.#isResting && this.#service.keepsCode && isIdle) {
      batch = this.#unkept();
      if (batch.length === 0) this.#keepOthers(this.#service);
    }
    batch = this.#optimizeInPlace(this.#service, batch);
    if (batch.length === 0) return;
    for (const pending of batch) this.#mark(pending, true);
    const kinds = batch.flatMap((pending) => this.#parts.known.of(pending) ?? []);
    this.#optimizing++;
    this.#compileElsewhere(this.#service, batch, "optimized", () => {
      this.#optimizing--;
      this.#promotions.done(batch);
      for (const kind of kinds) this.#inWork.delete(kind);
      this.#optimize();
    });
  }

  /** Has regions' code optimized where it is. Returns those that are better compiled anew. */
  #optimizeInPlace(service: RegionService, batch: readonly PendingRegion[]): PendingRegion[] {
    let left = 0;
    const others = batch.filter((pending) => {
      const code = this.#parts.installed.codeOf(pending.id);
      const isBetterAnew = pending.size > MAX_IN_PLACE || code?.tier !== "quick";
      if (isBetterAnew || !service.optimize || !this.#canOptimizeInPlace) return true;
      const kind = this.#parts.known.of(pending);
      left++;
      service.optimize(code.module.module, code.index, (result) => {
        if (this.#isClosed) return;
        if (result) this.#noteOptimized(pending, code, kind, result.unit);
        else this.#canOptimizeInPlace = false;
        this.#promotions.done([pending]);
        if (kind) this.#inWork.delete(kind);
        if (--left > 0) return;
        this.#optimizing--;
        this.#optimize();
      });
      return false;
    });
    if (left > 0) this.#optimizing++;
    return others;
  }

  #noteOptimized(
    pending: PendingRegion,
    code: RegionCode,
    kind: KnownRegion | undefined,
    unit: string | undefined,
  ): void {
    const { index, module, size } = code;
    if (unit !== undefined) {
      this.#keepUnit(unit, module);
      if (kind) kind.code = { unit, index, size };
    }
    if (this.#parts.installed.codeOf(pending.id) !== code) return;
    this.#parts.installed.noteOptimized(pending.id);
    this.#shareOptimized(pending);
  }

  /** One of each kind: the others will share its code. */
  #nextToOptimize(): PendingRegion[] {
    return this.#promotions.take().filter((pending) => {
      const kind = this.#parts.known.of(pending);
      const isWanted = !(kind && this.#inWork.has(kind)) && !this.#share(pending);
      if (isWanted && kind) this.#inWork.add(kind);
      if (!isWanted) this.#promotions.done([pending]);
      return isWanted;
    });
  }

  /** Regions whose best machine code isn't kept yet, and which have been of use for a while. */
  #unkept(): PendingRegion[] {
    const { installed } = this.#parts;
    const batch: PendingRegion[] = [];
    let instructions = 0;
    for (const pending of installed.settled(this.#now - SETTLED)) {
      if (instructions > 0 && instructions + pending.size > MAX_UNKEPT_INSTRUCTIONS) break;
      instructions += pending.size;
      batch.push({ ...pending, replaces: [pending.id] });
    }
    return batch;
  }

  /** The same for regions whose code has gone since: that of a process that ended, of the kernel's beginnings. */
  #keepOthers(service: RegionService): void {
    const others = this.#parts.known.takeUnkept(UNKEPT_AT_ONCE, this.#isInUse);
    if (others.length === 0) return;
    this.#optimizing++;
    const requests = others.map((known) => this.#recall.requestOf(known));
    service.compile(requests, "optimized", (result) => {
      if (this.#isClosed) return;
      this.#optimizing--;
      if (result instanceof Error) return;
      const { unit, sizes } = result;
      for (const [index, known] of others.entries())
        if (unit !== undefined) known.code ??= { unit, index, size: sizes[index]! };
      this.#optimize();
    });
  }

  #compileElsewhere(service: RegionService, batch: readonly PendingRegion[], tier: CodeTier, done: () => void): void {
    const { generation } = this.#parts.cache;
    const requests = batch.map(({ request }) => request);
    service.compile(requests, tier, (result) => {
      if (this.#isClosed) return;
      const isCurrent = generation === this.#parts.cache.generation;
      if (result instanceof Error) {
        if (this.#service)
          this.#parts.log(`jit: compiling in the background failed, going on without: ${result.message}`);
        this.#service = undefined;
        if (isCurrent) this.#compileHere([...batch, ...this.#promotions.renewed.splice(0)]);
      } else if (isCurrent) this.#install(batch, result, tier);
      else this.outdated += batch.length;
      done();
    });
  }

  #compileHere(batch: readonly PendingRegion[]): void {
    const observer = this.#parts.observer();
    observer?.begin();
    const compiled = this.#parts.compile(batch.map(({ request }) => request));
    observer?.end("compile", batch.length);
    this.#install(batch, compiled, "auto");
  }

  /** Makes those regions of a batch run whose code has not changed since they were prepared. */
  #install(batch: readonly PendingRegion[], { module, sizes, unit }: CompiledRegions, tier: CodeTier): void {
    if (unit === undefined && !batch.some((pending) => this.#isValid(pending))) {
      for (const pending of batch) this.#mark(pending, false);
      this.outdated += batch.length;
      return;
    }
    const made = this.#instanceOf(module);
    if (unit !== undefined) this.#keepUnit(unit, made);
    this.#enterRegions(
      batch.map((pending, index) => {
        const size = sizes[index]!;
        const place = unit === undefined ? undefined : { unit, index, size };
        const code = { run: made.exports[String(index)], size, module: made, index, isQuick: tier === "quick", tier };
        return { pending, code, place };
      }),
    );
  }

  #enterRegions(batch: readonly { pending: PendingRegion; code: RegionCode; place: CodePlace | undefined }[]): void {
    const { installed, known } = this.#parts;
    const regions = batch.filter(({ pending }) => this.#isValid(pending));
    for (const { pending } of batch) this.#mark(pending, false);
    const observer = this.#parts.observer();
    observer?.begin();
    installed.install(regions, this.#now);
    for (const { pending } of regions) this.#links.replace(pending.replaces, pending.id);
    observer?.end("install", regions.length);
    for (const { pending, place } of regions) known.noteInstalled(pending, place);
    for (const { pending, code } of regions) if (code.tier === "optimized") this.#shareOptimized(pending);
    if (known.numbers > 2 * installed.count + 64) known.prune(this.#isInUse);
    this.regions += regions.length;
    this.outdated += batch.length - regions.length;
    for (const { pending } of regions) this.compiledInstructions += pending.size;
  }

  /** A change of any code byte has made all records of its page stale; records are never used again before a drop. */
  #isValid({ entries, id, records, replaces }: PendingRegion): boolean {
    const { installed, memory } = this.#parts;
    const { view } = memory;
    // Better code for a region that isn't there any more.
    if (replaces.includes(id) && !installed.regionOf(id)) return false;
    const isStale = (record: number) => view.getUint32(record + R.HANDLER, true) === Slot.Stale;
    return !entries.some(({ record }) => isStale(record)) && !records.some(isStale);
  }

  /** The first record of the straight stretch that `record` lies in; 0 when it's no instruction. */
  #leader(record: number): number {
    if (this.#parts.memory.view.getUint32(record + R.HANDLER, true) < Slot.First) return 0;
    let at = record;
    for (let i = 0; i < MAX_STRETCH && this.#leadsOn(at - R.RECORD_SIZE); i++) at -= R.RECORD_SIZE;
    return at;
  }

  /** Where control came into the stretch that begins here: the head of a loop behind code that no longer runs. 0: it didn't. */
  #firstThatRan(start: number): number {
    const { view } = this.#parts.memory;
    for (let at = start, i = 0; i <= MAX_STRETCH; i++, at += R.RECORD_SIZE) {
      if (view.getUint8(at + R.RAN)) return at;
      if (!this.#leadsOn(at)) break;
    }
    return 0;
  }

  /** Whether the record behind this one is the next instruction, and always runs after it. */
  #leadsOn(record: number): boolean {
    const { memory, handlers } = this.#parts;
    const { view } = memory;
    const next = record + R.RECORD_SIZE;
    const slot = view.getUint32(record + R.HANDLER, true);
    if (slot < Slot.First || handlers.branches(slot)) return false;
    if (view.getUint32(next + R.HANDLER, true) < Slot.First) return false;
    if (view.getUint32(record + R.PAGE, true) !== view.getUint32(next + R.PAGE, true)) return false;
    const end = view.getUint16(record + R.OFFSET, true) + view.getUint8(record + R.LENGTH);
    return end === view.getUint16(next + R.OFFSET, true);
  }

  /** Compiles the region at a page offset now, whatever its heat, with code that has not run yet; for tests. */
  compileAt(page: CodePage, offset: number, place: Place): boolean {
    const pending = this.#parts.compiler.prepare(page, offset, place, true);
    if (pending) this.#install([pending], this.#parts.compile([pending.request]), "auto");
    return pending !== undefined;
  }

  /** All code was dropped. */
  reset(): void {
    this.#queue.clear();
    this.#recalled = [];
    this.#parts.known.reset();
    this.#promotions.reset();
    this.#links.reset();
    this.#parts.computedJumps.reset();
    this.#parts.compiler.reset();
    this.#parts.installed.reset();
  }

  /** What is still being compiled is not wanted any more. */
  close(): void {
    this.#isClosed = true;
    this.#queue.clear();
    this.#recalled = [];
  }
}
