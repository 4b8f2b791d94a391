// Places that were found hot. First what runs around them is noted for a while, then they wait, and the hottest come first when a batch is
// prepared; the guest goes on between its parts.

import type { MachineMemory } from "../../mmu/machine-memory.js";
import type { CodePage } from "../interpreter/code-cache.js";
import * as R from "../interpreter/record.js";
import type { PendingRegion, RegionCompiler, RunningRegion } from "./compiler.js";
import type { Place } from "./mapped-code.js";

/** Regions and instructions of a module, about: how long other places wait for it. */
export const MAX_BATCH = 24;
const MAX_BATCH_INSTRUCTIONS = 1200;
/** Instructions that are looked at for it at one sample, about, where the rest can wait for the next ones. */
const MAX_SEARCHED_AT_ONCE = 300;

/** Found hot: a record, and where it was run. */
export interface Hot {
  readonly record: number;
  readonly page: CodePage;
  readonly place: Place;
  /** Nothing there is new: these regions are to become one. */
  readonly link: Link | undefined;
}

export interface Link {
  readonly cluster: readonly RunningRegion[];
  readonly from: number;
  readonly to: number;
}

export interface HotQueueParts {
  readonly memory: MachineMemory;
  readonly compiler: Pick<RegionCompiler, "searched">;
  /** What is to be compiled for a place, if it's still worth it. */
  readonly prepare: (hot: Hot) => PendingRegion | undefined;
  /** Takes what isn't for a batch; false: it is for one. */
  readonly takes: (region: PendingRegion) => boolean;
}

export class HotQueue {
  readonly #parts: HotQueueParts;
  #noted: Hot[] = [];
  #waiting: Hot[] = [];
  /** What is prepared of the next batch, the instructions of that and of what was taken meanwhile, and whether there is more. */
  readonly #batch: PendingRegion[] = [];
  #prepared = 0;
  #isPreparing = false;

  constructor(parts: HotQueueParts) {
    this.#parts = parts;
  }

  /** Places that wait for a batch. */
  get length(): number {
    return this.#waiting.length;
  }

  /** What runs around some places is being noted. */
  get isNoting(): boolean {
    return this.#noted.length > 0;
  }

  /** A batch isn't complete: the rest is for the next samples. */
  get isPreparing(): boolean {
    return this.#isPreparing;
  }

  note(hot: Hot): void {
    this.#noted.push(hot);
  }
  /** Returns the places that were noted for, which aren't in the queue yet. */
  endNoting(): readonly Hot[] {
    const noted = this.#noted;
    this.#noted = [];
    return noted;
  }

  wait(places: readonly Hot[]): void {
    // Behind what is sorted already.
    if (this.#isPreparing) this.#waiting.unshift(...places);
    else this.#waiting.push(...places);
  }

  /** The hottest of those that wait, `most` at most; nothing while more of them are to be prepared. `inParts`: not all at once. */
  nextBatch(most: number, inParts: boolean): PendingRegion[] {
    const { memory, compiler, prepare, takes } = this.#parts;
    const heat = ({ record }: Hot) => memory.view.getUint16(record + R.HEAT, true);
    const batch = this.#batch;
    const enough = inParts ? compiler.searched + MAX_SEARCHED_AT_ONCE : Number.POSITIVE_INFINITY;
    if (!this.#isPreparing) this.#waiting.sort((a, b) => heat(a) - heat(b));
    while (this.#waiting.length > 0 && batch.length < most && this.#prepared < MAX_BATCH_INSTRUCTIONS) {
      this.#isPreparing = compiler.searched >= enough;
      if (this.#isPreparing) return [];
      const pending = prepare(this.#waiting.pop()!);
      if (!pending) continue;
      if (!takes(pending)) batch.push(pending);
      this.#prepared += pending.size;
    }
    this.#isPreparing = false;
    this.#prepared = 0;
    return batch.splice(0);
  }

  clear(): void {
    this.#noted = [];
    this.#waiting = [];
    this.#batch.length = 0;
    this.#prepared = 0;
    this.#isPreparing = false;
  }
}
