// Free machine frames, kept as a binary buddy system: a free block of order k is 2^k frames, aligned to its size, on the list of
// its order. Xen hands out aligned contiguous blocks (XENMEM_exchange, dom0's first chunk), so the order is part of the contract.
// Invariant: two free buddies of one order never coexist; they are merged.

const MAX_ORDER = 20;
const NOT_A_HEAD = -1;
const END = -1;

export class FrameAllocator {
  /** Order of the free block that starts at a frame, or NOT_A_HEAD. */
  readonly #order: Int8Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #heads = new Int32Array(MAX_ORDER + 1).fill(END);
  #free = 0;

  constructor(frames: number) {
    this.#order = new Int8Array(frames).fill(NOT_A_HEAD);
    this.#next = new Int32Array(frames);
    this.#previous = new Int32Array(frames);
  }

  get freeFrames(): number {
    return this.#free;
  }

  /** Gives [first, first + count) to the allocator. */
  addRange(first: number, count: number): void {
    let frame = first;
    let left = count;
    while (left > 0) {
      let order = 0;
      while (order < MAX_ORDER && (frame & ((2 << order) - 1)) === 0 && 2 << order <= left) order++;
      this.free(frame, order);
      frame += 1 << order;
      left -= 1 << order;
    }
  }

  /** First frame of an aligned block of 2^order frames that lies below `limit`, or -1. */
  allocate(order: number, limit = Number.POSITIVE_INFINITY): number {
    for (let from = order; from <= MAX_ORDER; from++) {
      let frame = this.#heads[from]!;
      while (frame !== END && frame + (1 << order) > limit) frame = this.#next[frame]!;
      if (frame === END) continue;
      this.#unlink(frame, from);
      for (let split = from - 1; split >= order; split--) this.#push(frame + (1 << split), split);
      this.#free -= 1 << order;
      return frame;
    }
    return -1;
  }

  free(first: number, order: number): void {
    this.#free += 1 << order;
    let frame = first;
    let at = order;
    while (at < MAX_ORDER) {
      const buddy = frame ^ (1 << at);
      if (buddy >= this.#order.length || this.#order[buddy] !== at) break;
      this.#unlink(buddy, at);
      frame = Math.min(frame, buddy);
      at++;
    }
    this.#push(frame, at);
  }

  #push(frame: number, order: number): void {
    const head = this.#heads[order]!;
    this.#order[frame] = order;
    this.#next[frame] = head;
    this.#previous[frame] = END;
    if (head !== END) this.#previous[head] = frame;
    this.#heads[order] = frame;
  }

  #unlink(frame: number, order: number): void {
    const next = this.#next[frame]!;
    const previous = this.#previous[frame]!;
    if (previous === END) this.#heads[order] = next;
    else this.#next[previous] = next;
    if (next !== END) this.#previous[next] = previous;
    this.#order[frame] = NOT_A_HEAD;
  }
}
