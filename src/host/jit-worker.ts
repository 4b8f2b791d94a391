// Compiles regions of guest code in a worker thread: emission and V8's work on the module happen beside the guest, and the
// finished module comes back as a message. One worker serves all hosts of a process; it starts with the first, ends with the
// last, and never keeps the process alive. It also writes what is kept for later runs;
// reading machine code is quicker than asking another thread for it.

import { Worker } from "node:worker_threads";
import { packRequest } from "../cpu/jit/packed-request.js";
import type {
  CodeTier,
  CompiledRegions,
  OptimizedFunction,
  PackedRegions,
  RegionFunction,
  RegionService,
} from "../cpu/jit/region-module.js";
import type { RegionRequest } from "../cpu/jit/request.js";
import { CodeStore } from "./code-store.js";
import type { CatalogEntry } from "./region-catalog.js";
import { hasTierControl, isOptimized } from "./v8-flags.js";

type Job = CompileJob | OptimizeJob | PackJob | ReleaseJob | SaveJob;
export type JobMessage = { readonly id: number } & Job;
interface CompileJob {
  readonly kind: "compile";
  /** The requests by `packRequest`, a line each. */
  readonly text: string;
  readonly tier: CodeTier;
  /** Where optimized code is kept. */
  readonly directory: string | undefined;
}
interface OptimizeJob {
  readonly kind: "optimize";
  /** The job that made the module, and the function's number. */
  readonly made: number;
  readonly index: number;
}
interface PackJob {
  readonly kind: "pack";
  readonly functions: readonly PackSource[];
}
/** A function of a module: of one that a job made, or whose machine code is kept in a folder. */
export interface PackSource {
  readonly module: number | { readonly unit: string; readonly directory: string };
  readonly index: number;
}
interface ReleaseJob {
  readonly kind: "release";
  /** The job that made a module which nobody has any more. */
  readonly made: number;
}
interface SaveJob {
  readonly kind: "save";
  readonly path: string;
  readonly entries: readonly CatalogEntry[];
  readonly removed: ReadonlySet<string>;
  /** Where machine code is kept that is to be put together. */
  readonly packed: string | undefined;
}

/** What became of a job, or why it failed. */
export type ResultMessage = { readonly id: number } & JobResult;
interface JobResult {
  readonly compiled?: CompiledRegions;
  readonly optimized?: OptimizedFunction | undefined;
  readonly packed?: PackedRegions | undefined;
  readonly error?: string;
  /** What is kept for later runs could not be read or written: nothing else of the result depends on it. */
  readonly storeError?: string | undefined;
}

type Done = (result: JobResult) => void;

class CompilerThread {
  readonly #worker: Worker;
  readonly #jobs = new Map<number, Done>();
  /** By which job a module was made; the thread holds it until it has gone here. */
  readonly #made = new WeakMap<WebAssembly.Module, number>();
  readonly #gone = new FinalizationRegistry<number>((made) => this.post({ kind: "release", made }, () => {}));
  #lastId = 0;
  #failure: string | undefined;
  users = 0;

  constructor() {
    this.#worker = new Worker(new URL("./jit-worker-thread.js", import.meta.url));
    this.#worker.on("message", ({ id, ...result }: ResultMessage) => {
      const done = this.#jobs.get(id);
      this.#jobs.delete(id);
      const module = result.compiled?.module ?? result.packed?.module;
      if (module) this.#hold(module, id);
      done?.(result);
    });
    this.#worker.on("error", (error) => this.#fail(error.message));
    this.#worker.on("exit", () => this.#fail("the worker thread ended"));
    // After the listeners: one for messages makes the thread count again.
    this.#worker.unref();
  }

  #hold(module: WebAssembly.Module, made: number): void {
    this.#made.set(module, made);
    this.#gone.register(module, made);
  }

  /** The job that made a module. */
  madeBy(module: WebAssembly.Module): number | undefined {
    return this.#made.get(module);
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  post(job: Job, done: Done): void {
    const error = this.#failure;
    if (error !== undefined) {
      setImmediate(() => done({ error }));
      return;
    }
    const id = ++this.#lastId;
    this.#jobs.set(id, done);
    this.#worker.postMessage({ id, ...job } satisfies JobMessage);
  }

  #fail(error: string): void {
    this.#failure ??= error;
    const jobs = [...this.#jobs.values()];
    this.#jobs.clear();
    for (const done of jobs) done({ error });
  }

  async stop(): Promise<void> {
    this.#failure ??= "the worker thread was stopped";
    await this.#worker.terminate();
  }
}

let thread: CompilerThread | undefined;

/** Where a worker keeps machine code, and who hears once that it can't. */
export interface KeptCode {
  readonly directory: string;
  readonly onError: (message: string) => void;
}

/** The process's compiler thread as one host uses it. */
export class JitWorker implements RegionService {
  readonly hasTiers = hasTierControl;
  readonly #kept: KeptCode | undefined;
  #thread: CompilerThread | undefined;
  #store: CodeStore | undefined;
  #isClosed = false;
  /** Under which names modules are kept. */
  readonly #units = new WeakMap<WebAssembly.Module, string>();

  constructor(kept?: KeptCode) {
    this.#kept = kept;
  }

  get keepsCode(): boolean {
    return this.#kept !== undefined && hasTierControl;
  }

  /** Starts the thread, which takes a while, before there is anything to compile. */
  start(): void {
    this.#running();
  }

  #running(): CompilerThread {
    if (this.#thread) return this.#thread;
    if (!thread || thread.hasFailed) thread = new CompilerThread();
    thread.users++;
    this.#thread = thread;
    return thread;
  }

  #post(job: Job, done: Done): void {
    this.#running().post(job, (result) => {
      if (result.storeError !== undefined) this.#kept?.onError(result.storeError);
      if (!this.#isClosed) done(result);
    });
  }

  compile(requests: readonly RegionRequest[], tier: CodeTier, done: (result: CompiledRegions | Error) => void): void {
    const text = requests.map(packRequest).join("\n");
    const directory = this.keepsCode && tier !== "auto" ? this.#kept?.directory : undefined;
    this.#post({ kind: "compile", text, tier, directory }, ({ compiled, error }) =>
      done(compiled ?? new Error(error ?? "nothing was compiled")),
    );
  }

  optimize(module: WebAssembly.Module, index: number, done: (result: OptimizedFunction | undefined) => void): void {
    const made = this.#running().madeBy(module) ?? 0;
    this.#post({ kind: "optimize", made, index }, ({ optimized }) => done(optimized));
  }

  pack(functions: readonly RegionFunction[], done: (result: PackedRegions | undefined) => void): void {
    const sources = functions.map(({ module, index }) => {
      const unit = this.#units.get(module);
      if (unit !== undefined) return { module: { unit, directory: this.#kept!.directory }, index };
      return { module: this.#running().madeBy(module) ?? 0, index };
    });
    this.#post({ kind: "pack", functions: sources }, ({ packed }) => done(packed));
  }

  load(unit: string): WebAssembly.Module | undefined {
    if (!this.#kept) return undefined;
    try {
      this.#store ??= new CodeStore(this.#kept.directory);
      const module = this.#store.load(unit);
      if (module) this.#units.set(module, unit);
      return module;
    } catch (error) {
      this.#kept.onError((error as Error).message);
      return undefined;
    }
  }

  hasCode(run: unknown): boolean {
    return isOptimized(run as () => unknown);
  }

  /** Writes a catalog (region-catalog.ts), for the last time with all machine code of this run in one place; errors go to the log. */
  save(path: string, entries: readonly CatalogEntry[], removed: ReadonlySet<string>, isLast: boolean): Promise<void> {
    const packed = isLast && this.keepsCode ? this.#kept?.directory : undefined;
    return new Promise((resolve) => {
      this.#post({ kind: "save", path, entries, removed, packed }, () => resolve());
    });
  }

  /** No result comes any more; the thread ends when no other host uses it. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const used = this.#thread;
    if (!used || --used.users > 0) return;
    if (thread === used) thread = undefined;
    await used.stop();
  }
}
