// Fault injection for networks: a port that loses, delays or cuts off frames where its owner says so. For tests of guests: loss,
// partition, a slow line. Frames with the same delay stay in order.

import type { Offload } from "./offload.js";
import type { PacketPort } from "./packet-port.js";
import type { Timers } from "./timers.js";
import { WrappedPort } from "./wrapped-port.js";

export type Direction = "sent" | "received";

/** What happens to a frame. */
export type FrameFault = { readonly drop: true } | { readonly delayMs: number };

export interface FaultyPortOptions {
  readonly timers: Timers;
  /** Asked for each frame; undefined: it passes at once. `index` counts the frames of both directions from 0. */
  readonly decide?: (direction: Direction, frame: Uint8Array, index: number) => FrameFault | undefined;
}

/** What a line does to all its frames alike. */
export interface LineFaults {
  /** Share of frames lost, 0 to 1. */
  readonly loss?: number;
  /** Added to each frame's way, milliseconds. */
  readonly delayMs?: number;
  /** Up to so much more, at random; frames may overtake each other. */
  readonly jitterMs?: number;
}

/** Frames that are delayed at a time; more are lost, as in a full queue. */
const MAX_DELAYED = 4096;

export class FaultyPort extends WrappedPort {
  readonly #timers: Timers;
  /** May be changed at any time. */
  decide: NonNullable<FaultyPortOptions["decide"]>;
  /** While true nothing passes, and what was under way is lost. */
  isPartitioned = false;
  #index = 0;
  #delayed = 0;
  #isClosed = false;

  constructor(inner: PacketPort, { timers, decide = () => undefined }: FaultyPortOptions) {
    super(inner);
    this.#timers = timers;
    this.decide = decide;
    inner.onFrame = (frame, offload) => this.#pass("received", frame, () => this.onFrame(frame, offload));
  }

  send(frame: Uint8Array, offload?: Offload): void {
    this.#pass("sent", frame, () => this.inner.send(frame, offload));
  }

  #pass(direction: Direction, frame: Uint8Array, go: () => void): void {
    const fault = this.decide(direction, frame, this.#index++);
    if (this.#isClosed || this.isPartitioned || (fault && "drop" in fault)) return;
    if (!fault) {
      go();
      return;
    }
    if (this.#delayed >= MAX_DELAYED) return;
    this.#delayed++;
    this.#timers.after(fault.delayMs, () => {
      this.#delayed--;
      if (!this.#isClosed && !this.isPartitioned) go();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.inner.close();
  }
}

/** A `decide` for a bad line. @param random in [0, 1) */
export function lineFaults(
  { loss = 0, delayMs = 0, jitterMs = 0 }: LineFaults,
  random: () => number,
): NonNullable<FaultyPortOptions["decide"]> {
  return () => {
    if (loss > 0 && random() < loss) return { drop: true };
    const delay = delayMs + (jitterMs > 0 ? random() * jitterMs : 0);
    return delay > 0 ? { delayMs: delay } : undefined;
  };
}
