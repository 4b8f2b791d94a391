// Bits from the most significant down, as bzip2 packs them. Reading past the end is a "truncated" error.

import { CompressError } from "../compress-error.js";

export class BitReader {
  readonly #bytes: Uint8Array;
  #next = 0;
  /** The low `#held` bits are still to be read. */
  #buffer = 0;
  #held = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Byte offset of the next unread input. */
  get offset(): number {
    return this.#next - (this.#held >> 3);
  }

  get atEnd(): boolean {
    return this.offset >= this.#bytes.length;
  }

  /** `count` bits, 1 to 24. */
  read(count: number, field: string): number {
    while (this.#held < count) {
      if (this.#next >= this.#bytes.length) throw this.error("truncated", `file ends inside ${field}`);
      this.#buffer = (this.#buffer << 8) | this.#bytes[this.#next++]!;
      this.#held += 8;
    }
    this.#held -= count;
    return (this.#buffer >>> this.#held) & ((1 << count) - 1);
  }

  alignToByte(): void {
    this.#held &= ~7;
  }

  error(code: "truncated" | "corrupt" | "unsupported", detail: string): CompressError {
    return new CompressError(code, "bzip2", this.offset, detail);
  }

  corrupt(detail: string): CompressError {
    return this.error("corrupt", detail);
  }
}
