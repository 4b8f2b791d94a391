// The one error type of src/compress and the options all decompressors share.
// Every decompressor is a pure function Uint8Array -> Uint8Array. Whatever the input, it either returns
// the whole output or throws a CompressError: it never reads outside the input and never writes more
// than `maxOutput` bytes.

/** truncated: the input ends early; corrupt: it breaks the format or a checksum; unsupported: valid, but not handled. */
export type CompressErrorCode = "truncated" | "corrupt" | "unsupported" | "too-large" | "unknown-format";

/** A compressed stream can't be unpacked. `message` is one line: "xz: truncated at offset 12: block header". */
export class CompressError extends Error {
  readonly code: CompressErrorCode;
  /** Format name as in {@link Compression}, or "compress" when it isn't known. */
  readonly format: string;
  /** Byte offset in the compressed input near which the problem was met. */
  readonly offset: number;

  constructor(code: CompressErrorCode, format: string, offset: number, detail: string, options?: ErrorOptions) {
    super(`${format}: ${code} at offset ${offset}: ${detail}`, options);
    this.name = "CompressError";
    this.code = code;
    this.format = format;
    this.offset = offset;
  }
}

export interface DecompressOptions {
  /** Most bytes to produce; more is a "too-large" error. Default {@link DEFAULT_MAX_OUTPUT}. */
  readonly maxOutput?: number;
  /** The output size in bytes if the caller knows it: only a hint for allocation, checked against maxOutput. */
  readonly expectedSize?: number;
}

/** 1 GiB: far above any kernel or initramfs, far below what would bring the process down. */
export const DEFAULT_MAX_OUTPUT = 2 ** 30;
