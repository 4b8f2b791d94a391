// Whether a file is read and written at once, in this thread, or by Node's pool of threads. What the system has in its cache takes some
// microseconds; a way through the pool takes a hundred, and the guest waits. When an access turns out to be slow (the disk itself),
// the next ones leave it to the pool, so that other guests don't stand still for long: few at first, since this process may only have
// lost its processor meanwhile, and more each time that it happens again.

/** Longer accesses are always for the pool, bytes. */
const MAX_LENGTH = 1024 * 1024;
/** An access that took so long wasn't served by a cache, ms. */
const SLOW_MS = 2;
const LEAST_AFTER_SLOW = 4;
const MOST_AFTER_SLOW = 64;

export class DirectAccess {
  readonly #now: () => number;
  #left = 0;
  /** Accesses for the pool after the last slow one; halved by each quick one since. */
  #pause = 0;

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
    const isSlow = this.#now() - start > SLOW_MS;
    this.#pause = isSlow ? Math.min(Math.max(4 * this.#pause, LEAST_AFTER_SLOW), MOST_AFTER_SLOW) : this.#pause >> 1;
    if (isSlow) this.#left = this.#pause;
    return result;
  }
}
