// Ranges of sequence numbers, in order and apart from each other: what the other side of a TCP connection says it has beyond the
// acknowledgment (selective acknowledgments, RFC 2018), and what is lost by that (RFC 6675). Bounded.

import { type SackBlock, sequenceDistance } from "./tcp-segment.js";

/** Holes between more ranges than that are sent again when all else is. */
const MAX_RANGES = 64;

/** @returns the ranges with one more, those that touch joined; the same ranges when nothing is new */
export function withRange(ranges: readonly SackBlock[], [start, end]: SackBlock): readonly SackBlock[] {
  if (ranges.some((range) => sequenceDistance(range[0], start) <= 0 && sequenceDistance(range[1], end) >= 0))
    return ranges;
  let [from, to] = [start, end];
  const joined: SackBlock[] = [];
  const after: SackBlock[] = [];
  for (const range of ranges) {
    if (sequenceDistance(range[1], from) < 0) joined.push(range);
    else if (sequenceDistance(range[0], to) > 0) after.push(range);
    else {
      if (sequenceDistance(range[0], from) < 0) from = range[0];
      if (sequenceDistance(range[1], to) > 0) to = range[1];
    }
  }
  joined.push([from, to], ...after);
  return joined;
}

export class Scoreboard {
  #ranges: readonly SackBlock[] = [];
  /** Holes below were sent again since the last loss was noticed. */
  #resent: number | undefined;

  /** @param oldest not acknowledged. @param highest one after the last that was sent. @returns whether it tells something new */
  take(blocks: readonly SackBlock[], oldest: number, highest: number): boolean {
    const before = this.#ranges;
    for (const block of blocks) {
      const [start, end] = block;
      // Older ones tell of duplicates (RFC 2883), others make no sense.
      const isInside = sequenceDistance(start, oldest) > 0 && sequenceDistance(end, highest) <= 0;
      if (!isInside || sequenceDistance(end, start) <= 0) continue;
      const ranges = withRange(this.#ranges, block);
      if (ranges.length <= MAX_RANGES) this.#ranges = ranges;
    }
    return this.#ranges !== before;
  }

  /** Everything before `oldest` is acknowledged. */
  advance(oldest: number): void {
    if (this.#ranges.length > 0 && sequenceDistance(this.#ranges[0]![0], oldest) <= 0)
      this.#ranges = this.#ranges.filter(([, end]) => sequenceDistance(end, oldest) > 0);
  }

  /** A loss is noticed: what is missing is sent again from `oldest` on. */
  startRecovery(oldest: number): void {
    this.#resent = oldest;
  }

  /** The next hole that wasn't sent again, at most `limit` bytes of it; it now was. Undefined: no more is known to be lost. */
  takeHole(oldest: number, limit: number): { readonly at: number; readonly length: number } | undefined {
    let at = this.#resent === undefined || sequenceDistance(this.#resent, oldest) < 0 ? oldest : this.#resent;
    for (const [start, end] of this.#ranges) {
      if (sequenceDistance(start, at) > 0) {
        const length = Math.min(limit, sequenceDistance(start, at));
        this.#resent = (at + length) >>> 0;
        return { at, length };
      }
      if (sequenceDistance(end, at) > 0) at = end;
    }
    return undefined;
  }

  /** Whether the byte at `position` was sent again. */
  wasResent(position: number): boolean {
    return this.#resent !== undefined && sequenceDistance(this.#resent, position) > 0;
  }

  /** After a timeout nothing of it is believed any more: receivers may forget what they have said they have (RFC 2018 8). */
  clear(): void {
    this.#ranges = [];
    this.#resent = undefined;
  }
}
