// The console of one domain and those who look at it. Output that nobody saw is kept for the next viewer, as a pty keeps it; a viewer
// that doesn't read loses output, never holds the guest up, and is told.

import type { Duplex } from "node:stream";
import type { GuestConsole } from "./guest-console.js";
import { KeptOutput } from "./kept-output.js";

/** Output kept while nobody looks. */
const MAX_UNSEEN = 1 << 16;
/** What a viewer may leave unread. */
const MAX_UNREAD = 1 << 20;
const LOST = "\r\n[xen-ts: this viewer was too slow; output is missing here]\r\n";

interface Viewer {
  readonly stream: Duplex;
  /** Stays when the domain is built anew after a reboot. */
  readonly follows: boolean;
  isLosing: boolean;
}

export class ConsoleHub {
  readonly #console: GuestConsole;
  readonly #viewers = new Set<Viewer>();
  readonly #stop: () => void;
  readonly #unseen = new KeptOutput(MAX_UNSEEN);

  /** @param log gets all output */
  constructor(console: GuestConsole, log: (bytes: Uint8Array) => void) {
    this.#console = console;
    this.#stop = console.onData((bytes) => {
      log(bytes);
      this.#deliver(bytes);
    });
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  #deliver(bytes: Uint8Array): void {
    if (this.#viewers.size === 0) this.#unseen.push(bytes);
    for (const viewer of this.#viewers) send(viewer, bytes);
  }

  /** Shows the console on a stream, both ways, until either ends. */
  attach(stream: Duplex, options: { follows?: boolean } = {}): void {
    this.#add({ stream, follows: options.follows ?? false, isLosing: false });
  }

  #add(viewer: Viewer): void {
    const { stream } = viewer;
    this.#viewers.add(viewer);
    for (const bytes of this.#unseen.takeAll()) send(viewer, bytes);
    stream.removeAllListeners("data");
    stream.on("data", (bytes: Uint8Array) => {
      // What the guest doesn't take yet isn't read from the viewer either.
      stream.pause();
      const typed = this.#console.write(bytes).catch(() => {});
      typed.then(() => this.#viewers.has(viewer) && stream.resume());
    });
    stream.once("close", () => this.#viewers.delete(viewer));
    stream.once("end", () => stream.end());
    stream.on("error", () => {});
    stream.resume();
  }

  /** The domain was built anew: those who follow it look at its successor. */
  moveTo(next: ConsoleHub): void {
    for (const viewer of [...this.#viewers]) {
      if (!viewer.follows) continue;
      this.#viewers.delete(viewer);
      next.#add(viewer);
    }
  }

  /** The domain is gone: its viewers' streams end after what they were sent; those who follow may wait for its successor. */
  end(options: { keepFollowers?: boolean } = {}): void {
    this.#stop();
    for (const viewer of [...this.#viewers]) {
      if (options.keepFollowers && viewer.follows) continue;
      this.#viewers.delete(viewer);
      viewer.stream.end();
      setTimeout(() => viewer.stream.destroy(), 1000).unref();
    }
  }
}

function send(viewer: Viewer, bytes: Uint8Array): void {
  const { stream } = viewer;
  if (!stream.writable) return;
  if (stream.writableLength > MAX_UNREAD) {
    viewer.isLosing = true;
    return;
  }
  if (viewer.isLosing) {
    viewer.isLosing = false;
    stream.write(LOST);
  }
  // The bytes may be a view of memory that changes.
  stream.write(Buffer.from(bytes));
}
