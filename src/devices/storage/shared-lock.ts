// A lock that many may hold shared or one exclusively, in the order of asking: nobody waits for ever.

export class SharedLock {
  /** Holders: > 0 shared, -1 exclusive. */
  #held = 0;
  readonly #queue: { readonly isExclusive: boolean; readonly start: () => void }[] = [];

  /** Whether something shared that is done within a call may be done now. */
  get isSharedOrFree(): boolean {
    return this.#queue.length === 0 && this.#held >= 0;
  }

  shared<T>(work: () => Promise<T>): Promise<T> {
    return this.#with(false, work);
  }

  exclusive<T>(work: () => Promise<T>): Promise<T> {
    return this.#with(true, work);
  }

  async #with<T>(isExclusive: boolean, work: () => Promise<T>): Promise<T> {
    if (this.#queue.length === 0 && this.#isFree(isExclusive)) this.#held += isExclusive ? -1 : 1;
    else await new Promise<void>((start) => this.#queue.push({ isExclusive, start }));
    try {
      return await work();
    } finally {
      this.#held += isExclusive ? 1 : -1;
      this.#next();
    }
  }

  #isFree(isExclusive: boolean): boolean {
    return isExclusive ? this.#held === 0 : this.#held >= 0;
  }

  /** Holding is counted before the waiter runs, so that nobody can come between. */
  #next(): void {
    for (let first = this.#queue[0]; first && this.#isFree(first.isExclusive); first = this.#queue[0]) {
      this.#queue.shift();
      this.#held += first.isExclusive ? -1 : 1;
      first.start();
    }
  }
}
