// LZO1X in the container of lzop, which kernels with CONFIG_KERNEL_LZO use. Written from the description of the
// byte codes in Linux Documentation/staging/lzo.rst and the layout of lzop 1.04's file header.

import { ByteReader } from "./byte-reader.js";
import { adler32, crc32 } from "./checksums.js";
import type { DecompressOptions } from "./compress-error.js";
import { decodeLzo1x } from "./lzo1x.js";
import { OutputBuffer } from "./output-buffer.js";

const MAGIC = [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a];
const ADLER32_UNPACKED = 0x1;
const ADLER32_PACKED = 0x2;
const EXTRA_FIELD = 0x40;
const CRC32_UNPACKED = 0x100;
const CRC32_PACKED = 0x200;
const MULTIPART = 0x400;
const FILTER = 0x800;
const HEADER_CRC32 = 0x1000;
/** lzop's largest block. */
const MAX_BLOCK = 64 << 20;

/** Unpacks the first file of an lzop archive and verifies all its checksums. */
export function decompressLzo(bytes: Uint8Array, options: DecompressOptions = {}): Uint8Array {
  const reader = new ByteReader(bytes, "lzo");
  const out = new OutputBuffer("lzo", options);
  const flags = readHeader(reader);
  for (;;) {
    const at = reader.offset;
    const size = reader.u32be("block unpacked size");
    if (size === 0) break;
    const packedSize = reader.u32be("block packed size");
    if (size > MAX_BLOCK || packedSize > size || packedSize === 0) {
      throw reader.corrupt(`block of ${packedSize} bytes that unpacks to ${size}`, at);
    }
    const unpackedAdler = flags & ADLER32_UNPACKED ? reader.u32be("block checksum") : undefined;
    const unpackedCrc = flags & CRC32_UNPACKED ? reader.u32be("block checksum") : undefined;
    // A block that didn't shrink is stored, with the checksums of the unpacked data only.
    const stored = packedSize === size;
    const packedAdler = !stored && flags & ADLER32_PACKED ? reader.u32be("block checksum") : undefined;
    const packedCrc = !stored && flags & CRC32_PACKED ? reader.u32be("block checksum") : undefined;
    const start = reader.offset;
    const data = reader.take(packedSize, "block");
    if (packedAdler !== undefined && adler32(data) !== packedAdler) throw reader.corrupt("packed Adler-32 differs", at);
    if (packedCrc !== undefined && crc32(data) !== packedCrc) throw reader.corrupt("packed CRC-32 differs", at);
    const outStart = out.length;
    if (stored) out.append(data, start);
    else decodeLzo1x(bytes, start, start + packedSize, out, size);
    const unpacked = out.bytes.subarray(outStart, out.length);
    if (unpackedAdler !== undefined && adler32(unpacked) !== unpackedAdler)
      throw reader.corrupt("Adler-32 differs", at);
    if (unpackedCrc !== undefined && crc32(unpacked) !== unpackedCrc) throw reader.corrupt("CRC-32 differs", at);
  }
  if (reader.remaining > 0) throw reader.unsupported("a second file in the archive");
  return out.finish();
}

/** Reads the file header; returns its flags. */
function readHeader(reader: ByteReader): number {
  for (const byte of MAGIC) if (reader.u8("magic") !== byte) throw reader.corrupt("no lzop magic", 0);
  const start = reader.offset;
  const version = reader.u16be("version");
  reader.u16be("library version");
  // Fields that came with 0.940.
  const recent = version >= 0x940;
  if (recent) reader.u16be("version needed");
  const method = reader.u8("method");
  if (method < 1 || method > 3) throw reader.unsupported(`method ${method}, only LZO1X is known`, reader.offset - 1);
  if (recent) reader.u8("level");
  const flags = reader.u32be("flags");
  if (flags & FILTER) throw reader.unsupported("filter", reader.offset - 4);
  if (flags & MULTIPART) throw reader.unsupported("multi-part archive", reader.offset - 4);
  reader.take(recent ? 12 : 8, "mode and time");
  reader.take(reader.u8("name length"), "name");
  const end = reader.offset;
  const check = flags & HEADER_CRC32 ? crc32 : adler32;
  if (reader.u32be("header checksum") !== check(reader.bytes, start, end))
    throw reader.corrupt("header checksum differs", end);
  if (flags & EXTRA_FIELD) {
    reader.take(reader.u32be("extra field length"), "extra field");
    reader.u32be("extra field checksum");
  }
  return flags;
}
