// Prepares a region for compilation: gives all its instructions records, and describes it as plain data.

import { type MachineMemory, PAGE_SIZE } from "../../mmu/machine-memory.js";
import type { CodeCache, CodePage } from "../interpreter/code-cache.js";
import { Slot } from "../interpreter/core-module.js";
import type { Predecoder } from "../interpreter/predecoder.js";
import * as R from "../interpreter/record.js";
import type { Region, RegionFinder } from "./region.js";
import type { Edge, RegionRequest } from "./request.js";

/** A region on its way through emission. */
export interface PendingRegion {
  readonly page: CodePage;
  readonly entryRecord: number;
  readonly request: RegionRequest;
}

export class RegionCompiler {
  readonly #memory: MachineMemory;
  readonly #cache: CodeCache;
  readonly #finder: RegionFinder;
  readonly #predecoder: Predecoder;

  constructor(memory: MachineMemory, cache: CodeCache, finder: RegionFinder, predecoder: Predecoder) {
    this.#predecoder = predecoder;
    this.#memory = memory;
    this.#cache = cache;
    this.#finder = finder;
  }

  /** What compiling the region takes, as data for `emitRegion`, here or in another thread. */
  prepare(page: CodePage, entry: number): PendingRegion | undefined {
    const { view } = this.#memory;
    const entryRecord = this.#cache.recordAt(page, entry);
    if (entryRecord === 0 || view.getUint8(entryRecord + R.COMPILED) & (R.Compiled.Enters | R.Compiled.Waiting))
      return undefined;
    if (view.getUint32(entryRecord + R.HANDLER, true) < Slot.First) return undefined;
    const region = this.#finder.find(page.frame, entry);
    if (!region || region.instructionCount < 2) return undefined;
    if (!this.#decodeAll(page, region)) return undefined;
    const clone = this.#clone(page, entry, entryRecord);
    return { page, entryRecord, request: this.#request(region, page, entry, clone) };
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
    view.setUint8(clone + R.COMPILED, R.Compiled.Inside);
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
