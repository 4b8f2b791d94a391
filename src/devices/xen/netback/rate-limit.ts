// The credit scheduler of `rate=` (xl-network-configuration): so many bytes per interval, as Linux's netback counts them. A
// packet that is larger than what is left waits for the next interval; credit doesn't pile up beyond one interval.

import type { Timers } from "../../network/timers.js";

export interface Rate {
  readonly bytesPerInterval: number;
  readonly intervalMs: number;
}

/** A packet of full size always gets through, however low the rate. */
const LARGEST_PACKET = 131_072;

export class RateLimit {
  readonly #rate: Rate;
  readonly #timers: Timers;
  #credit: number;
  #windowStart: number;
  #cancel: (() => void) | undefined;

  constructor(rate: Rate, timers: Timers) {
    this.#rate = rate;
    this.#timers = timers;
    this.#credit = rate.bytesPerInterval;
    this.#windowStart = timers.now();
  }

  /** Takes credit for a packet; false: `retry` is called when there is some again. */
  take(bytes: number, retry: () => void): boolean {
    const { bytesPerInterval, intervalMs } = this.#rate;
    const now = this.#timers.now();
    if (now - this.#windowStart >= intervalMs) {
      this.#windowStart = now;
      const burst = Math.max(bytesPerInterval, Math.min(bytes, LARGEST_PACKET));
      this.#credit = Math.min(this.#credit + bytesPerInterval, burst);
    }
    if (bytes <= this.#credit) {
      this.#credit -= bytes;
      return true;
    }
    this.#cancel?.();
    this.#cancel = this.#timers.after(Math.max(1, this.#windowStart + intervalMs - now), () => {
      this.#cancel = undefined;
      retry();
    });
    return false;
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
