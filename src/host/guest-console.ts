// A domain's console as library users see it: bytes out, bytes in, and waiting for a text to appear.

import { XenError } from "./errors.js";

/** Output kept for waitFor and read; older text is dropped. */
const KEPT = 4 << 20;
/** How often a full input queue of the guest is tried again. */
const RETRY_MS = 5;

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
  readonly #name: () => string;
  readonly #send: (bytes: Uint8Array) => number;
  readonly #decoder = new TextDecoder("utf-8");
  readonly #listeners = new Set<(bytes: Uint8Array) => void>();
  readonly #endListeners = new Set<(reason: Error) => void>();
  readonly #waiters = new Set<Waiter>();
  /** Text that waitFor and read haven't consumed. */
  #text = "";
  #ended: Error | undefined;

  /** Made by the host. `send` takes input and returns how many bytes the guest's queue took. */
  constructor(name: () => string, send: (bytes: Uint8Array) => number) {
    this.#name = name;
    this.#send = send;
  }

  /** Called with each piece of output. Returns a function that unsubscribes. */
  onData(listener: (bytes: Uint8Array) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Called once when nothing more will come, at once if that is so already. Returns a function that unsubscribes. */
  onEnd(listener: (reason: Error) => void): () => void {
    if (this.#ended) listener(this.#ended);
    else this.#endListeners.add(listener);
    return () => this.#endListeners.delete(listener);
  }

  /**
   * Types into the console. Resolves when the guest's queue took all of it.
   * @throws XenError "domain-gone" or "domain-crashed" when the domain ends first.
   */
  async write(input: string | Uint8Array): Promise<void> {
    let bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
    for (;;) {
      if (this.#ended) throw this.#ended;
      bytes = bytes.subarray(this.#send(bytes));
      if (bytes.length === 0) return;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
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
    // A global or sticky pattern would search from where its last use ended, and match() would return no positions.
    const search = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""));
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const done = () => {
        this.#waiters.delete(waiter);
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
      };
      const onAbort = () => waiter.fail(signal?.reason);
      const waiter: Waiter = {
        check: () => {
          const match = this.#text.match(search);
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
        const text = `${this.#name()}: the console did not show ${pattern} within ${timeout} ms; it ends with: ${tail}`;
        waiter.fail(new XenError("timeout", text));
      }, timeout);
    });
  }

  /** Output in pieces, as it comes from now on, until the domain ends. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    const queue: Uint8Array[] = [];
    let wake = () => {};
    const stopData = this.onData((bytes) => {
      queue.push(bytes);
      wake();
    });
    const stopEnd = this.onEnd(() => wake());
    try {
      for (;;) {
        for (let bytes = queue.shift(); bytes; bytes = queue.shift()) yield bytes;
        if (this.#ended) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      stopData();
      stopEnd();
    }
  }

  /** For the host: output of the guest. */
  deliver(bytes: Uint8Array): void {
    this.#text += this.#decoder.decode(bytes, { stream: true });
    if (this.#text.length > KEPT) this.#text = this.#text.slice(-KEPT / 2);
    for (const listener of this.#listeners) listener(bytes);
    for (const waiter of [...this.#waiters]) waiter.check();
  }

  /** For the host: the domain is gone, nothing more will come. */
  end(reason: Error): void {
    if (this.#ended) return;
    this.#ended = reason;
    for (const waiter of [...this.#waiters]) waiter.fail(reason);
    for (const listener of this.#endListeners) listener(reason);
    this.#endListeners.clear();
  }
}
