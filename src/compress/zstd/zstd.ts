// Zstandard (RFC 8878): frames, blocks, checksums. Dictionaries aren't supported. Our own decoder, since the
// packages at hand trust their input: a few crafted bytes keep them busy for minutes, and they skip the checksum.

import { ByteReader } from "../byte-reader.js";
import { CompressError, type DecompressOptions } from "../compress-error.js";
import { OutputBuffer } from "../output-buffer.js";
import { xxh64Low } from "../xxhash64.js";
import { type HuffmanTable, readLiterals } from "./literals.js";
import { executeSequences, type SequenceTables } from "./sequences.js";

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const MAX_BLOCK = 128 * 1024;
/** An RLE block makes 128 KiB of 4 bytes: nothing grows by more. */
const MAX_RATIO = MAX_BLOCK / 4;

/** Unpacks all frames of a .zst file; verifies sizes and content checksums. */
export function decompressZstd(bytes: Uint8Array, options: DecompressOptions = {}): Uint8Array {
  const reader = new ByteReader(bytes, "zstd");
  const out = new OutputBuffer("zstd", options);
  do {
    const magic = reader.u32le("magic");
    if (magic === MAGIC) readFrame(reader, out);
    else if ((magic & 0xfffffff0) === SKIPPABLE_MAGIC) reader.take(reader.u32le("skippable size"), "skippable frame");
    else throw reader.corrupt(`magic 0x${magic.toString(16)}`, reader.offset - 4);
  } while (reader.remaining > 0);
  return out.finish();
}

function readFrame(reader: ByteReader, out: OutputBuffer): void {
  const at = reader.offset;
  const descriptor = reader.u8("frame header");
  if (descriptor & 8) throw reader.unsupported("reserved bit of the frame header", at);
  const singleSegment = (descriptor & 0x20) !== 0;
  let windowSize = Number.POSITIVE_INFINITY;
  if (!singleSegment) {
    const window = reader.u8("window descriptor");
    const base = 2 ** (10 + (window >> 3));
    windowSize = base + (base / 8) * (window & 7);
  }
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!;
  const dictionary = reader.take(dictionaryBytes, "dictionary id");
  if (dictionary.some((byte) => byte !== 0)) throw reader.unsupported("frame needs a dictionary", at);
  const sizeFlag = descriptor >> 6;
  let contentSize: number | undefined;
  if (sizeFlag === 1) contentSize = reader.u16le("content size") + 256;
  else if (sizeFlag === 2) contentSize = reader.u32le("content size");
  else if (sizeFlag === 3) contentSize = reader.u64le("content size");
  else if (singleSegment) contentSize = reader.u8("content size");
  if (singleSegment) windowSize = contentSize!;

  if (contentSize !== undefined) {
    if (contentSize > out.limit - out.length) {
      throw new CompressError("too-large", "zstd", at, `output would exceed ${out.limit} bytes`);
    }
    // Room for all at once, unless the size is a lie in any case.
    if (contentSize <= reader.remaining * MAX_RATIO) out.ensure(contentSize, at);
  }

  const frameStart = out.length;
  readBlocks(reader, out, Math.min(MAX_BLOCK, windowSize));
  const produced = out.length - frameStart;
  if (contentSize !== undefined && contentSize !== produced) {
    throw reader.corrupt(`frame unpacks to ${produced} bytes, its header says ${contentSize}`, at);
  }
  if (descriptor & 4 && reader.u32le("content checksum") !== xxh64Low(out.bytes, frameStart, out.length)) {
    throw reader.corrupt("content checksum differs", reader.offset - 4);
  }
}

function readBlocks(reader: ByteReader, out: OutputBuffer, maxBlock: number): void {
  const frameStart = out.length;
  const tables: SequenceTables = { literalLengths: undefined, offsets: undefined, matchLengths: undefined };
  const repeats = Int32Array.of(1, 4, 8);
  let huffman: HuffmanTable | undefined;
  for (let last = false; !last; ) {
    const at = reader.offset;
    const header = reader.u16le("block header") | (reader.u8("block header") << 16);
    last = (header & 1) !== 0;
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (size > maxBlock) throw reader.corrupt(`block of ${size} bytes, at most ${maxBlock} allowed`, at);
    if (type === 0) {
      out.append(reader.take(size, "raw block"), at);
    } else if (type === 1) {
      const byte = reader.u8("RLE block");
      out.ensure(size, at);
      out.bytes.fill(byte, out.length, out.length + size);
      out.length += size;
    } else if (type === 2) {
      const start = reader.offset;
      reader.take(size, "compressed block");
      const literals = readLiterals(reader.bytes, start, start + size, huffman);
      huffman = literals.table;
      executeSequences(
        reader.bytes,
        literals.next,
        start + size,
        literals.bytes,
        tables,
        repeats,
        out,
        frameStart,
        maxBlock,
      );
    } else {
      throw reader.corrupt("reserved block type", at);
    }
  }
}
