// The one door of src/compress: recognise and unpack.

import { decompressBzip2 } from "./bzip2/bzip2.js";
import { CompressError, type DecompressOptions } from "./compress-error.js";
import { type Compression, detectCompression } from "./detect.js";
import { decompressGzip } from "./gzip.js";
import { decompressLz4 } from "./lz4.js";
import { decompressLzma } from "./lzma/lzma-alone.js";
import { decompressLzo } from "./lzo.js";
import { decompressXz } from "./xz/xz.js";
import { decompressZstd } from "./zstd/zstd.js";

export { CompressError, type CompressErrorCode, DEFAULT_MAX_OUTPUT, type DecompressOptions } from "./compress-error.js";
export { type Compression, detectCompression } from "./detect.js";

const DECOMPRESSORS: Readonly<Record<Compression, (bytes: Uint8Array, options: DecompressOptions) => Uint8Array>> = {
  gzip: decompressGzip,
  xz: decompressXz,
  lzma: decompressLzma,
  zstd: decompressZstd,
  lz4: decompressLz4,
  lzo: decompressLzo,
  bzip2: decompressBzip2,
};

/** Unpacks `bytes`; the format is recognised unless `format` names it. Throws CompressError. */
export function decompress(
  bytes: Uint8Array,
  options: DecompressOptions & { readonly format?: Compression } = {},
): Uint8Array {
  const format = options.format ?? detectCompression(bytes);
  if (format === undefined) throw new CompressError("unknown-format", "compress", 0, "no known magic number");
  return DECOMPRESSORS[format](bytes, options);
}
