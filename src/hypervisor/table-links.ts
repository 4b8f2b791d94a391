// Where a page table frame is linked: lets the hypervisor name the virtual addresses that one entry translates, so that a change
// invalidates exactly those translations (the CPU keeps translations of several address spaces, see tlb-sync.ts).
// Each table frame remembers up to two places (parent frame and slot); more are only counted, and then its addresses are unknown.
// The slot of an L4 is the same address in each address space, so all L4 parents with one slot are one place.

const PLACES = 2;
const SLOTS = 512;

export class TableLinks {
  /** parent * 512 + slot + 1, or 0. Parent 0 stands for all L4 tables. */
  readonly #places: Uint32Array;
  readonly #counts: Uint32Array;
  readonly #uncounted: Uint32Array;

  constructor(frames: number) {
    this.#places = new Uint32Array(frames * PLACES);
    this.#counts = new Uint32Array(frames * PLACES);
    this.#uncounted = new Uint32Array(frames);
  }

  /** Slot `slot` of `parent` now points to `child`. */
  add(child: number, parent: number, parentIsL4: boolean, slot: number): void {
    const key = (parentIsL4 ? 0 : parent) * SLOTS + slot + 1;
    const base = child * PLACES;
    let empty = -1;
    for (let i = base; i < base + PLACES; i++) {
      if (this.#places[i] === key) {
        this.#counts[i] = this.#counts[i]! + 1;
        return;
      }
      if (this.#counts[i] === 0) empty = i;
    }
    if (empty < 0) {
      this.#uncounted[child] = this.#uncounted[child]! + 1;
      return;
    }
    this.#places[empty] = key;
    this.#counts[empty] = 1;
  }

  remove(child: number, parent: number, parentIsL4: boolean, slot: number): void {
    const key = (parentIsL4 ? 0 : parent) * SLOTS + slot + 1;
    const base = child * PLACES;
    for (let i = base; i < base + PLACES; i++) {
      if (this.#places[i] !== key) continue;
      const count = this.#counts[i]! - 1;
      this.#counts[i] = count;
      if (count === 0) this.#places[i] = 0;
      return;
    }
    this.#uncounted[child] = this.#uncounted[child]! - 1;
  }

  /**
   * Calls `found` with each virtual page (canonical address >> 12, as a number below 2^36 before sign extension) that slot `slot`
   * of the level-1 table `table` translates. False when they aren't all known.
   */
  addresses(table: number, slot: number, found: (page: number) => void): boolean {
    return this.#walk(table, slot, SLOTS, found);
  }

  #walk(table: number, offset: number, scale: number, found: (page: number) => void): boolean {
    if (this.#uncounted[table]! !== 0) return false;
    const base = table * PLACES;
    for (let i = base; i < base + PLACES; i++) {
      const key = this.#places[i]!;
      if (key === 0) continue;
      const parent = Math.floor((key - 1) / SLOTS);
      const page = ((key - 1) % SLOTS) * scale + offset;
      if (scale === SLOTS * SLOTS * SLOTS) found(page);
      else if (!this.#walk(parent, page, scale * SLOTS, found)) return false;
    }
    return true;
  }
}
