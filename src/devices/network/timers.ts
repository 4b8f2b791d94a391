// Time for networks: milliseconds since any moment, and calls later. Injected, so that timeouts can be tested and replayed.

export interface Timers {
  /** Milliseconds; never goes back. */
  now(): number;
  /** Calls back once. @returns what prevents it */
  after(milliseconds: number, callback: () => void): () => void;
}

/** The process's timers, which don't keep it alive. @param now a monotonic clock in milliseconds */
export function hostTimers(now: () => number): Timers {
  return {
    now,
    after(milliseconds, callback) {
      const timer = setTimeout(callback, milliseconds);
      timer.unref();
      return () => clearTimeout(timer);
    },
  };
}

interface Pending {
  readonly due: number;
  readonly callback: () => void;
}

/** Time that passes when told. Calls that are due at the same time come in the order they were asked for. */
export class VirtualTimers implements Timers {
  #now = 0;
  readonly #pending = new Set<Pending>();

  now(): number {
    return this.#now;
  }

  /** Timers that haven't fired. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Milliseconds to the next call. */
  get untilNext(): number | undefined {
    let next: number | undefined;
    for (const { due } of this.#pending) if (next === undefined || due < next) next = due;
    return next === undefined ? undefined : Math.max(0, next - this.#now);
  }

  after(milliseconds: number, callback: () => void): () => void {
    const pending = { due: this.#now + Math.max(0, milliseconds), callback };
    this.#pending.add(pending);
    return () => void this.#pending.delete(pending);
  }

  /** Lets time pass, with all calls that fall due meanwhile. */
  advance(milliseconds: number): void {
    if (this.#pending.size === 0) {
      this.#now += milliseconds;
      return;
    }
    const end = this.#now + milliseconds;
    for (;;) {
      let next: Pending | undefined;
      for (const each of this.#pending) if (each.due <= end && (!next || each.due < next.due)) next = each;
      if (!next) break;
      this.#pending.delete(next);
      this.#now = next.due;
      next.callback();
    }
    this.#now = end;
  }
}
