// How often an unprivileged domain may change the store: every change costs all watchers. xenstored's figures: 200 a second in the long run,
// and a thousand at once when the domain kept quiet before.

import { DOUBLE_ZERO } from "../../mmu/double.js";

/** Changes a second. */
export const WRITE_RATE = 200;
export const WRITE_BURST = 1000;

export class WriteRate {
  #credit = WRITE_BURST + DOUBLE_ZERO;
  #at = DOUBLE_ZERO;

  /** @param now milliseconds */
  debit(now: number): void {
    this.#refill(now);
    this.#credit--;
  }

  /** Milliseconds until the next change may be made; 0: now. */
  wait(now: number): number {
    this.#refill(now);
    return this.#credit >= 1 ? 0 : Math.ceil(((1 - this.#credit) * 1000) / WRITE_RATE);
  }

  #refill(now: number): void {
    this.#credit = Math.min(WRITE_BURST, this.#credit + ((now - this.#at) * WRITE_RATE) / 1000);
    this.#at = now;
  }
}
