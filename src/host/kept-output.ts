// Output that nobody has taken yet, at most so many bytes: the oldest goes first.

export class KeptOutput {
  readonly #limit: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  /** @param limit bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The oldest bytes, as many as came together. */
  get first(): Uint8Array | undefined {
    return this.#pieces[0];
  }

  /** Keeps a copy. @returns whether older output was dropped */
  push(bytes: Uint8Array): boolean {
    if (bytes.length === 0) return false;
    this.#pieces.push(Uint8Array.from(bytes));
    this.#bytes += bytes.length;
    const over = this.#bytes - this.#limit;
    if (over <= 0) return false;
    this.drop(over);
    return true;
  }

  /** Forgets the oldest `count` bytes. */
  drop(count: number): void {
    let left = Math.min(count, this.#bytes);
    this.#bytes -= left;
    while (left > 0) {
      const head = this.#pieces[0]!;
      if (head.length > left) this.#pieces[0] = head.subarray(left);
      else this.#pieces.shift();
      left -= Math.min(left, head.length);
    }
  }

  /** All of it; none is kept then. */
  takeAll(): Uint8Array[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#bytes = 0;
    return pieces;
  }
}
