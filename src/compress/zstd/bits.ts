// The backward bit stream of zstd (RFC 8878, 4.1): bytes are read from the last to the first, bits from the most
// significant down, after the highest set bit of the last byte, which is only a mark.
// `position` counts the bits that are left; below 0 the stream was overread, and the missing bits read as 0.

import { CompressError } from "../compress-error.js";

export function corrupt(offset: number, detail: string): CompressError {
  return new CompressError("corrupt", "zstd", offset, detail);
}

/** Position of the highest set bit of a positive number. */
export function log2(value: number): number {
  return 31 - Math.clz32(value);
}

export class BackwardBits {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  position: number;

  /** Over bytes[start, end). */
  constructor(bytes: Uint8Array, start: number, end: number) {
    const last = end > start ? bytes[end - 1]! : 0;
    if (last === 0) throw corrupt(end, "bit stream without its end mark");
    this.#bytes = bytes;
    this.#start = start;
    this.position = (end - start - 1) * 8 + log2(last);
  }

  /** Reads `count` bits, 0 to 25. */
  read(count: number): number {
    const position = (this.position -= count);
    const mask = (1 << count) - 1;
    if (position < 0) {
      // Bits below the first byte: zero.
      const held = position + count;
      return held <= 0 ? 0 : ((this.#word(0) & ((1 << held) - 1)) << -position) & mask;
    }
    return (this.#word(position >> 3) >>> (position & 7)) & mask;
  }

  #word(at: number): number {
    const bytes = this.#bytes;
    const i = this.#start + at;
    return bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
  }
}
