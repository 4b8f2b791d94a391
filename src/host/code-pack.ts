// Machine code of many modules as one module's, without compiling anything: regions that run one after the other are then close to each
// other in memory and share an instance. The layout is that of what V8 11.3 serializes: a header, the bytes of all machine code, a byte
// for each imported function and one more, a record for each function, and what is left until V8 would compile it again, four bytes
// for each. A record names what to relocate by numbers that don't depend on the module, as long as that imports the same.

import { declareRuntime } from "../cpu/interpreter/runtime-imports.js";
import { CompilationHint, ModuleWriter } from "../cpu/wasm/module-writer.js";

/** A module's bytes, and what V8 serialized of it. */
export interface ModuleCode {
  readonly bytes: Uint8Array;
  readonly code: Uint8Array;
}

/** Whether V8 has that layout. */
export const canPack = process.versions.v8.startsWith("11.3.244.8-") && process.arch === "x64";

/** V8's header, and the bytes of machine code behind it. */
const HEADER = 16;
const CODE_BYTES = 8;
/** A function's record: what it is, twelve words, its kind and its compiler, and then what some of the words count. */
const RECORD = 54;
const FUNCTION = { lazy: 2, eager: 3, optimized: 4 } as const;
const COUNTED_WORDS = [7, 8, 9, 10, 11] as const;
const SECTION = { imports: 2, code: 10 } as const;

/** Sections of a module's bytes. */
class Sections {
  readonly #bytes: Uint8Array;
  #at = 8;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  #number(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw new Error("a kept module ends early");
  }

  /** Goes to the content of the next section of this number. */
  #find(number: number): number {
    for (;;) {
      const id = this.#number();
      const length = this.#number();
      if (id === number) return length;
      this.#at += length;
    }
  }

  /** Types and imports. */
  get start(): Uint8Array {
    this.#at = 8;
    const length = this.#find(SECTION.imports);
    return this.#bytes.subarray(0, this.#at + length);
  }

  get bodies(): Uint8Array[] {
    this.#at = 8;
    this.#find(SECTION.code);
    return Array.from({ length: this.#number() }, () => {
      const length = this.#number();
      this.#at += length;
      return this.#bytes.subarray(this.#at - length, this.#at);
    });
  }
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The functions' records, undefined for what isn't optimized. */
function recordsOf(code: Uint8Array, start: number, count: number): (Uint8Array | undefined)[] {
  const view = viewOf(code);
  let at = start;
  const records = Array.from({ length: count }, () => {
    const kind = code[at];
    if (kind === FUNCTION.lazy || kind === FUNCTION.eager) {
      at++;
      return undefined;
    }
    if (kind !== FUNCTION.optimized || at + RECORD > code.length)
      throw new Error("kept machine code of another layout");
    const size = COUNTED_WORDS.reduce((sum, word) => sum + view.getUint32(at + 1 + 4 * word, true), RECORD);
    at += size;
    return code.subarray(at - size, at);
  });
  if (at + 4 * count !== code.length) throw new Error("kept machine code of another layout");
  return records;
}

/** Puts functions of several modules, all optimized and with the imports of regions, into one. */
export class CodePack {
  readonly #writer = new ModuleWriter();
  readonly #type = declareRuntime(this.#writer);
  /** Of a module without functions, and so of all others. */
  readonly #start = new Sections(this.#writer.toBytes()).start;
  readonly #records: Uint8Array[] = [];
  #prefix: Uint8Array | undefined;
  #budget: Uint8Array | undefined;
  /** Bytes of machine code. */
  bytes = 0;

  get count(): number {
    return this.#records.length;
  }

  /**
   * Adds functions of a module. Returns their numbers here, undefined for those that have no machine code.
   * Throws when it isn't a module of regions, or V8's layout isn't the one that is known.
   */
  add({ bytes, code }: ModuleCode, indices: readonly number[]): (number | undefined)[] {
    const sections = new Sections(bytes);
    if (Buffer.compare(sections.start, this.#start) !== 0) throw new Error("a kept module with other imports");
    const { bodies } = sections;
    const start = HEADER + CODE_BYTES + 1 + this.#writer.importCount;
    const records = recordsOf(code, start, bodies.length);
    this.#prefix ??= code.subarray(0, start);
    this.#budget ??= code.subarray(code.length - 4);
    return indices.map((index) => {
      const record = records[index];
      if (!record) return undefined;
      this.#writer.addFunction(this.#type, { bytes: bodies[index]!, hints: [] }, String(this.count));
      this.bytes += viewOf(record).getUint32(1 + 4 * COUNTED_WORDS[0], true);
      return this.#records.push(record) - 1;
    });
  }

  /** What there is of it by now. */
  finish(): ModuleCode {
    if (!this.#prefix || !this.#budget) throw new Error("nothing was packed");
    this.#writer.compilationHint = CompilationHint.optimized;
    const prefix = this.#prefix.slice();
    viewOf(prefix).setBigUint64(HEADER, BigInt(this.bytes), true);
    const code = Buffer.concat([prefix, ...this.#records, ...this.#records.map(() => this.#budget!)]);
    return { bytes: this.#writer.toBytes(), code };
  }
}
