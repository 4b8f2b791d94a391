// The committed file of vectors: seeds and differences, in columns, compressed with Brotli. README.md describes it.
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import { applyMask, COMPLETED } from "./compare.js";
import type { Mask } from "./defined.js";
import type { Vector } from "./generate.js";
import { CASE_SIZE, CODE_OFFSET, LENGTH_OFFSET, RIP_OFFSET, VECTOR_OFFSET } from "./layout.js";
import { Case, fillState } from "./random-state.js";

const MAGIC = "xen-ts vectors 1\n";
const COLUMNS = 12;

class Writer {
  private buffer = Buffer.alloc(1 << 16);
  length = 0;
  private room(n: number): void {
    if (this.length + n <= this.buffer.length) return;
    const bigger = Buffer.alloc(2 * this.buffer.length + n);
    bigger.set(this.buffer);
    this.buffer = bigger;
  }
  u8(value: number): void {
    this.room(1);
    this.buffer[this.length++] = value;
  }
  u16(value: number): void {
    this.u8(value & 0xff);
    this.u8(value >>> 8);
  }
  u32(value: number): void {
    this.room(4);
    this.buffer.writeUInt32LE(value >>> 0, this.length);
    this.length += 4;
  }
  bytes(values: Uint8Array): void {
    this.room(values.length);
    this.buffer.set(values, this.length);
    this.length += values.length;
  }
  done(): Buffer {
    return this.buffer.subarray(0, this.length);
  }
}

class Reader {
  private readonly data: Uint8Array;
  private readonly view: DataView;
  private at = 0;
  constructor(data: Uint8Array) {
    this.data = data;
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }
  u8(): number {
    return this.view.getUint8(this.at++);
  }
  u16(): number {
    this.at += 2;
    return this.view.getUint16(this.at - 2, true);
  }
  u32(): number {
    this.at += 4;
    return this.view.getUint32(this.at - 4, true);
  }
  bytes(n: number): Uint8Array {
    if (this.at + n > this.data.length) throw new RangeError("vector file: truncated");
    this.at += n;
    return this.data.subarray(this.at - n, this.at);
  }
}

export interface FormVectors {
  readonly name: string;
  readonly mode: 32 | 64;
  readonly vectors: Vector[];
}

/**
 * The result that a completed instruction would have if it changed nothing: the base that results are stored against.
 * Writes into `base`, which is CASE_SIZE bytes.
 */
function baseResult(input: Uint8Array, mask: Mask, base: Uint8Array, vector: number): void {
  base.set(input);
  base[VECTOR_OFFSET] = vector;
  const view = new DataView(base.buffer, base.byteOffset, CASE_SIZE);
  if (vector === COMPLETED)
    view.setUint32(RIP_OFFSET, view.getUint32(RIP_OFFSET, true) + (input[LENGTH_OFFSET] as number), true);
  applyMask(base, mask);
}

/** Word indices that differ, ascending, from `from` on. */
function changedWords(a: Uint32Array, b: Uint32Array, skip: (word: number) => boolean): number[] {
  const list: number[] = [];
  for (let i = 0; i < CASE_SIZE / 4; i++) if (a[i] !== b[i] && !skip(i)) list.push(i);
  return list;
}

const wordsOf = (bytes: Uint8Array): Uint32Array => new Uint32Array(bytes.buffer, bytes.byteOffset, CASE_SIZE / 4);
const isCode = (word: number): boolean => word === 0 || (word >= CODE_OFFSET / 4 && word < CODE_OFFSET / 4 + 4);

export function encodeVectors(forms: Iterable<FormVectors>): Buffer {
  const columns = Array.from({ length: COLUMNS }, () => new Writer());
  const [
    heads,
    seeds,
    lengths,
    codes,
    inputCounts,
    inputWords,
    inputValues,
    maskIds,
    outcomes,
    outWords,
    outValues,
    memory,
  ] = columns as [Writer, Writer, Writer, Writer, Writer, Writer, Writer, Writer, Writer, Writer, Writer, Writer];
  const maskTable: string[] = [];
  const masks = new Map<string, number>();
  let formCount = 0;
  const state = new Case();
  const base = new Uint8Array(CASE_SIZE);
  for (const { name, mode, vectors } of forms) {
    formCount++;
    const bytes = Buffer.from(name);
    heads.u16(bytes.length);
    heads.bytes(bytes);
    heads.u8(mode);
    heads.u16(vectors.length);
    let seed = 0;
    for (const vector of vectors) {
      const { input, expected, mask } = vector;
      seeds.u32((vector.seed - seed) >>> 0);
      seed = vector.seed;
      const length = input[LENGTH_OFFSET] as number;
      lengths.u8(length);
      codes.bytes(input.subarray(CODE_OFFSET, CODE_OFFSET + length));
      fillState(state, vector.seed, mode);
      const inputList = changedWords(state.words, wordsOf(input), isCode);
      inputCounts.u8(inputList.length);
      for (const word of inputList) {
        inputWords.u8(word);
        inputValues.u32(wordsOf(input)[word] as number);
      }
      const key = JSON.stringify([mask.flags, mask.fsw, mask.kind]);
      let id = masks.get(key);
      if (id === undefined) {
        id = maskTable.push(key) - 1;
        masks.set(key, id);
      }
      maskIds.u16(id);
      maskIds.u8(mask.ignore.length);
      for (const value of mask.ignore) maskIds.u32(value);
      outcomes.u8(expected[VECTOR_OFFSET] as number);
      baseResult(input, mask, base, expected[VECTOR_OFFSET] as number);
      const outList = changedWords(wordsOf(base), wordsOf(expected), () => false);
      outcomes.u8(outList.length);
      for (const word of outList) {
        outWords.u8(word);
        outValues.u32(wordsOf(expected)[word] as number);
      }
      memory.u16(vector.memory.length / 2);
      let address = 0;
      for (let i = 0; i < vector.memory.length; i += 2) {
        const next = vector.memory[i] as number;
        if (next - address < 255 && i > 0) memory.u8(next - address);
        else {
          memory.u8(255);
          memory.u32(next);
        }
        address = next;
        memory.u8(vector.memory[i + 1] as number);
      }
    }
  }
  const file = new Writer();
  file.bytes(Buffer.from(MAGIC));
  const table = Buffer.from(JSON.stringify(maskTable));
  file.u32(table.length);
  file.bytes(table);
  file.u32(formCount);
  for (const column of columns) {
    file.u32(column.length);
    file.bytes(column.done());
  }
  return brotliCompressSync(file.done(), {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 9,
      [constants.BROTLI_PARAM_LGWIN]: 24,
      [constants.BROTLI_PARAM_SIZE_HINT]: file.length,
    },
  });
}

/** Vectors one form at a time; each form's vectors are made when they are iterated over. */
export function* decodeVectors(
  compressed: Uint8Array,
): Generator<{ name: string; mode: 32 | 64; vectors: Iterable<Vector> }> {
  const file = new Reader(brotliDecompressSync(compressed));
  if (Buffer.from(file.bytes(MAGIC.length)).toString() !== MAGIC) throw new Error("vector file: unknown format");
  const table = JSON.parse(Buffer.from(file.bytes(file.u32())).toString()) as string[];
  const masks = table.map((entry) => JSON.parse(entry) as [number, number, number]);
  const formCount = file.u32();
  const columns = Array.from({ length: COLUMNS }, () => new Reader(file.bytes(file.u32())));
  const [
    heads,
    seeds,
    lengths,
    codes,
    inputCounts,
    inputWords,
    inputValues,
    maskIds,
    outcomes,
    outWords,
    outValues,
    memory,
  ] = columns as [Reader, Reader, Reader, Reader, Reader, Reader, Reader, Reader, Reader, Reader, Reader, Reader];
  for (let form = 0; form < formCount; form++) {
    const name = Buffer.from(heads.bytes(heads.u16())).toString();
    const mode = heads.u8() === 64 ? 64 : 32;
    const count = heads.u16();
    const vectors: Vector[] = [];
    let seed = 0;
    for (let i = 0; i < count; i++) {
      seed = (seed + seeds.u32()) >>> 0;
      const state = new Case();
      fillState(state, seed, mode);
      const length = lengths.u8();
      state.bytes[LENGTH_OFFSET] = length;
      state.bytes.set(codes.bytes(length), CODE_OFFSET);
      for (let n = inputCounts.u8(); n > 0; n--) state.words[inputWords.u8()] = inputValues.u32();
      const [flags, fsw, kind] = masks[maskIds.u16()] as [number, number, number];
      const ignore = Array.from({ length: maskIds.u8() }, () => maskIds.u32());
      const mask: Mask = { flags, fsw, kind, ignore };
      const expected = new Uint8Array(CASE_SIZE);
      baseResult(state.bytes, mask, expected, outcomes.u8());
      const words = wordsOf(expected);
      for (let n = outcomes.u8(); n > 0; n--) words[outWords.u8()] = outValues.u32();
      const pairs: number[] = [];
      let address = 0;
      for (let n = memory.u16(); n > 0; n--) {
        const step = memory.u8();
        address = step === 255 ? memory.u32() : address + step;
        pairs.push(address, memory.u8());
      }
      vectors.push({ seed, input: state.bytes, expected, memory: pairs, mask });
    }
    yield { name, mode, vectors };
  }
}
