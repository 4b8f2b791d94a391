// A domain's console, the host's end. Output arrives from console_io (dom0) or from a console ring (domU, io/console.h); input
// waits in a queue until the guest takes it: by CONSOLEIO_read, or as the ring has room.
// Ring indices come from the guest: they are masked on use, and a ring whose fill level is impossible moves no data.

import { XENCONS } from "./public/io/console.js";

/** Input beyond this is refused: nobody reads it. */
const MAX_QUEUED = 1 << 20;

export interface DomainConsoleOptions {
  readonly onOutput: (bytes: Uint8Array) => void;
  /** Input waits and there is no ring: VIRQ_CONSOLE. */
  readonly onInputWaiting: () => void;
}

/** The guest's page with a ring. */
export interface RingPage {
  /** A view, which the guest may change at any time. */
  readonly bytes: Uint8Array;
  write(offset: number, source: Uint8Array): void;
}

/** Our end of the ring's event channel. */
export interface RingEvent {
  notify(): void;
}

export class DomainConsole {
  readonly #options: DomainConsoleOptions;
  #input: Uint8Array[] = [];
  #queued = 0;
  #ring: RingPage | undefined;
  #event: RingEvent | undefined;
  readonly #word = new DataView(new ArrayBuffer(4));

  constructor(options: DomainConsoleOptions) {
    this.#options = options;
  }

  /** Connects the ring in the guest's page; `bind` connects the event channel and calls back on each event. */
  attachRing(page: RingPage, bind: (onEvent: () => void) => RingEvent | undefined): void {
    this.#ring = page;
    this.#event = bind(() => this.#pump());
    this.#pump();
  }

  /** The domain or its frontend goes: what the ring still holds is delivered, then its page is touched no more. */
  detach(): void {
    this.#pump();
    this.#ring = undefined;
    this.#event = undefined;
  }

  /** Output by console_io. */
  output(bytes: Uint8Array): void {
    this.#options.onOutput(bytes);
  }

  /** Input for the guest. Returns how many bytes were taken: fewer when the guest doesn't read. */
  write(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, MAX_QUEUED - this.#queued);
    if (taken > 0) {
      this.#input.push(bytes.slice(0, taken));
      this.#queued += taken;
    }
    if (this.#ring) this.#pump();
    else if (this.#queued > 0) this.#options.onInputWaiting();
    return taken;
  }

  get queued(): number {
    return this.#queued;
  }

  /** Takes at most `limit` bytes of the waiting input: CONSOLEIO_read. */
  read(limit: number): Uint8Array {
    const result = new Uint8Array(Math.min(limit, this.#queued));
    let at = 0;
    while (at < result.length) {
      const head = this.#input[0]!;
      const part = head.subarray(0, result.length - at);
      result.set(part, at);
      at += part.length;
      if (part.length === head.length) this.#input.shift();
      else this.#input[0] = head.subarray(part.length);
    }
    this.#queued -= result.length;
    return result;
  }

  #pump(): void {
    if (!this.#ring) return;
    const moved = this.#pumpOutput(this.#ring) + this.#pumpInput(this.#ring);
    if (moved > 0) this.#event?.notify();
  }

  #pumpOutput(ring: RingPage): number {
    const consumed = readIndex(ring, XENCONS.out_cons);
    const produced = readIndex(ring, XENCONS.out_prod);
    const count = (produced - consumed) >>> 0;
    if (count === 0 || count > XENCONS.outSize) return 0;
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i++) bytes[i] = ring.bytes[XENCONS.out + ((consumed + i) & (XENCONS.outSize - 1))]!;
    this.#writeIndex(ring, XENCONS.out_cons, produced);
    this.#options.onOutput(bytes);
    return count;
  }

  #pumpInput(ring: RingPage): number {
    const produced = readIndex(ring, XENCONS.in_prod);
    const used = (produced - readIndex(ring, XENCONS.in_cons)) >>> 0;
    if (used > XENCONS.inSize || this.#queued === 0) return 0;
    const bytes = this.read(XENCONS.inSize - used);
    const start = produced & (XENCONS.inSize - 1);
    const untilEnd = bytes.subarray(0, XENCONS.inSize - start);
    ring.write(XENCONS.in + start, untilEnd);
    ring.write(XENCONS.in, bytes.subarray(untilEnd.length));
    this.#writeIndex(ring, XENCONS.in_prod, produced + bytes.length);
    return bytes.length;
  }

  #writeIndex(ring: RingPage, at: number, value: number): void {
    this.#word.setUint32(0, value >>> 0, true);
    ring.write(at, new Uint8Array(this.#word.buffer));
  }
}

function readIndex({ bytes }: RingPage, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
