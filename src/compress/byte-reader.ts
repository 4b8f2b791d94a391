// Bounds-checked little- and big-endian reads over the compressed input. A read past the end throws a
// "truncated" CompressError that names the field. For headers only: hot loops index the array themselves.

import { CompressError } from "./compress-error.js";

export class ByteReader {
  readonly bytes: Uint8Array;
  readonly format: string;
  offset: number;

  constructor(bytes: Uint8Array, format: string, offset = 0) {
    this.bytes = bytes;
    this.format = format;
    this.offset = offset;
  }

  get remaining(): number {
    return this.bytes.length - this.offset;
  }

  /** Throws "truncated" unless `count` more bytes are there. */
  need(count: number, field: string): void {
    if (count > this.remaining) {
      throw new CompressError(
        "truncated",
        this.format,
        this.offset,
        `${field} needs ${count} bytes, ${this.remaining} left`,
      );
    }
  }

  u8(field: string): number {
    this.need(1, field);
    return this.bytes[this.offset++]!;
  }

  u16be(field: string): number {
    this.need(2, field);
    const o = this.offset;
    this.offset += 2;
    return (this.bytes[o]! << 8) | this.bytes[o + 1]!;
  }

  u16le(field: string): number {
    this.need(2, field);
    const o = this.offset;
    this.offset += 2;
    return this.bytes[o]! | (this.bytes[o + 1]! << 8);
  }

  u32be(field: string): number {
    return ((this.u16be(field) << 16) | this.u16be(field)) >>> 0;
  }

  u32le(field: string): number {
    return (this.u16le(field) | (this.u16le(field) << 16)) >>> 0;
  }

  /** A 64-bit size. Anything above 2^53 - 1 can't be satisfied here and reads as Infinity. */
  u64le(field: string): number {
    const low = this.u32le(field);
    const value = this.u32le(field) * 2 ** 32 + low;
    return Number.isSafeInteger(value) ? value : Number.POSITIVE_INFINITY;
  }

  take(count: number, field: string): Uint8Array {
    this.need(count, field);
    const o = this.offset;
    this.offset += count;
    return this.bytes.subarray(o, o + count);
  }

  corrupt(detail: string, offset = this.offset): CompressError {
    return new CompressError("corrupt", this.format, offset, detail);
  }

  unsupported(detail: string, offset = this.offset): CompressError {
    return new CompressError("unsupported", this.format, offset, detail);
  }
}
