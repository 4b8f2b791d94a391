// The user's terminal while a guest has it: raw mode, Ctrl-] to leave, and everything as it was afterwards, on every way out.

import { TerminalModes } from "./terminal-modes.js";

/** Ctrl-]: as xl's and virsh's consoles have it. */
const DETACH = 0x1d;

export interface TerminalHandlers {
  /** Keys, as bytes. */
  readonly onInput: (bytes: Uint8Array) => void;
  readonly onDetach: () => void;
}

export class Terminal {
  readonly #modes = new TerminalModes();
  #handlers: TerminalHandlers | undefined;
  #isRaw = false;
  readonly #onData = (bytes: Buffer) => this.#input(bytes);
  readonly #onExit = () => this.restore();

  /** Takes the terminal if stdin is one; input from a file or pipe is passed on as it is. */
  start(handlers: TerminalHandlers): void {
    this.#handlers = handlers;
    process.on("exit", this.#onExit);
    if (process.stdin.isTTY) {
      process.stdin.setRawMode(true);
      this.#isRaw = true;
    }
    process.stdin.on("data", this.#onData);
    process.stdin.resume();
  }

  #input(bytes: Buffer): void {
    const at = this.#isRaw ? bytes.indexOf(DETACH) : -1;
    this.#handlers?.onInput(at < 0 ? bytes : bytes.subarray(0, at));
    if (at >= 0) this.#handlers?.onDetach();
  }

  /** Looks at output that goes to the terminal. */
  watch(bytes: Uint8Array): void {
    if (process.stdout.isTTY) this.#modes.feed(bytes);
  }

  /** Gives the terminal back. May be called more than once. */
  restore(): void {
    const restoring = this.#modes.restoring();
    if (process.stdout.isTTY && restoring !== "") {
      process.stdout.write(restoring);
      this.#modes.feed(Buffer.from(restoring));
    }
    if (!this.#handlers) return;
    this.#handlers = undefined;
    process.off("exit", this.#onExit);
    process.stdin.off("data", this.#onData);
    process.stdin.pause();
    if (this.#isRaw) process.stdin.setRawMode(false);
    this.#isRaw = false;
  }
}
