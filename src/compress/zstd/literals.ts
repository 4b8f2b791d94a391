// The literals section of a zstd block (RFC 8878, 3.1.1.3.1) and its Huffman codes (4.2).

import { ByteReader } from "../byte-reader.js";
import { BackwardBits, corrupt, log2 } from "./bits.js";
import { readFseTable } from "./fse.js";

export interface HuffmanTable {
  readonly maxBits: number;
  /** By the next maxBits bits: bit count << 8 | symbol. */
  readonly entries: Uint16Array;
}

export interface Literals {
  readonly bytes: Uint8Array;
  /** Offset after the section. */
  readonly next: number;
  /** The table in force for a later treeless section. */
  readonly table: HuffmanTable | undefined;
}

const MAX_BITS = 11;
const MAX_LITERALS = 128 * 1024;

/** Reads the literals section at `start` of a block that ends at `end`. */
export function readLiterals(
  bytes: Uint8Array,
  start: number,
  end: number,
  previous: HuffmanTable | undefined,
): Literals {
  const reader = new ByteReader(bytes.subarray(0, end), "zstd", start);
  const first = reader.u8("literals header");
  const type = first & 3;
  const format = (first >> 2) & 3;
  if (type < 2) {
    let size = first >> 3;
    if (format === 1) size = (first >> 4) | (reader.u8("literals header") << 4);
    else if (format === 3) size = (first >> 4) | (reader.u16le("literals header") << 4);
    checkSize(size, start);
    if (type === 0) {
      const raw = reader.take(size, "raw literals");
      return { bytes: raw, next: reader.offset, table: previous };
    }
    const run = new Uint8Array(size).fill(reader.u8("RLE literal"));
    return { bytes: run, next: reader.offset, table: previous };
  }

  // Two sizes of 10, 14 or 18 bits after 4 bits.
  const bits = format < 2 ? 10 : format === 2 ? 14 : 18;
  let header = first;
  for (let i = 1; i < (bits * 2 + 4) / 8; i++) header += reader.u8("literals header") * 2 ** (8 * i);
  const size = Math.floor(header / 16) % 2 ** bits;
  const packedSize = Math.floor(header / 2 ** (4 + bits));
  checkSize(size, start);
  reader.need(packedSize, "packed literals");
  const packedEnd = reader.offset + packedSize;
  let at = reader.offset;
  let table = previous;
  if (type === 2) ({ table, next: at } = readHuffmanTable(bytes, at, packedEnd));
  if (table === undefined) throw corrupt(start, "treeless literals without an earlier Huffman table");
  const out = new Uint8Array(size);
  if (format === 0) decodeStream(bytes, at, packedEnd, table, out, 0, size);
  else decodeFourStreams(bytes, at, packedEnd, table, out);
  return { bytes: out, next: packedEnd, table };
}

function checkSize(size: number, offset: number): void {
  if (size > MAX_LITERALS) throw corrupt(offset, `${size} literals in one block`);
}

function decodeFourStreams(bytes: Uint8Array, start: number, end: number, table: HuffmanTable, out: Uint8Array): void {
  const reader = new ByteReader(bytes.subarray(0, end), "zstd", start);
  const sizes = [1, 2, 3].map((i) => reader.u16le(`size of Huffman stream ${i}`));
  const part = (out.length + 3) >> 2;
  if (part * 3 > out.length) throw corrupt(start, `${out.length} literals in four streams`);
  let at = reader.offset;
  for (let i = 0; i < 4; i++) {
    const stop = i < 3 ? at + sizes[i]! : end;
    if (stop > end) throw corrupt(start, "Huffman streams run past the literals section");
    decodeStream(bytes, at, stop, table, out, part * i, i < 3 ? part * (i + 1) : out.length);
    at = stop;
  }
}

/** Decodes bytes[start, end) into out[from, to): all of the stream must be used up by exactly that many symbols. */
function decodeStream(
  bytes: Uint8Array,
  start: number,
  end: number,
  table: HuffmanTable,
  out: Uint8Array,
  from: number,
  to: number,
): void {
  const { entries, maxBits } = table;
  const mask = (1 << maxBits) - 1;
  let position = new BackwardBits(bytes, start, end).position;
  let at = from;
  while (at < to && position >= maxBits) {
    const low = position - maxBits;
    const i = start + (low >> 3);
    const entry = entries[((bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16)) >>> (low & 7)) & mask]!;
    out[at++] = entry;
    position -= entry >>> 8;
  }
  // Near the beginning the missing bits read as 0.
  while (at < to && position > 0) {
    const held = (bytes[start]! | (bytes[start + 1]! << 8)) & ((1 << position) - 1);
    const entry = entries[(held << (maxBits - position)) & mask]!;
    out[at++] = entry;
    position -= entry >>> 8;
  }
  if (at !== to || position !== 0) throw corrupt(end, "Huffman stream doesn't hold the declared literals");
}

function readHuffmanTable(bytes: Uint8Array, start: number, end: number): { table: HuffmanTable; next: number } {
  const reader = new ByteReader(bytes.subarray(0, end), "zstd", start);
  const header = reader.u8("Huffman table header");
  const weights = new Uint8Array(256);
  let count = 0;
  if (header >= 128) {
    count = header - 127;
    const packed = reader.take((count + 1) >> 1, "Huffman weights");
    for (let i = 0; i < count; i++) weights[i] = i & 1 ? packed[i >> 1]! & 15 : packed[i >> 1]! >> 4;
  } else {
    reader.need(header, "Huffman weights");
    const at = reader.offset;
    reader.offset += header;
    count = readPackedWeights(bytes, at, reader.offset, weights);
  }

  let sum = 0;
  for (let i = 0; i < count; i++) {
    const weight = weights[i]!;
    if (weight > MAX_BITS) throw corrupt(start, `Huffman weight ${weight}`);
    if (weight > 0) sum += 1 << (weight - 1);
  }
  if (sum === 0) throw corrupt(start, "Huffman table without symbols");
  // The last weight isn't written: it fills the sum up to a power of two.
  const maxBits = log2(sum) + 1;
  const rest = (1 << maxBits) - sum;
  if (maxBits > MAX_BITS || (rest & (rest - 1)) !== 0) throw corrupt(start, "Huffman weights don't add up");
  weights[count++] = log2(rest) + 1;

  const entries = new Uint16Array(1 << maxBits);
  let at = 0;
  for (let weight = 1; weight <= maxBits; weight++) {
    for (let symbol = 0; symbol < count; symbol++) {
      if (weights[symbol] !== weight) continue;
      const width = 1 << (weight - 1);
      entries.fill(((maxBits + 1 - weight) << 8) | symbol, at, at + width);
      at += width;
    }
  }
  return { table: { maxBits, entries }, next: reader.offset };
}

/** Weights packed with FSE: two interleaved states until the bits run out. Returns how many. */
function readPackedWeights(bytes: Uint8Array, start: number, end: number, weights: Uint8Array): number {
  const { table, next } = readFseTable(bytes, start, end, 6, MAX_BITS + 1);
  const bits = new BackwardBits(bytes, next, end);
  let state = bits.read(table.accuracyLog);
  let other = bits.read(table.accuracyLog);
  if (bits.position < 0) throw corrupt(start, "Huffman weights end early");
  let count = 0;
  for (;;) {
    if (count > 253) throw corrupt(start, "more than 255 Huffman weights");
    weights[count++] = table.symbols[state]!;
    state = table.bases[state]! + bits.read(table.bitCounts[state]!);
    if (bits.position < 0) {
      weights[count++] = table.symbols[other]!;
      return count;
    }
    [state, other] = [other, state];
  }
}
