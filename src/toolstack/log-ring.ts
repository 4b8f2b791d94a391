// The last lines of a log: what `xl dmesg` reads of Xen's console ring.

/** As Xen's own conring, about: text of the lines, bytes. */
const SIZE = 1 << 16;

export class LogRing {
  #lines: string[] = [];
  #size = 0;
  #onLine: ((line: string) => void) | undefined;

  /** Gives each line to somebody who keeps them for longer, those first that are in the ring. */
  forward(onLine: ((line: string) => void) | undefined): void {
    this.#onLine = onLine;
    if (onLine) for (const line of this.#lines) onLine(line);
  }

  push(line: string): void {
    this.#onLine?.(line);
    this.#lines.push(line);
    this.#size += line.length + 1;
    while (this.#size > SIZE) this.#size -= this.#lines.shift()!.length + 1;
  }

  /** @param clear empties the ring after reading */
  read(clear = false): string[] {
    const lines = [...this.#lines];
    if (clear) {
      this.#lines = [];
      this.#size = 0;
    }
    return lines;
  }
}
