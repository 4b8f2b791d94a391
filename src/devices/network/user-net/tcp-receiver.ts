// The receiving half of a TCP connection: what arrives in order goes on, what came too early waits in bounded memory, and a window
// says how much may come (RFC 9293 3.8.6). The window's right edge never moves back.

import { withRange } from "./tcp-scoreboard.js";
import { type SackBlock, sequenceDistance } from "./tcp-segment.js";

interface Piece {
  readonly sequence: number;
  readonly data: Uint8Array;
}

const MAX_PIECES = 128;
/** So many find room beside no other option. */
const MAX_BLOCKS = 4;

export class TcpReceiver {
  readonly #capacity: () => number;
  /** Bytes that were handed on and aren't used up. */
  readonly #backlog: () => number;
  readonly #onData: (data: Uint8Array) => void;
  readonly #early: Piece[] = [];
  /** Where the piece that came last begins. */
  #latest = 0;
  next = 0;
  #edge = 0;
  /** Sequence number of the other side's FIN. */
  #end: number | undefined;
  scale = 0;

  constructor(capacity: () => number, backlog: () => number, onData: (data: Uint8Array) => void) {
    this.#capacity = capacity;
    this.#backlog = backlog;
    this.#onData = onData;
  }

  /** @param sequence of the other side's SYN */
  start(sequence: number): void {
    this.next = this.#edge = (sequence + 1) >>> 0;
  }

  get window(): number {
    const granted = Math.max(0, sequenceDistance(this.#edge, this.next));
    return Math.max(granted, this.#capacity() - this.#backlog());
  }

  /** The field of a header that is sent now. */
  advertise(isSyn: boolean): number {
    const scale = isSyn ? 0 : this.scale;
    const field = Math.min(0xffff, this.window >>> scale);
    const edge = (this.next + field * 2 ** scale) >>> 0;
    if (sequenceDistance(edge, this.#edge) > 0) this.#edge = edge;
    return field;
  }

  /** Whether the sender knows of much less room than there is. */
  isWorthTelling(mss: number): boolean {
    const granted = Math.max(0, sequenceDistance(this.#edge, this.next));
    return this.window - granted >= Math.min(this.#capacity() / 2, 2 * mss);
  }

  /** RFC 9293 3.10.7.4, the first check. */
  isAcceptable(sequence: number, length: number): boolean {
    const { window, next } = this;
    const start = sequenceDistance(sequence, next);
    const last = start + Math.max(0, length - 1);
    if (window === 0) return length === 0 && start === 0;
    return (start >= 0 && start < window) || (length > 0 && last >= 0 && last < window);
  }

  /** Takes data, and the FIN after it. @returns whether it came in order */
  take(sequence: number, data: Uint8Array, hasFin: boolean): boolean {
    const limit = this.window;
    if (hasFin) {
      const end = (sequence + data.length) >>> 0;
      if (this.#end === undefined && sequenceDistance(end, this.next) <= limit) this.#end = end;
    }
    const offset = sequenceDistance(this.next, sequence);
    if (offset < 0) {
      this.#keep(sequence, data.subarray(0, Math.max(0, limit + offset)));
      return false;
    }
    const isNew = offset < data.length;
    if (isNew) this.#deliver(data.subarray(offset, offset + limit));
    const hadEarly = this.#early.length > 0;
    this.#deliverEarly();
    // Filling a hole is worth an acknowledgment at once.
    return (isNew || data.length === 0) && !hadEarly;
  }

  #deliver(data: Uint8Array): void {
    // Nothing comes after the end.
    const room = this.#end === undefined ? data.length : sequenceDistance(this.#end, this.next);
    const part = data.subarray(0, Math.max(0, room));
    this.next = (this.next + part.length) >>> 0;
    if (part.length > 0) this.#onData(part);
  }

  #keep(sequence: number, data: Uint8Array): void {
    if (data.length === 0 || this.#early.length >= MAX_PIECES) return;
    const index = this.#early.findIndex((piece) => sequenceDistance(piece.sequence, sequence) >= 0);
    const same = this.#early[index];
    if (same && same.sequence === sequence && same.data.length >= data.length) return;
    let bytes = data.length;
    for (const piece of this.#early) bytes += piece.data.length;
    // Overlapping pieces could hold more than the window.
    if (bytes > 2 * this.#capacity()) return;
    this.#early.splice(index < 0 ? this.#early.length : index, 0, { sequence, data: data.slice() });
    this.#latest = sequence;
  }

  /** What has come too early, the range of the latest piece first (RFC 2018 4). */
  get blocks(): readonly SackBlock[] {
    let ranges: readonly SackBlock[] = [];
    for (const { sequence, data } of this.#early)
      ranges = withRange(ranges, [sequence, (sequence + data.length) >>> 0]);
    const isLatest = ([start, end]: SackBlock) =>
      sequenceDistance(start, this.#latest) <= 0 && sequenceDistance(end, this.#latest) > 0;
    return [...ranges.filter(isLatest), ...ranges.filter((range) => !isLatest(range))].slice(0, MAX_BLOCKS);
  }

  #deliverEarly(): void {
    while (this.#early.length > 0) {
      const { sequence, data } = this.#early[0]!;
      const offset = sequenceDistance(this.next, sequence);
      if (offset < 0) return;
      this.#early.shift();
      if (offset < data.length) this.#deliver(data.subarray(offset));
    }
  }

  /** All data before the FIN has come: the FIN is taken, once. */
  takeEnd(): boolean {
    if (this.#end === undefined || this.#end !== this.next) return false;
    this.#end = undefined;
    this.next = (this.next + 1) >>> 0;
    return true;
  }
}
