// What the JIT found worth compiling, kept from one run to the next: a catalog of regions (region-catalog.ts) and V8's machine code for
// them (code-store.ts), in a folder that several processes may share. It is read when a host starts and written by the worker thread
// now and then and when the host ends. A cache is never worth a failed boot: what goes wrong is one line in the log, and the rest of
// the run goes without.

import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { KnownRegions } from "../cpu/jit/known-regions.js";
import { buildId } from "./build-id.js";
import { JitWorker } from "./jit-worker.js";
import { type CatalogEntry, CatalogRegion, catalogPath, readCatalog, writeCatalog } from "./region-catalog.js";

/** Milliseconds between two looks whether there is something new, and new regions that are worth writing. */
const SAVE_INTERVAL = 20_000;
const MIN_NEW = 32;
/** How long the end of a host waits for the worker to write, milliseconds. */
const CLOSE_WAIT = 3000;

/** $XDG_CACHE_HOME/xen-ts/translations, or ~/.cache/xen-ts/translations when the variable isn't an absolute path. */
export function defaultTranslationCacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const base = environment.XDG_CACHE_HOME;
  return join(base?.startsWith("/") ? base : join(homedir(), ".cache"), "xen-ts", "translations");
}

export class TranslationCache {
  readonly known: KnownRegions;
  /** Undefined when the folder can't be used. */
  readonly #path: string | undefined;
  readonly #directory: string;
  readonly #log: (line: string) => void;
  /** Entries of the file that a better one has taken the place of, as far as they were noticed. */
  readonly #earlier: readonly CatalogRegion[];
  #hasFailed = false;
  #worker: JitWorker | undefined;
  #timer: NodeJS.Timeout | undefined;
  #saved = 0;

  constructor(directory: string, log: (line: string) => void) {
    this.#directory = directory;
    this.#log = log;
    let earlier: CatalogRegion[] = [];
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      this.#path = catalogPath(directory, buildId());
      earlier = readCatalog(this.#path);
    } catch (error) {
      this.#fail((error as Error).message);
      this.#path = undefined;
    }
    this.#earlier = earlier;
    this.known = new KnownRegions(earlier);
  }

  #fail(message: string): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#log(`translation cache: ${message}; going on without`);
  }

  /** The compiler's thread, which keeps machine code here. */
  newWorker(): JitWorker {
    if (this.#path === undefined) return new JitWorker();
    const worker = new JitWorker({ directory: this.#directory, onError: (message) => this.#fail(message) });
    this.#worker = worker;
    this.#timer = setInterval(() => {
      if (this.#countNew() - this.#saved >= MIN_NEW) void this.#save();
    }, SAVE_INTERVAL).unref();
    return worker;
  }

  #countNew(): number {
    let count = 0;
    for (const region of this.known.all) if (region.isUsed && !(region instanceof CatalogRegion)) count++;
    return count;
  }

  async #save(isLast = false): Promise<void> {
    if (this.#path === undefined || this.#hasFailed || ![...this.known.all].some(({ isUsed }) => isUsed)) return;
    this.#saved = this.#countNew();
    const now = Math.floor(Date.now() / 1000);
    const entries: CatalogEntry[] = [];
    const left = new Set<unknown>(this.#earlier);
    for (const region of this.known.all) {
      left.delete(region);
      const { keys, text, isCut, generation, code, isUsed } = region;
      const lastUsed = !isUsed && region instanceof CatalogRegion ? region.lastUsed : now;
      entries.push({ keys, text, isCut, generation, code, lastUsed });
    }
    const removed = new Set(this.#earlier.flatMap((region) => (left.has(region) ? [region.text] : [])));
    if (this.#worker) await this.#worker.save(this.#path, entries, removed, isLast);
    else {
      try {
        writeCatalog(this.#path, entries, removed);
      } catch (error) {
        this.#fail((error as Error).message);
      }
    }
  }

  /** Writes what is new; before the worker is closed. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_WAIT);
    });
    await Promise.race([this.#save(true), late]);
    clearTimeout(timer);
  }
}
