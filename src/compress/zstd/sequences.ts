// The sequences section of a zstd block and its execution (RFC 8878, 3.1.1.3.2 and 3.1.1.4): each sequence copies
// literals, then a match from the output so far.

import { ByteReader } from "../byte-reader.js";
import { CompressError } from "../compress-error.js";
import type { OutputBuffer } from "../output-buffer.js";
import { BackwardBits, corrupt } from "./bits.js";
import { buildFseTable, type FseTable, readFseTable, rleTable } from "./fse.js";

/** The three code tables, kept from block to block for repeat mode. */
export interface SequenceTables {
  literalLengths: FseTable | undefined;
  offsets: FseTable | undefined;
  matchLengths: FseTable | undefined;
}

function extend(first: number, codes: number, bits: readonly number[]): { bases: Int32Array; bits: Uint8Array } {
  const bases = new Int32Array(codes + bits.length);
  const counts = new Uint8Array(codes + bits.length);
  let base = first;
  for (let code = 0; code < bases.length; code++) {
    counts[code] = code < codes ? 0 : bits[code - codes]!;
    bases[code] = base;
    base += 1 << counts[code]!;
  }
  return { bases, bits: counts };
}

/** Literal length codes 0-15 stand for themselves. */
const LITERAL_LENGTH = extend(0, 16, [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
/** Match length codes 0-31 are lengths 3-34. */
const MATCH_LENGTH = extend(3, 32, [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
const MAX_OFFSET_CODE = 31;

const DEFAULT_LITERAL_LENGTHS = buildFseTable(
  [4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1],
  6,
);
const DEFAULT_MATCH_LENGTHS = buildFseTable(
  [1, 4, 3, 2, 2, 2, 2, 2, 2, ...new Array<number>(37).fill(1), ...new Array<number>(7).fill(-1)],
  6,
);
const DEFAULT_OFFSETS = buildFseTable(
  [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1],
  5,
);

/**
 * Executes the sequences of bytes[start, end), appending to `out` at most `maxSize` bytes.
 * `repeats` are the frame's three recent offsets; matches reach back to out.bytes[frameStart] at most.
 */
export function executeSequences(
  bytes: Uint8Array,
  start: number,
  end: number,
  literals: Uint8Array,
  tables: SequenceTables,
  repeats: Int32Array,
  out: OutputBuffer,
  frameStart: number,
  maxSize: number,
): void {
  const reader = new ByteReader(bytes.subarray(0, end), "zstd", start);
  let count = reader.u8("sequence count");
  if (count === 255) count = reader.u16le("sequence count") + 0x7f00;
  else if (count >= 128) count = ((count - 128) << 8) | reader.u8("sequence count");

  const room = Math.min(maxSize, out.limit - out.length);
  out.ensure(room, start);
  const target = out.bytes;
  const targetEnd = out.length + room;
  const full = () =>
    room < maxSize
      ? new CompressError("too-large", "zstd", start, `output would exceed ${out.limit} bytes`)
      : corrupt(start, `block unpacks to more than ${maxSize} bytes`);
  let to = out.length;
  let literal = 0;

  if (count > 0) {
    const modes = reader.u8("sequence modes");
    if (modes & 3) throw corrupt(start, "reserved bits of the sequence modes are set");
    const read = (mode: number, standard: FseTable, last: FseTable | undefined, maxLog: number, maxSymbol: number) => {
      if (mode === 0) return standard;
      if (mode === 1) {
        const symbol = reader.u8("RLE symbol");
        if (symbol > maxSymbol) throw corrupt(reader.offset - 1, `RLE symbol ${symbol}`);
        return rleTable(symbol);
      }
      if (mode === 3) {
        if (last === undefined) throw corrupt(start, "repeat mode without an earlier table");
        return last;
      }
      const { table, next } = readFseTable(bytes, reader.offset, end, maxLog, maxSymbol);
      reader.offset = next;
      return table;
    };
    const ll = read(modes >> 6, DEFAULT_LITERAL_LENGTHS, tables.literalLengths, 9, LITERAL_LENGTH.bits.length - 1);
    const of = read((modes >> 4) & 3, DEFAULT_OFFSETS, tables.offsets, 8, MAX_OFFSET_CODE);
    const ml = read((modes >> 2) & 3, DEFAULT_MATCH_LENGTHS, tables.matchLengths, 9, MATCH_LENGTH.bits.length - 1);
    tables.literalLengths = ll;
    tables.offsets = of;
    tables.matchLengths = ml;

    const bits = new BackwardBits(bytes, reader.offset, end);
    let llState = bits.read(ll.accuracyLog);
    let ofState = bits.read(of.accuracyLog);
    let mlState = bits.read(ml.accuracyLog);
    let repeat1 = repeats[0]!;
    let repeat2 = repeats[1]!;
    let repeat3 = repeats[2]!;

    for (let i = 0; i < count; i++) {
      const ofCode = of.symbols[ofState]!;
      const mlCode = ml.symbols[mlState]!;
      const llCode = ll.symbols[llState]!;
      // Up to 31 bits, in two reads.
      let offset = 2 ** ofCode;
      if (ofCode > 16) offset += bits.read(ofCode - 16) * 65536 + bits.read(16);
      else offset += bits.read(ofCode);
      const matchLength = MATCH_LENGTH.bases[mlCode]! + bits.read(MATCH_LENGTH.bits[mlCode]!);
      const literalLength = LITERAL_LENGTH.bases[llCode]! + bits.read(LITERAL_LENGTH.bits[llCode]!);
      if (bits.position < 0) throw corrupt(start, `sequence ${i} runs past the bit stream`);

      let distance: number;
      if (offset > 3) {
        distance = offset - 3;
        repeat3 = repeat2;
        repeat2 = repeat1;
        repeat1 = distance;
      } else {
        // 1-3 name a recent offset; without literals the meaning shifts by one, and the last is "the first - 1".
        const which = literalLength === 0 ? offset : offset - 1;
        if (which === 0) {
          distance = repeat1;
        } else {
          distance = which === 1 ? repeat2 : which === 2 ? repeat3 : repeat1 - 1;
          if (which !== 1) repeat3 = repeat2;
          repeat2 = repeat1;
          repeat1 = distance;
        }
      }

      if (literalLength > literals.length - literal)
        throw corrupt(start, `sequence ${i} takes more literals than there are`);
      if (literalLength + matchLength > targetEnd - to) throw full();
      for (const stop = literal + literalLength; literal < stop; ) target[to++] = literals[literal++]!;
      if (distance <= 0 || distance > to - frameStart) throw corrupt(start, `match distance ${distance}`);
      if (matchLength > 48 && distance >= matchLength) {
        target.copyWithin(to, to - distance, to - distance + matchLength);
        to += matchLength;
      } else {
        for (const stop = to + matchLength; to < stop; to++) target[to] = target[to - distance]!;
      }

      if (i + 1 < count) {
        llState = ll.bases[llState]! + bits.read(ll.bitCounts[llState]!);
        mlState = ml.bases[mlState]! + bits.read(ml.bitCounts[mlState]!);
        ofState = of.bases[ofState]! + bits.read(of.bitCounts[ofState]!);
      }
    }
    if (bits.position !== 0) throw corrupt(start, "the sequences don't use up their bit stream");
    repeats[0] = repeat1;
    repeats[1] = repeat2;
    repeats[2] = repeat3;
  } else if (reader.offset !== end) {
    throw corrupt(reader.offset, "bytes after an empty sequences section");
  }

  const rest = literals.length - literal;
  if (rest > targetEnd - to) throw full();
  target.set(literals.subarray(literal), to);
  out.length = to + rest;
}
