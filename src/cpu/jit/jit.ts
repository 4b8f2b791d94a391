// Decides what to compile: the run loop reports where it stopped after each slice of a fixed length, which samples the hot
// places; a block seen often enough is compiled with what it reaches.

import type { MachineMemory } from "../../mmu/machine-memory.js";
import type { CodeCache, CodePage } from "../interpreter/code-cache.js";
import { Slot } from "../interpreter/core-module.js";
import type { HandlerSet } from "../interpreter/handlers.js";
import * as R from "../interpreter/record.js";
import type { RegionCompiler } from "./compiler.js";

/** Instructions between two samples. */
export const SAMPLE_INTERVAL = 16_384;
/** Samples of a record before its region is compiled. */
const THRESHOLD = 2;
/** The same for a record that lies inside a region already: it may only have been met where that region's budget ran out. */
const COVERED_THRESHOLD = 24;
/** Instructions looked back over for the start of a stretch. */
const MAX_STRETCH = 400;
const MAX_REGIONS = 20_000;

export class Jit {
  readonly #memory: MachineMemory;
  readonly #cache: CodeCache;
  readonly #compiler: RegionCompiler;
  readonly #handlers: HandlerSet;
  readonly #samples = new Map<number, number>();

  constructor(memory: MachineMemory, cache: CodeCache, compiler: RegionCompiler, handlers: HandlerSet) {
    this.#handlers = handlers;
    this.#memory = memory;
    this.#cache = cache;
    this.#compiler = compiler;
  }

  get regions(): number {
    return this.#compiler.regions;
  }
  get compiledInstructions(): number {
    return this.#compiler.compiledInstructions;
  }

  /** The vCPU is about to run this record of 64-bit code. */
  sample(record: number): void {
    const leader = this.#leader(record);
    if (leader === 0) return;
    const compiled = this.#compiler.enters(leader);
    // Inside a region's own blocks a sample may only tell where that region's budget ran out.
    const place = compiled ? record : leader;
    const count = (this.#samples.get(place) ?? 0) + 1;
    if (count < (compiled || this.#compiler.covers(record) ? COVERED_THRESHOLD : THRESHOLD)) {
      this.#samples.set(place, count);
      return;
    }
    this.#samples.delete(place);
    if (this.#compiler.regions >= MAX_REGIONS || !this.#cache.hasRoom) return;
    const { view } = this.#memory;
    const page = this.#cache.pageOfTable(view.getUint32(place + R.PAGE, true));
    if (page?.mode === 2) this.#compiler.compile(page, view.getUint16(place + R.OFFSET, true));
  }

  /** The first record of the straight stretch that `record` lies in; 0 when it's no instruction. */
  #leader(record: number): number {
    const { view } = this.#memory;
    if (record === 0 || view.getUint32(record + R.HANDLER, true) < Slot.First) return 0;
    const page = view.getUint32(record + R.PAGE, true);
    let at = record;
    for (let i = 0; i < MAX_STRETCH; i++) {
      const before = at - R.RECORD_SIZE;
      const slot = view.getUint32(before + R.HANDLER, true);
      if (slot < Slot.First || view.getUint32(before + R.PAGE, true) !== page || this.#handlers.branches(slot)) break;
      const next = view.getUint16(before + R.OFFSET, true) + view.getUint8(before + R.LENGTH);
      if (next !== view.getUint16(at + R.OFFSET, true)) break;
      at = before;
    }
    return at;
  }

  /** Compiles the region at a page offset now; for tests. */
  compileAt(page: CodePage, offset: number): boolean {
    return this.#compiler.compile(page, offset);
  }

  /** All code was dropped. */
  reset(): void {
    this.#samples.clear();
    this.#compiler.reset();
  }
}
