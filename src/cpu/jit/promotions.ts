// Which regions V8's optimizing compiler is for. Its code is several times as fast as what the quick one makes, and takes ten times
// as long to make, in proportion to its size: first come those that run the most instructions for each that is to be compiled.
// Counted in samples where slices end (as many instructions apart, whatever runs).

import { DOUBLE_ZERO } from "../../mmu/double.js";
import type { PendingRegion } from "./compiler.js";
import type { InstalledRegions } from "./installed-regions.js";

/** A region is optimized after one sample and one for so many of its instructions: little, as what is worth more comes first. */
const INSTRUCTIONS_PER_SAMPLE = 100;
/** Instructions compiled at once, about: new regions wait as long. */
const MAX_INSTRUCTIONS = 120;
/** Samples after which what was optimized where it is (see `RegionCode`) is made anew for the optimizing compiler, and once more after as many. */
const REMAKE = 256;
/** What is optimized already gains this much less from being part of something larger. */
const RENEWAL = 1 / 2;

type Installed = Pick<InstalledRegions, "regionOf" | "isOptimized" | "isQuick" | "noteRan" | "recentlyRan">;

export class Promotions {
  readonly #installed: Installed;
  /** Numbers of regions that have enough samples. */
  readonly #due = new Set<number>();
  /** Numbers of regions that were taken and aren't done. */
  readonly #inWork = new Set<number>();

  /** They take the place of optimized ones, which run on until then. */
  readonly renewed: PendingRegion[] = [];

  constructor(installed: Installed) {
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
    if (samples === 0 || this.#inWork.has(id)) return;
    const region = this.#installed.regionOf(id)!;
    if (!this.#installed.isOptimized(id)) {
      if (samples >= 1 + region.size / INSTRUCTIONS_PER_SAMPLE) this.#due.add(id);
    } else if (samples % REMAKE === 0 && this.#installed.isQuick(id)) {
      if (!this.renewed.some((other) => other.replaces.includes(id))) this.renew({ ...region, replaces: [id] });
    }
  }

  /** What was taken is optimized, or won't be. */
  done(regions: readonly PendingRegion[]): void {
    for (const { id } of regions) this.#inWork.delete(id);
  }

  /** What to optimize next, to be given to `done` afterwards: one that takes an optimized one's place, or some that never were. */
  take(): PendingRegion[] {
    const promoted = this.#nextPromoted();
    const best = promoted[0]?.worth ?? -1;
    let next = -1;
    let most = best;
    for (const [i, region] of this.renewed.entries()) {
      const worth = RENEWAL * this.#worth(region.replaces, region.size);
      if (worth <= most) continue;
      next = i;
      most = worth;
    }
    if (next >= 0) return this.renewed.splice(next, 1);
    for (const { region } of promoted) {
      this.#due.delete(region.id);
      this.#inWork.add(region.id);
    }
    return promoted.map(({ region }) => ({ ...region, replaces: [region.id] }));
  }

  /** What ran of late in these regions, for each instruction that is to be compiled. */
  #worth(ids: readonly number[], size: number): number {
    return ids.reduce((sum, id) => sum + this.#installed.recentlyRan(id), DOUBLE_ZERO) / size;
  }

  #nextPromoted(): { readonly region: PendingRegion; readonly worth: number }[] {
    const due: { region: PendingRegion; worth: number }[] = [];
    for (const id of this.#due) {
      const region = this.#installed.regionOf(id);
      // What later runs begin with is optimized without being taken from here.
      if (region && !this.#installed.isOptimized(id)) due.push({ region, worth: this.#worth([id], region.size) });
      else this.#due.delete(id);
    }
    due.sort((a, b) => b.worth - a.worth);
    let instructions = 0;
    const end = due.findIndex(({ region }) => {
      const isTooMuch = instructions > 0 && instructions + region.size > MAX_INSTRUCTIONS;
      instructions += region.size;
      return isTooMuch;
    });
    return end < 0 ? due : due.slice(0, end);
  }
}
