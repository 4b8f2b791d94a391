// Has the optimized code that runs most put together in one module: it was made in hundreds of a few regions each, and a guest whose way
// leads through all of those (a packet's, a system call's) waits for their pages, and for each change of the instance.

import type { InstalledRegions, RegionCode, RegionModule } from "./installed-regions.js";
import type { PackedRegions, RegionService } from "./region-module.js";

/** Slices before the first pack: half a second of guests. Then half as many again each time: what is new is less and less. */
const FIRST = 4096;
const GROWTH = 1.5;
/** Functions that aren't in the last pack: so many, and so much of all. */
const MIN_NEW = 64;
const MIN_NEW_SHARE = 1 / 4;
/** Functions in one pack, and bytes of their bodies: half a thousand are moved in 5 ms, in which no guest runs. */
const MAX_FUNCTIONS = 640;
const MAX_BYTES = 12 * 1024 * 1024;

type Installed = Pick<InstalledRegions, "optimized" | "mostPacked" | "move">;

/** Calls back with an instance of the module and the number of the last sample, unless nothing is wanted any more. */
type WhenWanted = (module: WebAssembly.Module, move: (module: RegionModule, now: number) => void) => void;

export class Packing {
  readonly #installed: Installed;
  readonly #whenWanted: WhenWanted;
  /** Code of the last pack. */
  #packed: ReadonlySet<RegionCode> = new Set();
  #slices = 0;
  #next = FIRST;
  #isBusy = false;
  #canPack = true;

  constructor(installed: Installed, whenWanted: WhenWanted) {
    this.#installed = installed;
    this.#whenWanted = whenWanted;
  }

  /** A slice ended. */
  note(service: RegionService): void {
    if (++this.#slices < this.#next || this.#isBusy || !this.#canPack || !service.pack) return;
    this.#next = Math.ceil(GROWTH * this.#next);
    const codes = this.#choose();
    if (codes.length === 0) return;
    this.#isBusy = true;
    const functions = codes.map(({ module: { module }, index }) => ({ module, index }));
    service.pack(functions, (result) => {
      this.#isBusy = false;
      this.#canPack = result !== undefined;
      if (result) this.#whenWanted(result.module, (module, now) => this.#move(codes, result, module, now));
    });
  }

  #move(codes: readonly RegionCode[], { indices }: PackedRegions, module: RegionModule, now: number): void {
    const moved = new Map<RegionCode, RegionCode>();
    for (const [i, code] of codes.entries()) {
      const index = indices[i];
      if (index !== undefined) moved.set(code, { ...code, run: module.exports[String(index)], module, index });
    }
    this.#packed = new Set(moved.values());
    this.#installed.move(moved, now);
  }

  /** What ran the most first; nothing when most of it is in the last pack. */
  #choose(): RegionCode[] {
    const hot = [...this.#installed.optimized()].sort(([, a], [, b]) => b - a);
    const most = Math.min(MAX_BYTES, this.#installed.mostPacked);
    const codes: RegionCode[] = [];
    let bytes = 0;
    let fresh = 0;
    for (const [code] of hot.slice(0, MAX_FUNCTIONS)) {
      bytes += code.size;
      if (bytes > most) break;
      codes.push(code);
      if (!this.#packed.has(code)) fresh++;
    }
    return fresh < MIN_NEW || fresh < MIN_NEW_SHARE * codes.length ? [] : codes;
  }
}
