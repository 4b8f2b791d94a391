// Whether a file is read and written at once, in this thread, or by Node's pool of threads. What the system has in its cache takes some
// microseconds; a way through the pool takes a hundred, and the guest waits. When an access turns out to be slow (the disk itself),
// the next ones leave it to the pool, so that other guests don't stand still for long.

/** Longer accesses are always for the pool, bytes. */
const MAX_LENGTH = 256 * 1024;
/** An access that took so long wasn't served by a cache, ms. */
const SLOW_MS = 2;
const ACCESSES_AFTER_SLOW = 32;

export class DirectAccess {
  readonly #now: () => number;
  #left = 0;

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
    if (this.#now() - start > SLOW_MS) this.#left = ACCESSES_AFTER_SLOW;
    return result;
  }
}
