// A log file that a guest can fill for ever (its console, as xenconsoled keeps it; the messages that it provokes): at its full size the
// file becomes FILE.1 and a new one begins.

import { closeSync, fstatSync, openSync, renameSync, writeSync } from "node:fs";

const MAX_BYTES = 4 << 20;

export class RotatingLog {
  readonly path: string;
  readonly #onError: (error: Error) => void;
  #file = -1;
  #bytes = 0;
  #hasFailed = false;

  /** @param onError hears of the first failure; nothing is written after it */
  constructor(path: string, onError: (error: Error) => void) {
    this.path = path;
    this.#onError = onError;
  }

  write(bytes: Uint8Array): void {
    if (this.#hasFailed) return;
    try {
      if (this.#file < 0) this.#open();
      for (let done = 0; done < bytes.length; ) done += writeSync(this.#file, bytes, done);
      this.#bytes += bytes.length;
      if (this.#bytes >= MAX_BYTES) this.#rotate();
    } catch (error) {
      this.#hasFailed = true;
      this.close();
      this.#onError(error as Error);
    }
  }

  #open(): void {
    this.#file = openSync(this.path, "a", 0o600);
    this.#bytes = fstatSync(this.#file).size;
  }

  #rotate(): void {
    this.close();
    renameSync(this.path, `${this.path}.1`);
  }

  close(): void {
    if (this.#file >= 0) closeSync(this.#file);
    this.#file = -1;
  }
}
