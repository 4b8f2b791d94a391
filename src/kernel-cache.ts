// A file-backed KernelCache: $XDG_CACHE_HOME/xen-ts/kernels/<sha256 of the packed file>.elf.
// Files appear whole by rename, so that processes can share the directory. A cache is never worth a failed
// boot: what goes wrong with the file system is reported to `warn` and otherwise ignored.

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { KernelCache } from "./hypervisor/loader/kernel-image.js";

export interface FileKernelCacheOptions {
  /** Default {@link defaultKernelCacheDirectory}. */
  readonly directory?: string;
  /** Most kernels kept; the longest unused go first. Default 8. */
  readonly limit?: number;
  /** Gets one line about each failure. */
  readonly warn?: (message: string) => void;
}

/** $XDG_CACHE_HOME/xen-ts/kernels, or ~/.cache/xen-ts/kernels when the variable isn't an absolute path. */
export function defaultKernelCacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const base = environment.XDG_CACHE_HOME;
  return join(base?.startsWith("/") ? base : join(homedir(), ".cache"), "xen-ts", "kernels");
}

export class FileKernelCache implements KernelCache {
  readonly directory: string;
  readonly #limit: number;
  readonly #warn: (message: string) => void;

  constructor(options: FileKernelCacheOptions = {}) {
    this.directory = options.directory ?? defaultKernelCacheDirectory();
    this.#limit = options.limit ?? 8;
    this.#warn = options.warn ?? (() => {});
  }

  get(key: string): Uint8Array | undefined {
    const path = this.#path(key);
    try {
      const bytes = readFileSync(path);
      // Its time tells when it was last used.
      const now = new Date();
      utimesSync(path, now, now);
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") this.#complain("read", error);
      return undefined;
    }
  }

  put(key: string, bytes: Uint8Array): void {
    const path = this.#path(key);
    const temporary = `${path}.${process.pid}.tmp`;
    try {
      mkdirSync(this.directory, { recursive: true });
      writeFileSync(temporary, bytes, { flush: true });
      renameSync(temporary, path);
      this.#prune();
    } catch (error) {
      this.#complain("write", error);
      try {
        rmSync(temporary, { force: true });
      } catch (removal) {
        this.#complain("remove", removal);
      }
    }
  }

  #path(key: string): string {
    if (!/^[0-9a-f]{64}$/.test(key)) throw new RangeError(`kernel cache key ${JSON.stringify(key)} isn't a SHA-256`);
    return join(this.directory, `${key}.elf`);
  }

  #prune(): void {
    const kernels = readdirSync(this.directory)
      .filter((file) => /^[0-9a-f]{64}\.elf$/.test(file))
      .map((file) => join(this.directory, file))
      .map((path) => ({ path, used: statSync(path).mtimeMs }))
      .sort((a, b) => b.used - a.used);
    for (const { path } of kernels.slice(this.#limit)) rmSync(path, { force: true });
  }

  #complain(what: string, error: unknown): void {
    this.#warn(`kernel cache: can't ${what}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
