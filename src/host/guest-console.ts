// A domain's console as library users see it: bytes out, bytes in, and waiting for a text to appear.

import { XenError } from "./errors.js";

/** Output kept for waitFor and read; older text is dropped. */
const KEPT = 4 << 20;

export interface WaitOptions {
  /** Milliseconds of host time; default 60,000. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

interface Waiter {
  check(): boolean;
  fail(error: Error): void;
}

export class GuestConsole {
  readonly #name: string;
  readonly #send: (bytes: Uint8Array) => number;
  readonly #decoder = new TextDecoder("utf-8");
  readonly #listeners = new Set<(bytes: Uint8Array) => void>();
  readonly #waiters = new Set<Waiter>();
  /** Text that waitFor and read haven't consumed. */
  #text = "";
  #ended: Error | undefined;

  /** Made by the host. `send` takes input and returns how many bytes the guest's queue took. */
  constructor(name: string, send: (bytes: Uint8Array) => number) {
    this.#name = name;
    this.#send = send;
  }

  /** Called with each piece of output. Returns a function that unsubscribes. */
  onData(listener: (bytes: Uint8Array) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Types into the console. Resolves when the guest's queue took all of it.
   * @throws XenError "domain-gone" when the domain ends first.
   */
  async write(input: string | Uint8Array): Promise<void> {
    let bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
    for (;;) {
      if (this.#ended) throw this.#ended;
      bytes = bytes.subarray(this.#send(bytes));
      if (bytes.length === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Output since the last read or waitFor. */
  read(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  /**
   * Waits until the output since the last read or waitFor matches, consumes it up to the end of the match, and returns the match;
   * `match.input` is the text it was found in.
   * @throws XenError "timeout", or "domain-gone" / "domain-crashed" when the domain ends first.
   */
  waitFor(pattern: RegExp, options: WaitOptions = {}): Promise<RegExpMatchArray> {
    const { timeout = 60_000, signal } = options;
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const done = () => {
        this.#waiters.delete(waiter);
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
      };
      const onAbort = () => {
        done();
        reject(signal!.reason);
      };
      const waiter: Waiter = {
        check: () => {
          pattern.lastIndex = 0;
          const match = this.#text.match(pattern);
          if (!match) return false;
          this.#text = this.#text.slice((match.index ?? 0) + match[0].length);
          done();
          resolve(match);
          return true;
        },
        fail: (error) => {
          done();
          reject(error);
        },
      };
      if (waiter.check()) return;
      if (this.#ended) return reject(this.#ended);
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener("abort", onAbort);
      this.#waiters.add(waiter);
      timer = setTimeout(() => {
        const tail = this.#text.slice(-400).trimEnd();
        waiter.fail(
          new XenError(
            "timeout",
            `${this.#name}: console did not show ${pattern} within ${timeout} ms; it ends with: ${tail}`,
          ),
        );
      }, timeout);
    });
  }

  /** Output in pieces, as it comes, until the domain ends. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const queue: Uint8Array[] = [];
    let wake = () => {};
    const stop = this.onData((bytes) => {
      queue.push(bytes);
      wake();
    });
    this.#onEnd.add(() => wake());
    try {
      for (;;) {
        while (queue.length > 0) yield queue.shift()!;
        if (this.#ended) return;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      stop();
    }
  }
  readonly #onEnd = new Set<() => void>();

  /** For the host: output of the guest. */
  deliver(bytes: Uint8Array): void {
    this.#text += this.#decoder.decode(bytes, { stream: true });
    if (this.#text.length > KEPT) this.#text = this.#text.slice(-KEPT / 2);
    for (const listener of this.#listeners) listener(bytes);
    for (const waiter of [...this.#waiters]) waiter.check();
  }

  /** For the host: the domain is gone, nothing more will come. */
  end(error: Error): void {
    this.#ended = error;
    for (const waiter of [...this.#waiters]) waiter.fail(error);
    for (const wake of this.#onEnd) wake();
  }
}
