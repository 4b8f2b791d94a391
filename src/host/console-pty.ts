// A domain's console on a pty, as Xen's console daemon has it: XenStore tells its path, at console/tty in the domain's home. A reader that is slow
// or absent never holds the guest up: the latest output is kept for it, and it is told when older output was dropped.

import type { XenStoreServer } from "../hypervisor/xenstore/server.js";
import type { GuestConsole } from "./guest-console.js";
import { KeptOutput } from "./kept-output.js";
import type { OpenPty, Pty } from "./pty.js";

/** Kept beyond what the kernel's queue has. */
const MAX_UNREAD = 1 << 16;
const LOST = Buffer.from("\r\n[xen-ts: nobody read this in time; output is missing here]\r\n");
/** A full pty is tried again after so long, ms, and then twice that, while nobody reads. */
const MIN_RETRY = 20;
const MAX_RETRY = 320;
/** How long the last output stays readable after the domain's end, ms. */
const LINGER = 1000;

export class ConsolePty {
  readonly #pty: Pty;
  readonly #unread = new KeptOutput(MAX_UNREAD);
  /** Not written yet of the words about lost output. */
  #notice: Uint8Array = LOST.subarray(LOST.length);
  #retry = MIN_RETRY;
  #timer: NodeJS.Timeout | undefined;
  #isEnding = false;

  /** @param onEnd called once: the console has ended, or the pty was hung up, with a reason then */
  constructor(pty: Pty, console: GuestConsole, onEnd: (hungUp?: string) => void) {
    this.#pty = pty;
    const stopData = console.onData((bytes) => this.#deliver(bytes));
    const end = (hungUp?: string) => {
      if (this.#isEnding) return;
      this.#isEnding = true;
      onEnd(hungUp);
    };
    pty.input.on("data", (bytes: Uint8Array) => {
      // What the guest doesn't take yet stays in the pty.
      pty.input.pause();
      const typed = console.write(bytes).catch(() => {});
      typed.then(() => pty.input.resume());
    });
    pty.input.once("error", ({ message }) => end(message));
    pty.input.once("close", () => {
      clearTimeout(this.#timer);
      stopData();
      stopEnd();
      end("closed");
    });
    const stopEnd = console.onEnd(() => {
      end();
      // The process may end meanwhile.
      pty.input.unref();
      setTimeout(() => pty.close(), LINGER).unref();
    });
  }

  #deliver(bytes: Uint8Array): void {
    if (this.#unread.push(bytes) && this.#notice.length === 0) this.#notice = LOST;
    if (!this.#timer) this.#flush();
  }

  #flush(): void {
    this.#timer = undefined;
    while (this.#notice.length > 0 || this.#unread.first) {
      const isNotice = this.#notice.length > 0;
      const written = this.#pty.write(isNotice ? this.#notice : this.#unread.first!);
      if (written === 0) {
        this.#wait();
        return;
      }
      if (isNotice) this.#notice = this.#notice.subarray(written);
      else this.#unread.drop(written);
      this.#retry = MIN_RETRY;
    }
  }

  #wait(): void {
    if (this.#pty.input.destroyed) return;
    this.#timer = setTimeout(() => this.#flush(), this.#retry).unref();
    this.#retry = Math.min(this.#retry * 2, MAX_RETRY);
  }

  /** Gives a console a pty and tells XenStore, at `node`; `name` is for the log. A domain lives without one when none can be had: the log says so. */
  static serve(
    open: OpenPty,
    { name, console, node }: { readonly name: string; readonly console: GuestConsole; readonly node: string },
    store: Pick<XenStoreServer, "write" | "remove">,
    log: (line: string) => void,
  ): void {
    let pty: Pty;
    try {
      pty = open();
    } catch (error) {
      log(`${name} has no pty: ${(error as Error).message}`);
      return;
    }
    store.write(node, pty.path);
    new ConsolePty(pty, console, (hungUp) => {
      store.remove(node);
      if (hungUp !== undefined) log(`${name} has lost its pty ${pty.path}: ${hungUp}`);
    });
  }
}
