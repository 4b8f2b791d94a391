// When a TCP sender sends again and how much it has under way: the retransmission timer (RFC 6298) and Reno's congestion window
// with fast recovery (RFC 5681, 6582).

const INITIAL_RTO_MS = 1000;
const MIN_RTO_MS = 400;
const MAX_RTO_MS = 60_000;
const GRANULARITY_MS = 1;

export class RetransmissionTimeout {
  #smoothed: number | undefined;
  #variation = 0;
  #backoff = 1;
  #base = INITIAL_RTO_MS;

  get milliseconds(): number {
    return Math.min(MAX_RTO_MS, this.#base * this.#backoff);
  }

  /** A round trip of a segment that was sent once (Karn). */
  measured(milliseconds: number): void {
    if (this.#smoothed === undefined) {
      this.#smoothed = milliseconds;
      this.#variation = milliseconds / 2;
    } else {
      this.#variation = 0.75 * this.#variation + 0.25 * Math.abs(this.#smoothed - milliseconds);
      this.#smoothed = 0.875 * this.#smoothed + 0.125 * milliseconds;
    }
    this.#base = Math.max(MIN_RTO_MS, this.#smoothed + Math.max(GRANULARITY_MS, 4 * this.#variation));
    this.#backoff = 1;
  }

  backOff(): void {
    this.#backoff = Math.min(64, this.#backoff * 2);
  }

  /** Something new was acknowledged. */
  advanced(): void {
    this.#backoff = 1;
  }
}

export class CongestionWindow {
  readonly #mss: number;
  #threshold = Number.POSITIVE_INFINITY;
  #duplicates = 0;
  /** Fast recovery lasts until this is acknowledged. */
  #recover: number | undefined;
  bytes: number;

  constructor(mss: number) {
    this.#mss = mss;
    this.bytes = 10 * mss;
  }

  /** Between the notice of a loss and the acknowledgment of all that was under way then. */
  get isRecovering(): boolean {
    return this.#recover !== undefined;
  }

  /**
   * New data was acknowledged.
   * @param isBeyond whether `recover` of the loss is acknowledged. @returns true: the next hole is to be sent again
   */
  acknowledged(bytes: number, isBeyond: (position: number) => boolean): boolean {
    this.#duplicates = 0;
    if (this.#recover !== undefined) {
      if (!isBeyond(this.#recover)) {
        this.bytes = Math.max(this.#mss, this.bytes - bytes + this.#mss);
        return true;
      }
      this.#recover = undefined;
      this.bytes = this.#threshold;
      return false;
    }
    this.bytes += this.bytes < this.#threshold ? bytes : Math.max(1, Math.floor((this.#mss * bytes) / this.bytes));
    return false;
  }

  /** The same acknowledgment again. @returns true: the first segment is taken for lost */
  duplicate(flight: number, end: number): boolean {
    this.#duplicates++;
    if (this.#recover !== undefined) {
      this.bytes += this.#mss;
      return false;
    }
    if (this.#duplicates !== 3) return false;
    this.#threshold = Math.max(flight / 2, 2 * this.#mss);
    this.bytes = this.#threshold + 3 * this.#mss;
    this.#recover = end;
    return true;
  }

  timedOut(flight: number): void {
    this.#threshold = Math.max(flight / 2, 2 * this.#mss);
    this.bytes = this.#mss;
    this.#recover = undefined;
    this.#duplicates = 0;
  }
}
