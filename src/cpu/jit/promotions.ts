// Which regions V8's optimizing compiler is for. Its code is several times as fast as what the quick one makes, and takes ten times
// as long to make, in proportion to its size: first come those that run the most instructions for each that is to be compiled.
// Counted in samples where slices end (as many instructions apart, whatever runs).

import type { PendingRegion } from "./compiler.js";
import type { InstalledRegions } from "./installed-regions.js";

/** A region is optimized after one sample and one for so many of its instructions: little, as what is worth more comes first. */
const INSTRUCTIONS_PER_SAMPLE = 100;
/** Instructions compiled at once, about: new regions wait as long. */
const MAX_INSTRUCTIONS = 120;

export class Promotions {
  readonly #installed: Pick<InstalledRegions, "regionOf" | "isOptimized" | "noteRan">;
  /** Samples by the number of a region that has enough of them. */
  readonly #due = new Map<number, number>();
  /** Numbers of regions that were taken and aren't done. */
  readonly #inWork = new Set<number>();

  /** They take the place of optimized ones, which run on until then. */
  readonly renewed: PendingRegion[] = [];
  #renewsNext = false;

  constructor(installed: Pick<InstalledRegions, "regionOf" | "isOptimized" | "noteRan">) {
    this.#installed = installed;
  }

  reset(): void {
    this.#due.clear();
    this.#inWork.clear();
    this.renewed.length = 0;
  }

  /** A region that takes the place of an optimized one. */
  renew(region: PendingRegion): void {
    this.renewed.push(region);
  }

  /** A slice ended in the region of this number. */
  note(id: number): void {
    const samples = this.#installed.noteRan(id);
    if (samples === 0 || this.#inWork.has(id) || this.#installed.isOptimized(id)) return;
    const { size } = this.#installed.regionOf(id)!;
    if (samples >= 1 + size / INSTRUCTIONS_PER_SAMPLE) this.#due.set(id, samples);
  }

  /** What was taken is optimized, or won't be. */
  done(regions: readonly PendingRegion[]): void {
    for (const { id } of regions) this.#inWork.delete(id);
  }

  /**
   * What to optimize next, to be given to `done` afterwards: in turns one that takes an optimized one's place, and those that never were,
   * lest either waits for ever.
   */
  take(): PendingRegion[] {
    const renewed = this.#renewsNext ? this.renewed.splice(0, 1) : [];
    this.#renewsNext = !this.#renewsNext;
    if (renewed.length > 0) return renewed;
    const promoted = this.#takePromoted();
    return promoted.length > 0 ? promoted : this.renewed.splice(0, 1);
  }

  #takePromoted(): PendingRegion[] {
    const due: { region: PendingRegion; worth: number }[] = [];
    for (const [id, samples] of this.#due) {
      const region = this.#installed.regionOf(id);
      // What later runs begin with is optimized without being taken from here.
      if (region && !this.#installed.isOptimized(id)) due.push({ region, worth: samples / region.size });
      else this.#due.delete(id);
    }
    due.sort((a, b) => b.worth - a.worth);
    const taken: PendingRegion[] = [];
    let instructions = 0;
    for (const { region } of due) {
      if (instructions > 0 && instructions + region.size > MAX_INSTRUCTIONS) break;
      instructions += region.size;
      this.#due.delete(region.id);
      this.#inWork.add(region.id);
      taken.push({ ...region, replaces: [region.id] });
    }
    return taken;
  }
}
