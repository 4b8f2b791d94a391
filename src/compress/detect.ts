// Recognises a compression format by its magic number.

export type Compression = "gzip" | "xz" | "lzma" | "zstd" | "lz4" | "lzo" | "bzip2";

const MAGICS: readonly (readonly [Compression, readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["lz4", [0x02, 0x21, 0x4c, 0x18]],
  ["lz4", [0x04, 0x22, 0x4d, 0x18]],
  ["lzo", [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  // .lzma has no magic: these are the default properties (lc 3, lp 0, pb 2) and a dictionary of whole 64 KiB.
  ["lzma", [0x5d, 0x00, 0x00]],
];

/** The compression of `bytes`, or undefined if its beginning matches none. */
export function detectCompression(bytes: Uint8Array): Compression | undefined {
  return MAGICS.find(([, magic]) => magic.every((byte, i) => bytes[i] === byte))?.[0];
}
