// The .lzma ("LZMA alone") container that kernels with CONFIG_KERNEL_LZMA use: properties byte, dictionary
// size (4 bytes), unpacked size (8 bytes, all ones = unknown: then an end marker closes the data).

import { ByteReader } from "../byte-reader.js";
import { CompressError, DEFAULT_MAX_OUTPUT, type DecompressOptions } from "../compress-error.js";
import { OutputBuffer } from "../output-buffer.js";
import { LzmaDecoder } from "./lzma-decoder.js";

/** Longest LZMA match. */
const MATCH_MAX = 273;
/** Room kept beyond the limit, so that a match that crosses it is still written whole, and then refused. */
const SLACK = MATCH_MAX + 1;

/** Unpacks one .lzma file. There is no checksum in this format. */
export function decompressLzma(bytes: Uint8Array, options: DecompressOptions = {}): Uint8Array {
  const reader = new ByteReader(bytes, "lzma");
  const limit = options.maxOutput ?? DEFAULT_MAX_OUTPUT;
  const out = new OutputBuffer("lzma", {
    maxOutput: limit + SLACK,
    ...(options.expectedSize === undefined ? {} : { expectedSize: options.expectedSize + 2 * SLACK }),
  });
  const decoder = new LzmaDecoder(bytes, out);
  const properties = reader.u8("properties");
  const dictSize = reader.u32le("dictionary size");
  const low = reader.u32le("unpacked size");
  const high = reader.u32le("unpacked size");
  const size = low === 0xffffffff && high === 0xffffffff ? undefined : high * 2 ** 32 + low;
  if (!decoder.setProperties(properties)) throw reader.corrupt(`properties 0x${properties.toString(16)}`, 0);
  if (size !== undefined && size > limit) throw tooLarge(limit, 5);
  // The specification raises smaller dictionaries to 4 KiB.
  decoder.dictSize = Math.max(dictSize, 4096);
  decoder.inPos = reader.offset;
  decoder.startRangeCoder(bytes.length);

  let ended = false;
  while (!ended && (size === undefined || out.length < size)) {
    out.ensure(SLACK, decoder.inPos);
    const capacity = out.bytes.length;
    if (size !== undefined && capacity >= size) ended = decoder.run(size, size);
    else ended = decoder.run(capacity - MATCH_MAX, capacity);
    if (out.length > limit) throw tooLarge(limit, decoder.inPos);
  }
  if (size !== undefined) {
    if (ended && out.length < size) throw reader.corrupt("end marker before the declared size", decoder.inPos);
    // An end marker may follow although the size is known.
    if (!ended && !decoder.atCleanEnd && !decoder.run(size + 1, size)) {
      throw reader.corrupt("data goes on after the declared size", decoder.inPos);
    }
  }
  if (!decoder.atCleanEnd) throw reader.corrupt("range coder doesn't end at zero", decoder.inPos);
  if (decoder.inPos !== bytes.length) throw reader.corrupt("bytes after the end of the data", decoder.inPos);
  return out.finish();
}

function tooLarge(limit: number, offset: number): CompressError {
  return new CompressError("too-large", "lzma", offset, `output would exceed ${limit} bytes`);
}
