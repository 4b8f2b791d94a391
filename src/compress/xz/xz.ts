// The .xz container (.xz file format 1.1.0): streams of blocks, each with a check over its unpacked data, an
// index that repeats the block sizes, a footer; streams may follow one another with zero padding in fours.

import { createHash } from "node:crypto";
import { ByteReader } from "../byte-reader.js";
import { crc32, crc64 } from "../checksums.js";
import type { DecompressOptions } from "../compress-error.js";
import { decodeLzma2 } from "../lzma/lzma2.js";
import { OutputBuffer } from "../output-buffer.js";
import { readBlockHeader, readVli } from "./block-header.js";
import { undoX86Bcj } from "./x86-bcj.js";

const MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
/** Bytes of the check by check type (section 2.1.1.2). */
const CHECK_SIZES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];
const CHECK_NONE = 0;
const CHECK_CRC32 = 1;
const CHECK_CRC64 = 4;
const CHECK_SHA256 = 10;

interface BlockSizes {
  /** Header, packed data and check, without padding. */
  readonly unpaddedSize: number;
  readonly unpackedSize: number;
}

/** Unpacks all streams of an .xz file and verifies every check: CRC32, CRC64, SHA-256. */
export function decompressXz(bytes: Uint8Array, options: DecompressOptions = {}): Uint8Array {
  const out = new OutputBuffer("xz", options);
  const reader = new ByteReader(bytes, "xz");
  readStream(reader, out);
  while (reader.remaining > 0) {
    const start = reader.offset;
    while (reader.remaining > 0 && bytes[reader.offset] === 0) reader.offset++;
    if ((reader.offset - start) % 4 !== 0) throw reader.corrupt("stream padding isn't a multiple of 4", start);
    if (reader.remaining > 0) readStream(reader, out);
  }
  return out.finish();
}

function readStream(reader: ByteReader, out: OutputBuffer): void {
  const check = readStreamFlags(reader, "stream header");
  const blocks: BlockSizes[] = [];
  for (;;) {
    reader.need(1, "block header size or index");
    if (reader.bytes[reader.offset] === 0) break;
    blocks.push(readBlock(reader, check, out));
  }
  const indexSize = readIndex(reader, blocks);

  const start = reader.offset;
  const crc = reader.u32le("footer CRC32");
  const backwardSize = (reader.u32le("footer backward size") + 1) * 4;
  const flags = reader.u16be("footer flags");
  const magic = reader.u16be("footer magic");
  if (magic !== 0x595a) throw reader.corrupt("footer magic isn't YZ", start + 10);
  if (crc32(reader.bytes, start + 4, start + 10) !== crc) throw reader.corrupt("footer CRC32 differs", start);
  if (flags !== check) throw reader.corrupt("footer flags differ from the header's", start + 8);
  if (backwardSize !== indexSize) throw reader.corrupt("footer backward size differs from the index", start + 4);
}

/** Reads the 12-byte stream header; returns the check type. */
function readStreamFlags(reader: ByteReader, field: string): number {
  const start = reader.offset;
  reader.need(12, field);
  for (const byte of MAGIC) if (reader.u8(field) !== byte) throw reader.corrupt("no xz magic", start);
  const flags = reader.u16be(field);
  const crc = reader.u32le(field);
  if (crc32(reader.bytes, start + 6, start + 8) !== crc) throw reader.corrupt("stream header CRC32 differs", start + 8);
  if (flags & 0xfff0) throw reader.unsupported(`stream flags 0x${flags.toString(16)}`, start + 6);
  if (flags !== CHECK_NONE && flags !== CHECK_CRC32 && flags !== CHECK_CRC64 && flags !== CHECK_SHA256) {
    throw reader.unsupported(`check type ${flags}`, start + 7);
  }
  return flags;
}

function readBlock(reader: ByteReader, check: number, out: OutputBuffer): BlockSizes {
  const start = reader.offset;
  const header = readBlockHeader(reader);
  const dataStart = reader.offset;
  const outStart = out.length;
  reader.offset = decodeLzma2(reader.bytes, dataStart, header.dictSize, out);
  const packedSize = reader.offset - dataStart;
  const unpackedSize = out.length - outStart;
  if (header.packedSize !== undefined && header.packedSize !== packedSize) {
    throw reader.corrupt("block packed size differs from its header", start);
  }
  if (header.unpackedSize !== undefined && header.unpackedSize !== unpackedSize) {
    throw reader.corrupt("block unpacked size differs from its header", start);
  }
  for (const filter of [...header.filters].reverse()) {
    if (filter.kind === "x86") undoX86Bcj(out.bytes, outStart, out.length, filter.startOffset);
    else undoDelta(out.bytes, outStart, out.length, filter.distance);
  }
  const unpaddedSize = reader.offset - start + CHECK_SIZES[check]!;
  while ((reader.offset - start) % 4 !== 0) {
    if (reader.u8("block padding") !== 0) throw reader.corrupt("block padding isn't zero", reader.offset - 1);
  }
  verifyCheck(reader, check, out.bytes.subarray(outStart, out.length));
  return { unpaddedSize, unpackedSize };
}

function verifyCheck(reader: ByteReader, check: number, data: Uint8Array): void {
  const at = reader.offset;
  if (check === CHECK_CRC32) {
    if (reader.u32le("block CRC32") !== crc32(data)) throw reader.corrupt("block CRC32 differs", at);
  } else if (check === CHECK_CRC64) {
    const { low, high } = crc64(data);
    if (reader.u32le("block CRC64") !== low || reader.u32le("block CRC64") !== high) {
      throw reader.corrupt("block CRC64 differs", at);
    }
  } else if (check === CHECK_SHA256) {
    const digest = createHash("sha256").update(data).digest();
    const stored = reader.take(32, "block SHA-256");
    if (!digest.equals(stored)) throw reader.corrupt("block SHA-256 differs", at);
  }
}

/** Undoes the delta filter (id 3): each byte was stored minus the one `distance` before it. */
function undoDelta(data: Uint8Array, start: number, end: number, distance: number): void {
  for (let i = start + distance; i < end; i++) data[i] = data[i]! + data[i - distance]!;
}

/** Reads the index and compares it with the blocks met; returns its size in bytes. */
function readIndex(reader: ByteReader, blocks: readonly BlockSizes[]): number {
  const start = reader.offset;
  reader.u8("index indicator");
  const count = readVli(reader, "index record count");
  if (count !== blocks.length) throw reader.corrupt(`index has ${count} records for ${blocks.length} blocks`, start);
  for (const block of blocks) {
    const at = reader.offset;
    if (
      readVli(reader, "index unpadded size") !== block.unpaddedSize ||
      readVli(reader, "index unpacked size") !== block.unpackedSize
    ) {
      throw reader.corrupt("index record differs from its block", at);
    }
  }
  while ((reader.offset - start) % 4 !== 0) {
    if (reader.u8("index padding") !== 0) throw reader.corrupt("index padding isn't zero", reader.offset - 1);
  }
  const end = reader.offset;
  if (reader.u32le("index CRC32") !== crc32(reader.bytes, start, end)) throw reader.corrupt("index CRC32 differs", end);
  return reader.offset - start;
}
