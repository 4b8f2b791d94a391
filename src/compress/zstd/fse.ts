// Finite state entropy tables (RFC 8878, 4.1.1): read from their description or from the predefined
// distributions. state -> symbol, bits to read, base: next state = base + bits.

import { ByteReader } from "../byte-reader.js";
import { corrupt, log2 } from "./bits.js";

export interface FseTable {
  readonly accuracyLog: number;
  readonly symbols: Uint8Array;
  readonly bitCounts: Uint8Array;
  readonly bases: Uint16Array;
}

/** A table of one state for RLE mode: always `symbol`, no bits. */
export function rleTable(symbol: number): FseTable {
  return {
    accuracyLog: 0,
    symbols: Uint8Array.of(symbol),
    bitCounts: new Uint8Array(1),
    bases: new Uint16Array(1),
  };
}

/** Builds the decoding table of a normalised distribution; -1 is "less than one", which gets one state. */
export function buildFseTable(counts: ArrayLike<number>, accuracyLog: number): FseTable {
  const size = 1 << accuracyLog;
  const symbols = new Uint8Array(size);
  const bitCounts = new Uint8Array(size);
  const bases = new Uint16Array(size);
  const next = new Uint16Array(counts.length);
  let high = size - 1;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    const count = counts[symbol]!;
    next[symbol] = count === -1 ? 1 : count;
    if (count === -1) symbols[high--] = symbol;
  }
  const step = (size >> 1) + (size >> 3) + 3;
  let at = 0;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    for (let i = counts[symbol]!; i > 0; i--) {
      symbols[at] = symbol;
      do at = (at + step) & (size - 1);
      while (at > high);
    }
  }
  for (let state = 0; state < size; state++) {
    const symbol = symbols[state]!;
    const value = next[symbol]!;
    next[symbol] = value + 1;
    const bits = accuracyLog - log2(value);
    bitCounts[state] = bits;
    bases[state] = (value << bits) - size;
  }
  return { accuracyLog, symbols, bitCounts, bases };
}

/** Reads a table description at `start`; returns the table and the offset after it. */
export function readFseTable(
  bytes: Uint8Array,
  start: number,
  end: number,
  maxAccuracyLog: number,
  maxSymbol: number,
): { table: FseTable; next: number } {
  const first = new ByteReader(bytes.subarray(0, end), "zstd", start).u8("FSE table");
  const accuracyLog = (first & 15) + 5;
  if (accuracyLog > maxAccuracyLog) throw corrupt(start, `FSE accuracy log ${accuracyLog} above ${maxAccuracyLog}`);
  const counts: number[] = [];
  let bit = 4;
  // At most 10 bits: three bytes hold them at any alignment.
  const peek = (count: number) => {
    const at = start + (bit >> 3);
    return ((bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16)) >>> (bit & 7)) & ((1 << count) - 1);
  };
  // The points still to be given out, plus 1; the next value lies in 0..remaining.
  let remaining = (1 << accuracyLog) + 1;
  while (remaining > 1) {
    if (counts.length > maxSymbol) throw corrupt(start, `FSE table has more than ${maxSymbol + 1} symbols`);
    if (start + (bit >> 3) >= end) throw corrupt(start, "FSE table runs past its end");
    // Values below `spare` take one bit less.
    const bits = log2(remaining) + 1;
    const threshold = 1 << (bits - 1);
    const spare = 2 * threshold - 1 - remaining;
    let value = peek(bits);
    if ((value & (threshold - 1)) < spare) {
      value &= threshold - 1;
      bit += bits - 1;
    } else {
      if (value >= threshold) value -= spare;
      bit += bits;
    }
    const count = value - 1;
    counts.push(count);
    remaining -= Math.abs(count);
    if (count === 0) {
      // Two-bit repeat counts of further zeros; 3 means that another follows.
      for (;;) {
        const repeat = peek(2);
        bit += 2;
        for (let i = 0; i < repeat; i++) counts.push(0);
        if (repeat < 3) break;
        if (counts.length > maxSymbol + 1) throw corrupt(start, "FSE table has too many zeros");
      }
    }
  }
  if (remaining !== 1 || counts.length > maxSymbol + 1) throw corrupt(start, "FSE table doesn't add up");
  const next = start + ((bit + 7) >> 3);
  if (next > end) throw corrupt(start, "FSE table runs past its end");
  return { table: buildFseTable(counts, accuracyLog), next };
}
