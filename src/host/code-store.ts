// Machine code of compiled modules in files, for later runs: V8's best code, which takes ten times as long to make as it does to read.
// V8 checks by itself that the code is for this version, these flags and this processor, but not that it is whole: a file begins with
// the SHA-256 of the rest. Errors of the file system are the caller's to handle; a file that isn't there or is damaged is no error.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cachedDataVersionTag } from "node:v8";
import type { ModuleCode } from "./code-pack.js";
import { allowNatives, deserializeModule, serializeModule } from "./v8-flags.js";

/** Bytes of all files; beyond, the least recently used go. */
const MAX_BYTES = 256 * 1024 * 1024;
/** Files written between two looks at what there is. */
const TRIM_INTERVAL = 64;
const SUFFIX = ".code";
/** What stands here: files, and what a process that was killed left of one. */
const FILE = /\.code(\.\d+\.new)?$/;

export class CodeStore {
  readonly #directory: string;
  readonly #maxBytes: number;
  #written = 0;

  /** `directory` exists. */
  constructor(directory: string, maxBytes: number = MAX_BYTES) {
    allowNatives();
    this.#directory = directory;
    this.#maxBytes = maxBytes;
  }

  /** Flags and versions are in the name: what they don't fit isn't even opened. */
  #path(unit: string): string {
    return join(this.#directory, `${unit}-${cachedDataVersionTag().toString(16)}${SUFFIX}`);
  }

  /** The name to load the code of a module of these bytes by. */
  static unitOf(bytes: Uint8Array): string {
    return createHash("sha256").update(bytes).digest("hex").slice(0, 40);
  }

  /** Keeps what V8 optimized of a module whose exports are these functions. Returns the name to load it by, undefined when there's nothing. */
  store(
    bytes: Uint8Array,
    module: WebAssembly.Module,
    functions: readonly ((...args: never[]) => unknown)[],
  ): string | undefined {
    const code = serializeModule(module, functions);
    return code && this.write({ bytes, code });
  }

  /** The same with what V8 serialized. */
  write({ bytes, code }: ModuleCode): string {
    const unit = CodeStore.unitOf(bytes);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    writeChecked(this.#path(unit), [length, bytes, code]);
    if (this.#written++ % TRIM_INTERVAL === 0) this.#trim();
    return unit;
  }

  read(unit: string): ModuleCode | undefined {
    const content = readChecked(this.#path(unit));
    if (!content) return undefined;
    const end = 4 + content.readUInt32LE(0);
    return { bytes: content.subarray(4, end), code: content.subarray(end) };
  }

  remove(unit: string): void {
    rmSync(this.#path(unit), { force: true });
  }

  load(unit: string): WebAssembly.Module | undefined {
    const content = this.read(unit);
    const module = content && deserializeModule(content.code, content.bytes);
    const now = new Date();
    if (module) utimesSync(this.#path(unit), now, now);
    return module;
  }

  #trim(): void {
    const files = readdirSync(this.#directory)
      .filter((name) => FILE.test(name))
      .flatMap((name) => {
        const path = join(this.#directory, name);
        const file = statSync(path, { throwIfNoEntry: false });
        return file ? [{ path, size: file.size, used: file.mtimeMs }] : [];
      })
      .sort((a, b) => b.used - a.used);
    let bytes = 0;
    for (const { path, size } of files) {
      bytes += size;
      if (bytes > this.#maxBytes) rmSync(path, { force: true });
    }
  }
}

/** Replaces a file as a whole: SHA-256 of the parts, and the parts. */
export function writeChecked(path: string, parts: readonly Uint8Array[]): void {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  const next = `${path}.${process.pid}.new`;
  try {
    writeFileSync(next, Buffer.concat([hash.digest(), ...parts]), { mode: 0o600 });
    renameSync(next, path);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  }
}

/** What `writeChecked` wrote; undefined when there's no such file, or another one's content. */
export function readChecked(path: string): Buffer | undefined {
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const body = content.subarray(32);
  if (content.length < 36 || !createHash("sha256").update(body).digest().equals(content.subarray(0, 32)))
    return undefined;
  return body;
}
