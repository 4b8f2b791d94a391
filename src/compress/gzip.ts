// gzip (RFC 1952) and through it DEFLATE (RFC 1951), by node:zlib. Bytes after the last member that
// don't start another one are ignored, as gzip does with padding.

import { gunzipSync } from "node:zlib";
import { CompressError, DEFAULT_MAX_OUTPUT, type DecompressOptions } from "./compress-error.js";

/** Unpacks all members of a gzip file. Checks CRC-32 and length of each. */
export function decompressGzip(bytes: Uint8Array, options: DecompressOptions = {}): Uint8Array {
  if (bytes.length < 18) {
    throw new CompressError("truncated", "gzip", bytes.length, "a gzip member has at least 18 bytes");
  }
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) throw new CompressError("corrupt", "gzip", 0, "no gzip magic");
  if (bytes[2] !== 8) throw new CompressError("unsupported", "gzip", 2, `compression method ${bytes[2]}`);
  const maxOutput = options.maxOutput ?? DEFAULT_MAX_OUTPUT;
  try {
    // zlib refuses a limit of 0; with 1 an empty limit is still enforced below.
    const out = gunzipSync(bytes, { maxOutputLength: Math.max(maxOutput, 1) });
    if (out.length > maxOutput) throw tooLarge(maxOutput);
    return new Uint8Array(out.buffer, out.byteOffset, out.length);
  } catch (cause) {
    if (cause instanceof CompressError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(maxOutput, cause);
    if (code === "Z_BUF_ERROR") {
      throw new CompressError("truncated", "gzip", bytes.length, "unexpected end of file", { cause });
    }
    throw new CompressError("corrupt", "gzip", 0, cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function tooLarge(maxOutput: number, cause?: unknown): CompressError {
  return new CompressError("too-large", "gzip", 0, `output would exceed ${maxOutput} bytes`, { cause });
}
