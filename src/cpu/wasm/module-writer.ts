// Assembles a WebAssembly module (core specification, section 5.5). Knows no x86.
// Imported functions come first in the function index space, so declare all imports before the first function.

import { ByteWriter } from "./byte-writer.js";
import type { FunctionBody } from "./code-writer.js";

export const ValueType = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;
export type ValueTypeName = keyof typeof ValueType;

/**
 * Of the compilation hints proposal, as far as V8 knows it: two bits each, from the right, for when to compile (1: when first called, 2:
 * before the module is there), and for the first and the best compiler that are used (1: quick, 2: optimizing).
 */
export const CompilationHint = { quick: 0b01_01_01, optimized: 0b10_10_10 } as const;
export type CompilationHint = (typeof CompilationHint)[keyof typeof CompilationHint];

interface FunctionImport {
  readonly module: string;
  readonly name: string;
  readonly type: number;
}

export class ModuleWriter {
  readonly #types: string[] = [];
  readonly #typeBytes: Uint8Array[] = [];
  readonly #imports: FunctionImport[] = [];
  readonly #functions: { type: number; body: FunctionBody }[] = [];
  readonly #exports: { name: string; kind: number; index: number }[] = [];
  #memory: { module: string; name: string; pages: number | undefined } | undefined;
  #table: number | undefined;
  /** How V8 is to compile the functions, when it's told to heed that (host/v8-flags.ts). */
  compilationHint: CompilationHint | undefined;

  type(params: readonly ValueTypeName[], results: readonly ValueTypeName[]): number {
    const key = `${params.join()}>${results.join()}`;
    const found = this.#types.indexOf(key);
    if (found >= 0) return found;
    const bytes = [0x60, params.length, ...params.map((t) => ValueType[t])];
    bytes.push(results.length, ...results.map((t) => ValueType[t]));
    this.#types.push(key);
    this.#typeBytes.push(Uint8Array.from(bytes));
    return this.#types.length - 1;
  }

  /** Imports a memory of exactly `pages` 64 KiB pages; of any size when undefined. */
  importMemory(module: string, name: string, pages?: number): void {
    this.#memory = { module, name, pages };
  }

  importFunction(module: string, name: string, type: number): number {
    if (this.#functions.length > 0) throw new Error("imports must precede functions");
    this.#imports.push({ module, name, type });
    return this.#imports.length - 1;
  }

  get importCount(): number {
    return this.#imports.length;
  }

  /** Defines a table of funcref with `size` empty slots, exported as "table". */
  table(size: number): void {
    this.#table = size;
    this.#exports.push({ name: "table", kind: 1, index: 0 });
  }

  /** Returns the function's index. */
  addFunction(type: number, body: FunctionBody, exportName?: string): number {
    this.#functions.push({ type, body });
    const index = this.#imports.length + this.#functions.length - 1;
    if (exportName !== undefined) this.#exports.push({ name: exportName, kind: 0, index });
    return index;
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    const out = new ByteWriter(4096);
    out.raw(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    section(out, 1, this.#typeBytes.length, (s) => {
      for (const bytes of this.#typeBytes) s.raw(bytes);
    });
    section(out, 2, this.#imports.length + (this.#memory ? 1 : 0), (s) => {
      if (this.#memory) {
        s.name(this.#memory.module);
        s.name(this.#memory.name);
        const { pages } = this.#memory;
        s.u8(2);
        s.u8(pages === undefined ? 0 : 1);
        s.u32(pages ?? 0);
        if (pages !== undefined) s.u32(pages);
      }
      for (const f of this.#imports) {
        s.name(f.module);
        s.name(f.name);
        s.u8(0);
        s.u32(f.type);
      }
    });
    section(out, 3, this.#functions.length, (s) => {
      for (const f of this.#functions) s.u32(f.type);
    });
    this.#compilationHints(out);
    const table = this.#table;
    section(out, 4, table === undefined ? 0 : 1, (s) => {
      s.u8(0x70);
      s.u8(0);
      s.u32(table!);
    });
    section(out, 7, this.#exports.length, (s) => {
      for (const e of this.#exports) {
        s.name(e.name);
        s.u8(e.kind);
        s.u32(e.index);
      }
    });
    this.#branchHints(out);
    section(out, 10, this.#functions.length, (s) => {
      for (const f of this.#functions) {
        s.u32(f.body.bytes.length);
        s.raw(f.body.bytes);
      }
    });
    return out.bytes.slice(0, out.length) as Uint8Array<ArrayBuffer>;
  }

  /** The custom section that follows that of the functions. */
  #compilationHints(out: ByteWriter): void {
    if (this.compilationHint === undefined) return;
    const body = new ByteWriter(64);
    body.name("compilationHints");
    body.u32(this.#functions.length);
    for (let i = 0; i < this.#functions.length; i++) body.u8(this.compilationHint);
    out.u8(0);
    out.u32(body.length);
    out.raw(body.bytes, body.length);
  }

  /** The custom section of the branch hinting proposal, before the code that it is about. */
  #branchHints(out: ByteWriter): void {
    const hinted = this.#functions.flatMap(({ body }, i) => (body.hints.length > 0 ? [{ i, hints: body.hints }] : []));
    if (hinted.length === 0) return;
    const body = new ByteWriter(1024);
    body.name("metadata.code.branch_hint");
    body.u32(hinted.length);
    for (const { i, hints } of hinted) {
      body.u32(this.#imports.length + i);
      body.u32(hints.length);
      for (const { at, likely } of hints) {
        body.u32(at);
        body.u8(1);
        body.u8(likely ? 1 : 0);
      }
    }
    out.u8(0);
    out.u32(body.length);
    out.raw(body.bytes, body.length);
  }
}

function section(out: ByteWriter, id: number, count: number, write: (s: ByteWriter) => void): void {
  if (count === 0) return;
  const body = new ByteWriter(1024);
  body.u32(count);
  write(body);
  out.u8(id);
  out.u32(body.length);
  out.raw(body.bytes, body.length);
}
