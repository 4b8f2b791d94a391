// A domain's console, the host's end. Output arrives from console_io (dom0) or from the console ring (domU, io/console.h); input
// waits in a queue until the guest takes it: by CONSOLEIO_read, or as the ring has room.
// Ring indices come from the guest: they are masked on use, and a ring whose fill level is impossible moves no data.

import type { MachineMemory } from "../mmu/machine-memory.js";
import type { HostBinding } from "./event-channels.js";
import { XENCONS } from "./public/io/console.js";

/** Input beyond this is refused: nobody reads it. */
const MAX_QUEUED = 1 << 20;

export interface DomainConsoleOptions {
  readonly memory: MachineMemory;
  readonly onOutput: (bytes: Uint8Array) => void;
  /** Input waits and there is no ring: VIRQ_CONSOLE. */
  readonly onInputWaiting: () => void;
}

export class DomainConsole {
  readonly #options: DomainConsoleOptions;
  #input: Uint8Array[] = [];
  #queued = 0;
  /** Machine address of the ring page, or -1. */
  #ring = -1;
  #binding: HostBinding | undefined;

  constructor(options: DomainConsoleOptions) {
    this.#options = options;
  }

  /** Connects the ring in the guest's page; `bind` connects the event channel and calls back on each event. */
  attachRing(maddr: number, bind: (onEvent: () => void) => HostBinding | undefined): void {
    this.#ring = maddr;
    this.#binding = bind(() => this.#pump());
    this.#pump();
  }

  /** The domain goes: what its ring still holds is delivered, then no page is touched any more. */
  detach(): void {
    this.#pump();
    this.#ring = -1;
    this.#binding = undefined;
  }

  get hasRing(): boolean {
    return this.#ring >= 0;
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
    if (this.hasRing) this.#pump();
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
    if (this.#ring < 0) return;
    const moved = this.#pumpOutput() + this.#pumpInput();
    if (moved > 0) this.#binding?.notify();
  }

  #pumpOutput(): number {
    const { memory } = this.#options;
    const ring = this.#ring;
    const consumed = memory.readU32(ring + XENCONS.out_cons);
    const produced = memory.readU32(ring + XENCONS.out_prod);
    const count = (produced - consumed) >>> 0;
    if (count === 0 || count > XENCONS.outSize) return 0;
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i++)
      bytes[i] = memory.readU8(ring + XENCONS.out + ((consumed + i) & (XENCONS.outSize - 1)));
    memory.writeU32(ring + XENCONS.out_cons, produced);
    this.#options.onOutput(bytes);
    return count;
  }

  #pumpInput(): number {
    const { memory } = this.#options;
    const ring = this.#ring;
    const consumed = memory.readU32(ring + XENCONS.in_cons);
    const produced = memory.readU32(ring + XENCONS.in_prod);
    const used = (produced - consumed) >>> 0;
    if (used > XENCONS.inSize || this.#queued === 0) return 0;
    const bytes = this.read(XENCONS.inSize - used);
    for (let i = 0; i < bytes.length; i++)
      memory.writeU8(ring + XENCONS.in + ((produced + i) & (XENCONS.inSize - 1)), bytes[i]!);
    memory.writeU32(ring + XENCONS.in_prod, (produced + bytes.length) >>> 0);
    return bytes.length;
  }
}
