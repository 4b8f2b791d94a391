// Compiles a region to a Wasm module with one function of the handlers' signature, and enters it in the dispatch table: the
// entry's record then runs the region as if it were one long instruction.

import { type MachineMemory, PAGE_SIZE } from "../../mmu/machine-memory.js";
import type { Decoder } from "../decode/decoder.js";
import type { SemanticsTable } from "../emit/emitter.js";
import type { CodeCache, CodePage } from "../interpreter/code-cache.js";
import { Slot } from "../interpreter/core-module.js";
import type { HandlerSet } from "../interpreter/handlers.js";
import type { Predecoder } from "../interpreter/predecoder.js";
import * as R from "../interpreter/record.js";
import { emitRegion } from "./emit-region.js";
import type { Region, RegionFinder } from "./region.js";
import type { Edge, RegionRequest } from "./request.js";

/** A region on its way through emission. */
export interface PendingRegion {
  readonly page: CodePage;
  readonly entry: number;
  readonly entryRecord: number;
  readonly region: Region;
  readonly request: RegionRequest;
}

export class RegionCompiler {
  readonly #memory: MachineMemory;
  readonly #cache: CodeCache;
  readonly #handlers: HandlerSet;
  readonly #finder: RegionFinder;
  readonly #predecoder: Predecoder;
  readonly #decoder: Decoder;
  readonly #semantics: SemanticsTable;
  /** Records inside regions, and (1) those that enter one. */
  readonly #covered = new Map<number, number>();
  regions = 0;
  compiledInstructions = 0;
  moduleBytes = 0;

  constructor(
    memory: MachineMemory,
    cache: CodeCache,
    handlers: HandlerSet,
    finder: RegionFinder,
    predecoder: Predecoder,
    decoder: Decoder,
    semantics: SemanticsTable,
  ) {
    this.#decoder = decoder;
    this.#predecoder = predecoder;
    this.#memory = memory;
    this.#cache = cache;
    this.#handlers = handlers;
    this.#finder = finder;
    this.#semantics = semantics;
  }

  /** Whether the record runs a region. */
  enters(record: number): boolean {
    return this.#covered.get(record) === 1;
  }

  covers(record: number): boolean {
    return this.#covered.has(record);
  }

  /** All records are gone. */
  reset(): void {
    this.#covered.clear();
  }

  /** Compiles the region at a record that the interpreter runs now. False when there is nothing to gain. */
  compile(page: CodePage, entry: number): boolean {
    const pending = this.prepare(page, entry);
    if (!pending) return false;
    this.install(pending, emitRegion(pending.request, this.#decoder, this.#semantics));
    return true;
  }

  /** What compiling the region takes, as data for `emitRegion`, here or in another thread. */
  prepare(page: CodePage, entry: number): PendingRegion | undefined {
    const { view } = this.#memory;
    const entryRecord = this.#cache.recordAt(page, entry);
    if (this.#covered.get(entryRecord) === 1) return undefined;
    if (entryRecord === 0 || view.getUint32(entryRecord + R.HANDLER, true) < Slot.First) return undefined;
    const region = this.#finder.find(page.frame, entry);
    if (!region || region.instructionCount < 2) return undefined;
    if (!this.#decodeAll(page, region)) return undefined;
    const clone = this.#clone(page, entry, entryRecord);
    return { page, entry, entryRecord, region, request: this.#request(region, page, entry, clone) };
  }

  /** Makes the entry's record run the region. Not after the page was forgotten. */
  install(pending: PendingRegion, body: Uint8Array): void {
    const { page, entryRecord, region } = pending;
    this.#handlers.addCompiled(body, (slot) => this.#memory.view.setUint32(entryRecord + R.HANDLER, slot, true));
    for (const { instructions } of region.blocks) {
      for (const { offset } of instructions) {
        const record = this.#cache.recordAt(page, offset);
        if (!this.#covered.has(record)) this.#covered.set(record, 0);
      }
    }
    this.#covered.set(entryRecord, 1);
    this.regions++;
    this.compiledInstructions += region.instructionCount;
    this.moduleBytes += body.length;
  }

  /** Exceptions and early exits name records: all of the region's instructions must have one. */
  #decodeAll(page: CodePage, region: Region): boolean {
    for (const { instructions } of region.blocks) {
      for (const { offset } of instructions) {
        if (this.#cache.recordAt(page, offset) === 0 && this.#cache.hasRoom)
          this.#predecoder.decode(page, offset, () => undefined);
        if (this.#cache.recordAt(page, offset) === 0) return false;
      }
    }
    return true;
  }

  /** A copy of the entry's record for the interpreter, followed by a jump to the instruction behind it. */
  #clone(page: CodePage, entry: number, record: number): number {
    const { linear, view } = this.#memory;
    const clone = this.#cache.newRecord();
    linear.copyWithin(clone, record, record + R.RECORD_SIZE);
    page.records.push(clone);
    const after = this.#cache.newRecord();
    const length = view.getUint8(record + R.LENGTH);
    view.setUint32(after + R.HANDLER, Slot.Goto, true);
    view.setUint16(after + R.OFFSET, entry + length, true);
    view.setUint32(after + R.PAGE, page.table, true);
    view.setUint32(after + R.LINK, 0, true);
    page.records.push(after);
    return clone;
  }

  #request(region: Region, page: CodePage, entry: number, clone: number): RegionRequest {
    const { u8 } = this.#memory;
    const inPage = (at: number) => at >= 0 && at < PAGE_SIZE;
    const record = (at: number) => (inPage(at) ? this.#cache.recordAt(page, at) : 0);
    const edge = (at: number | undefined): Edge | undefined =>
      at === undefined ? undefined : { at, block: region.index.get(at) ?? -1, record: record(at) };
    const base = page.frame * PAGE_SIZE;
    return {
      blocks: region.blocks.map(({ start, instructions, fallThrough, target }) => {
        const last = instructions.at(-1)!;
        return {
          at: start,
          bytes: u8.slice(base + start, base + last.offset + last.length),
          records: instructions.map(({ offset }) => (offset === entry ? clone : record(offset))),
          fallThrough: edge(fallThrough),
          target: edge(target),
        };
      }),
    };
  }
}
