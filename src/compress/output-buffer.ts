// The output of a decompressor: one growing array with a hard limit. The array also serves as the
// dictionary of the LZ formats, so a match is a copy within it and no window is kept apart.

import { CompressError, DEFAULT_MAX_OUTPUT, type DecompressOptions } from "./compress-error.js";

const INITIAL_CAPACITY = 64 * 1024;

export class OutputBuffer {
  /** Backing store: `bytes.length` is the capacity. Replaced by `ensure`: read it again after each call. */
  bytes: Uint8Array;
  /** Bytes produced so far. */
  length = 0;
  readonly limit: number;
  readonly format: string;

  constructor(format: string, options: DecompressOptions) {
    this.format = format;
    this.limit = options.maxOutput ?? DEFAULT_MAX_OUTPUT;
    this.bytes = new Uint8Array(Math.min(options.expectedSize ?? INITIAL_CAPACITY, this.limit));
  }

  /** Makes room for `count` more bytes. Throws "too-large" when that passes the limit; `offset` is the input position. */
  ensure(count: number, offset: number): void {
    const need = this.length + count;
    if (need <= this.bytes.length) return;
    if (need > this.limit) {
      throw new CompressError("too-large", this.format, offset, `output would exceed ${this.limit} bytes`);
    }
    const grown = new Uint8Array(Math.min(Math.max(need, this.bytes.length * 2), this.limit));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  append(data: Uint8Array, offset: number): void {
    this.ensure(data.length, offset);
    this.bytes.set(data, this.length);
    this.length += data.length;
  }

  /** The bytes produced. A store more than a quarter empty is copied, so that the surplus can be freed. */
  finish(): Uint8Array {
    const view = this.bytes.subarray(0, this.length);
    return this.length < this.bytes.length * 0.75 ? view.slice() : view;
  }
}
