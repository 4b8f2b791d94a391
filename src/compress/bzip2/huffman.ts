// The Huffman codes of a bzip2 block: 2 to 6 canonical codes of up to 20 bits, of which a selector picks one for
// each 50 symbols.

import type { BitReader } from "./bit-reader.js";

const MAX_LENGTH = 20;

export class HuffmanCode {
  /** Largest code of each length, -1 if none; codes of a length are consecutive. */
  readonly #limit = new Int32Array(MAX_LENGTH + 1).fill(-1);
  /** What to add to a code of each length to get its index in #symbols. */
  readonly #offset = new Int32Array(MAX_LENGTH + 1);
  readonly #symbols: Uint16Array;

  constructor(lengths: Uint8Array) {
    const order: number[] = [];
    let code = 0;
    for (let length = 1; length <= MAX_LENGTH; length++) {
      this.#offset[length] = order.length - code;
      const before = order.length;
      for (let symbol = 0; symbol < lengths.length; symbol++) if (lengths[symbol] === length) order.push(symbol);
      code += order.length - before;
      if (order.length > before) this.#limit[length] = code - 1;
      code *= 2;
    }
    this.#symbols = Uint16Array.from(order);
  }

  decode(bits: BitReader): number {
    let code = 0;
    for (let length = 1; length <= MAX_LENGTH; length++) {
      code = (code << 1) | bits.read(1, "symbol");
      if (code <= this.#limit[length]!) {
        const symbol = this.#symbols[code + this.#offset[length]!];
        if (symbol !== undefined) return symbol;
        break;
      }
    }
    throw bits.corrupt("no such Huffman code");
  }
}

/** Reads selectors and code lengths for an alphabet of `symbols`. */
export function readHuffmanTables(bits: BitReader, symbols: number): { tables: HuffmanCode[]; selectors: Uint8Array } {
  const tableCount = bits.read(3, "table count");
  if (tableCount < 2 || tableCount > 6) throw bits.corrupt(`${tableCount} Huffman tables`);
  const selectorCount = bits.read(15, "selector count");
  if (selectorCount === 0) throw bits.corrupt("no selectors");
  const selectors = new Uint8Array(selectorCount);
  const recent = [0, 1, 2, 3, 4, 5].slice(0, tableCount);
  for (let i = 0; i < selectorCount; i++) {
    let index = 0;
    while (bits.read(1, "selector") === 1) {
      if (++index >= tableCount) throw bits.corrupt("selector out of range");
    }
    const [table] = recent.splice(index, 1);
    recent.unshift(table!);
    selectors[i] = table!;
  }
  const tables: HuffmanCode[] = [];
  for (let t = 0; t < tableCount; t++) {
    const lengths = new Uint8Array(symbols);
    let length = bits.read(5, "code length");
    for (let symbol = 0; symbol < symbols; symbol++) {
      for (;;) {
        if (length < 1 || length > MAX_LENGTH) throw bits.corrupt(`code length ${length}`);
        if (bits.read(1, "code length") === 0) break;
        length += bits.read(1, "code length") === 0 ? 1 : -1;
      }
      lengths[symbol] = length;
    }
    tables.push(new HuffmanCode(lengths));
  }
  return { tables, selectors };
}
