// Whether a file is read and written at once, in this thread, or by Node's pool of threads. What the system has in its cache takes some
// microseconds; a way through the pool takes a hundred, and the guest waits. When accesses turn out to be slow (the disk itself),
// the next ones leave it to the pool, so that other guests don't stand still for long: not for a single one, since this process may only have
// lost its processor meanwhile (and where it does the pool's threads wait for it too), and more each time that it happens again.

/** Longer accesses are always for the pool, bytes. */
const MAX_LENGTH = 1024 * 1024;
/** An access that took so long wasn't served by a cache, ms. */
const SLOW_MS = 2;
/** So many quick accesses are worth a slow one, of which a single one leads to nothing. */
const QUICK_FOR_SLOW = 4;
const MOST_SLOWNESS = 5 * QUICK_FOR_SLOW;
/** Accesses for the pool by slowness beyond that of a single slow one. */
const POOLED_BY_SLOWNESS = 4;

export class DirectAccess {
  readonly #now: () => number;
  #left = 0;
  /** More by each slow access, less by each quick one. */
  #slowness = 0;

  /** @param now milliseconds, monotonic */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether the next access should be tried at once. */
  allows(length: number): boolean {
    if (length > MAX_LENGTH) return false;
    if (this.#left === 0) return true;
    this.#left--;
    return false;
  }

  run<T>(access: () => T): T {
    const start = this.#now();
    const result = access();
    if (this.#now() - start > SLOW_MS) {
      this.#slowness = Math.min(this.#slowness + QUICK_FOR_SLOW, MOST_SLOWNESS);
      this.#left = POOLED_BY_SLOWNESS * (this.#slowness - QUICK_FOR_SLOW);
    } else if (this.#slowness > 0) this.#slowness--;
    return result;
  }
}
