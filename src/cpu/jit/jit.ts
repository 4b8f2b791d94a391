// Decides what to compile: the run loop reports where it stopped after each slice of a fixed length, which samples the hot
// places; a block seen often enough is compiled with what it reaches.

import type { MachineMemory } from "../../mmu/machine-memory.js";
import type { CodeCache, CodePage } from "../interpreter/code-cache.js";
import { Slot } from "../interpreter/core-module.js";
import * as R from "../interpreter/record.js";
import type { RegionCompiler } from "./compiler.js";

/** Instructions between two samples. */
export const SAMPLE_INTERVAL = 16_384;
/** Samples of a record before its region is compiled. */
const THRESHOLD = 2;
/** The same for a record that lies inside a region already: it may only have been met where that region's budget ran out. */
const COVERED_THRESHOLD = 24;
const MAX_REGIONS = 20_000;

export class Jit {
  readonly #memory: MachineMemory;
  readonly #cache: CodeCache;
  readonly #compiler: RegionCompiler;
  readonly #samples = new Map<number, number>();

  constructor(memory: MachineMemory, cache: CodeCache, compiler: RegionCompiler) {
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
    const count = (this.#samples.get(record) ?? 0) + 1;
    if (count < (this.#compiler.covers(record) ? COVERED_THRESHOLD : THRESHOLD)) {
      this.#samples.set(record, count);
      return;
    }
    this.#samples.delete(record);
    if (this.#compiler.regions >= MAX_REGIONS || !this.#cache.hasRoom) return;
    const { view } = this.#memory;
    if (view.getUint32(record + R.HANDLER, true) < Slot.First) return;
    const page = this.#cache.pageOfTable(view.getUint32(record + R.PAGE, true));
    if (page?.mode === 2) this.#compiler.compile(page, view.getUint16(record + R.OFFSET, true));
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
