// LZ4 block format, and its two containers: the frame format 1.6 and the legacy frame that kernels use
// (blocks of up to 8 MiB, no sizes but the packed ones, no checksum).

import { ByteReader } from "./byte-reader.js";
import { CompressError, type DecompressOptions } from "./compress-error.js";
import { OutputBuffer } from "./output-buffer.js";
import { xxh32 } from "./xxhash.js";

const FRAME_MAGIC = 0x184d2204;
const LEGACY_MAGIC = 0x184c2102;
const LEGACY_BLOCK_SIZE = 8 << 20;
const SKIPPABLE_MAGIC = 0x184d2a50;

/** Unpacks a sequence of LZ4 frames of either kind; verifies the checksums that are present. */
export function decompressLz4(bytes: Uint8Array, options: DecompressOptions = {}): Uint8Array {
  const reader = new ByteReader(bytes, "lz4");
  const out = new OutputBuffer("lz4", options);
  do {
    const magic = reader.u32le("magic");
    if (magic === FRAME_MAGIC) readFrame(reader, out);
    else if (magic === LEGACY_MAGIC) readLegacyFrame(reader, out);
    else if ((magic & 0xfffffff0) === (SKIPPABLE_MAGIC | 0))
      reader.take(reader.u32le("skippable size"), "skippable frame");
    else throw reader.corrupt(`magic 0x${magic.toString(16)}`, reader.offset - 4);
  } while (reader.remaining > 0);
  return out.finish();
}

function readLegacyFrame(reader: ByteReader, out: OutputBuffer): void {
  while (reader.remaining > 0) {
    const at = reader.offset;
    const size = reader.u32le("legacy block size");
    if (size === LEGACY_MAGIC || size === FRAME_MAGIC) {
      // The next frame: this one has no end mark.
      reader.offset = at;
      return;
    }
    // A block that doesn't shrink grows by 1 byte in 255 and a little at most.
    if (size === 0 || size > LEGACY_BLOCK_SIZE * (1 + 1 / 255) + 16) throw reader.corrupt(`block of ${size} bytes`, at);
    reader.need(size, "legacy block");
    decodeBlock(reader.bytes, reader.offset, reader.offset + size, out, out.length, LEGACY_BLOCK_SIZE);
    reader.offset += size;
  }
}

function readFrame(reader: ByteReader, out: OutputBuffer): void {
  const headerStart = reader.offset;
  const flags = reader.u8("frame flags");
  const blockDescriptor = reader.u8("frame block descriptor");
  if (flags >> 6 !== 1) throw reader.unsupported(`frame version ${flags >> 6}`, headerStart);
  if (flags & 2 || blockDescriptor & 0x8f) throw reader.unsupported("reserved frame flags", headerStart);
  if (flags & 1) throw reader.unsupported("frame with a dictionary", headerStart);
  const sizeCode = (blockDescriptor >> 4) & 7;
  if (sizeCode < 4) throw reader.corrupt(`block size code ${sizeCode}`, headerStart + 1);
  const maxBlock = 1 << (2 * sizeCode + 8);
  const contentSize = flags & 8 ? reader.u64le("content size") : undefined;
  const headerEnd = reader.offset;
  const headerCheck = (xxh32(reader.bytes, headerStart, headerEnd) >>> 8) & 0xff;
  if (reader.u8("header checksum") !== headerCheck) throw reader.corrupt("header checksum differs", headerEnd);

  const independent = (flags & 0x20) !== 0;
  const frameStart = out.length;
  for (;;) {
    const at = reader.offset;
    const word = reader.u32le("block size");
    if (word === 0) break;
    const size = word & 0x7fffffff;
    if (size > maxBlock) throw reader.corrupt(`block of ${size} bytes, at most ${maxBlock} allowed`, at);
    const start = reader.offset;
    const data = reader.take(size, "block");
    if (word >>> 31) out.append(data, start);
    else decodeBlock(reader.bytes, start, start + size, out, independent ? out.length : frameStart, maxBlock);
    if (flags & 0x10 && reader.u32le("block checksum") !== xxh32(reader.bytes, start, start + size)) {
      throw reader.corrupt("block checksum differs", start + size);
    }
  }
  const produced = out.length - frameStart;
  if (contentSize !== undefined && contentSize !== produced) {
    throw reader.corrupt(`frame unpacks to ${produced} bytes, its header says ${contentSize}`, headerStart);
  }
  if (flags & 4 && reader.u32le("content checksum") !== xxh32(out.bytes, frameStart, out.length)) {
    throw reader.corrupt("content checksum differs");
  }
}

/**
 * Decodes one block of input[start, end), appending at most `maxSize` bytes. Matches reach back to
 * out.bytes[historyStart] at most.
 */
function decodeBlock(
  input: Uint8Array,
  start: number,
  end: number,
  out: OutputBuffer,
  historyStart: number,
  maxSize: number,
): void {
  const corrupt = (detail: string, at: number) => new CompressError("corrupt", "lz4", at, detail);
  // All the room a block may need, as far as the limit allows; each write checks against `outEnd`.
  const room = Math.min(maxSize, out.limit - out.length);
  out.ensure(room, start);
  const bytes = out.bytes;
  const outEnd = out.length + room;
  const full = (at: number) =>
    room < maxSize
      ? new CompressError("too-large", "lz4", at, `output would exceed ${out.limit} bytes`)
      : corrupt(`block unpacks to more than ${maxSize} bytes`, at);
  let inPos = start;
  let outPos = out.length;
  for (;;) {
    if (inPos >= end) throw corrupt("block ends without literals", inPos);
    const token = input[inPos++]!;
    let length = token >>> 4;
    if (length === 15) {
      let byte = 255;
      while (byte === 255) {
        if (inPos >= end) throw corrupt("block ends inside a length", inPos);
        byte = input[inPos++]!;
        length += byte;
      }
    }
    if (length > end - inPos) throw corrupt("literals run past the block's end", inPos);
    if (length > outEnd - outPos) throw full(inPos);
    if (length <= 32) {
      for (let i = 0; i < length; i++) bytes[outPos + i] = input[inPos + i]!;
    } else {
      bytes.set(input.subarray(inPos, inPos + length), outPos);
    }
    inPos += length;
    outPos += length;
    // The last sequence has no match.
    if (inPos === end) break;

    if (end - inPos < 2) throw corrupt("block ends inside an offset", inPos);
    const distance = input[inPos]! | (input[inPos + 1]! << 8);
    inPos += 2;
    if (distance === 0 || distance > outPos - historyStart) throw corrupt(`match offset ${distance}`, inPos - 2);
    length = (token & 15) + 4;
    if (length === 19) {
      let byte = 255;
      while (byte === 255) {
        if (inPos >= end) throw corrupt("block ends inside a length", inPos);
        byte = input[inPos++]!;
        length += byte;
      }
    }
    if (length > outEnd - outPos) throw full(inPos);
    if (length > 48 && distance >= length) {
      bytes.copyWithin(outPos, outPos - distance, outPos - distance + length);
      outPos += length;
    } else {
      for (const stop = outPos + length; outPos < stop; outPos++) bytes[outPos] = bytes[outPos - distance]!;
    }
  }
  out.length = outPos;
}
