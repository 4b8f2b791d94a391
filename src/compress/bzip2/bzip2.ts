// bzip2: blocks of up to 900,000 bytes through run-length coding, the Burrows-Wheeler transform, move-to-front and
// Huffman codes. There is no official specification; the layout is the one that bzip2 1.0 writes. Streams may follow
// one another. Blocks "randomised" by versions before 0.9.5 aren't supported.

import { crc32Msb } from "../checksums.js";
import { CompressError, type DecompressOptions } from "../compress-error.js";
import { OutputBuffer } from "../output-buffer.js";
import { BitReader } from "./bit-reader.js";
import { readHuffmanTables } from "./huffman.js";

const GROUP_SIZE = 50;
const RUN_B = 1;

/** Unpacks all streams of a .bz2 file and verifies the CRC of each block and stream. */
export function decompressBzip2(bytes: Uint8Array, options: DecompressOptions = {}): Uint8Array {
  const bits = new BitReader(bytes);
  const out = new OutputBuffer("bzip2", options);
  // Per byte of a block: in the low 8 bits the byte, above them the link that undoes the transform. Shared by the
  // streams, so that many empty ones cost nothing.
  let links = new Uint32Array(0);
  do {
    if (bits.read(24, "magic") !== 0x425a68) throw bits.corrupt("no bzip2 magic");
    const level = bits.read(8, "level") - 0x30;
    if (level < 1 || level > 9) throw bits.corrupt(`level ${level}`);
    const blockSize = level * 100_000;
    if (links.length < blockSize) links = new Uint32Array(blockSize);
    readStream(bits, links.subarray(0, blockSize), out);
    bits.alignToByte();
  } while (!bits.atEnd);
  return out.finish();
}

function readStream(bits: BitReader, links: Uint32Array, out: OutputBuffer): void {
  let streamCrc = 0;
  for (;;) {
    const high = bits.read(24, "block magic");
    const low = bits.read(24, "block magic");
    const crc = ((bits.read(16, "CRC") << 16) | bits.read(16, "CRC")) >>> 0;
    if (high === 0x177245 && low === 0x385090) {
      if (crc !== streamCrc) throw bits.corrupt("stream CRC differs");
      return;
    }
    if (high !== 0x314159 || low !== 0x265359) throw bits.corrupt("neither a block nor the end of the stream");
    const start = out.length;
    readBlock(bits, links, out);
    if (crc32Msb(out.bytes, start, out.length) !== crc) throw bits.corrupt("block CRC differs");
    streamCrc = (((streamCrc << 1) | (streamCrc >>> 31)) ^ crc) >>> 0;
  }
}

function readBlock(bits: BitReader, links: Uint32Array, out: OutputBuffer): void {
  if (bits.read(1, "randomised flag") !== 0) throw bits.error("unsupported", "randomised block");
  const origin = bits.read(24, "block origin");

  // The bytes in use, as a map of 16 maps of 16.
  const front = new Uint8Array(256);
  let used = 0;
  const groups = bits.read(16, "symbol map");
  for (let group = 0; group < 16; group++) {
    if (((groups << group) & 0x8000) === 0) continue;
    const map = bits.read(16, "symbol map");
    for (let i = 0; i < 16; i++) if ((map << i) & 0x8000) front[used++] = group * 16 + i;
  }
  if (used === 0) throw bits.corrupt("block without symbols");
  const endOfBlock = used + 1;
  const { tables, selectors } = readHuffmanTables(bits, used + 2);

  // Huffman symbols to bytes: 0 and 1 are digits of a run length of the front byte, the others move to front.
  const counts = new Uint32Array(256);
  let length = 0;
  let selector = 0;
  let left = 0;
  let table = tables[0]!;
  let run = 0;
  let weight = 1;
  for (;;) {
    if (left === 0) {
      if (selector >= selectors.length) throw bits.corrupt("more symbols than selectors");
      table = tables[selectors[selector++]!]!;
      left = GROUP_SIZE;
    }
    left--;
    const symbol = table.decode(bits);
    if (symbol <= RUN_B) {
      // Digits 1 and 2 in base 2, least significant first.
      run += weight << symbol;
      weight *= 2;
      if (run > links.length) throw bits.corrupt("run longer than a block");
      continue;
    }
    if (run > 0) {
      if (run > links.length - length) throw bits.corrupt("block longer than its level allows");
      const byte = front[0]!;
      counts[byte] = counts[byte]! + run;
      links.fill(byte, length, length + run);
      length += run;
      run = 0;
      weight = 1;
    }
    if (symbol === endOfBlock) break;
    if (length >= links.length) throw bits.corrupt("block longer than its level allows");
    const index = symbol - 1;
    const byte = front[index]!;
    front.copyWithin(1, 0, index);
    front[0] = byte;
    counts[byte] = counts[byte]! + 1;
    links[length++] = byte;
  }
  if (origin >= length) throw bits.corrupt(`block origin ${origin} of ${length}`);

  // Inverse Burrows-Wheeler: sorted position of each byte, linked in order of occurrence.
  let sum = 0;
  for (let byte = 0; byte < 256; byte++) {
    const count = counts[byte]!;
    counts[byte] = sum;
    sum += count;
  }
  for (let i = 0; i < length; i++) {
    const byte = links[i]! & 0xff;
    const sorted = counts[byte]!;
    counts[byte] = sorted + 1;
    links[sorted] = links[sorted]! | (i << 8);
  }
  undoRunLengths(bits, links, length, origin, out);
}

/** Walks the links and undoes the first run-length coding: after four equal bytes comes a count of further ones. */
function undoRunLengths(bits: BitReader, links: Uint32Array, length: number, origin: number, out: OutputBuffer): void {
  let link = links[origin]! >>> 8;
  let previous = -1;
  let equal = 0;
  for (let i = 0; i < length; i++) {
    const entry = links[link]!;
    link = entry >>> 8;
    const byte = entry & 0xff;
    if (equal === 4) {
      out.ensure(byte, bits.offset);
      out.bytes.fill(previous, out.length, out.length + byte);
      out.length += byte;
      equal = 0;
      previous = -1;
      continue;
    }
    equal = byte === previous ? equal + 1 : 1;
    previous = byte;
    if (out.length === out.bytes.length) out.ensure(1, bits.offset);
    out.bytes[out.length++] = byte;
  }
  if (equal === 4) throw new CompressError("corrupt", "bzip2", bits.offset, "block ends before a run's count");
}
