// Compiles regions of guest code in a worker thread: emission and V8's work on the module happen beside the guest, and the
// finished module comes back as a message. One worker serves all hosts of a process; it starts with the first, ends with the
// last, and never keeps the process alive.

import { Worker } from "node:worker_threads";
import type { CodeTier, CompiledRegions, RegionService } from "../cpu/jit/region-module.js";
import type { BlockRequest, RegionRequest } from "../cpu/jit/request.js";
import { hasTierControl } from "./v8-flags.js";

export interface JobMessage {
  readonly id: number;
  /** The requests by `packRequests`. */
  readonly text: string;
  readonly tier: CodeTier;
}

/** A finished job, or why it failed. */
export type ResultMessage = { readonly id: number } & (CompiledRegions | { readonly error: string });

/** One string: cloning it costs a fraction of what cloning many small objects and arrays does. */
export function packRequests(requests: readonly RegionRequest[]): string {
  return JSON.stringify(
    requests.map((request) => ({
      ...request,
      blocks: request.blocks.map((block) => ({ ...block, bytes: Buffer.from(block.bytes).toString("latin1") })),
    })),
  );
}

export function unpackRequests(text: string): RegionRequest[] {
  type Packed = Omit<RegionRequest, "blocks"> & { blocks: (Omit<BlockRequest, "bytes"> & { bytes: string })[] };
  return (JSON.parse(text) as Packed[]).map((request) => ({
    ...request,
    blocks: request.blocks.map((block) => ({ ...block, bytes: Buffer.from(block.bytes, "latin1") })),
  }));
}

type Done = (result: CompiledRegions | Error) => void;

class CompilerThread {
  readonly #worker: Worker;
  readonly #jobs = new Map<number, Done>();
  #lastId = 0;
  #failure: Error | undefined;
  users = 0;

  constructor() {
    this.#worker = new Worker(new URL("./jit-worker-thread.js", import.meta.url));
    this.#worker.on("message", (message: ResultMessage) => {
      const done = this.#jobs.get(message.id);
      this.#jobs.delete(message.id);
      done?.("error" in message ? new Error(message.error) : message);
    });
    this.#worker.on("error", (error) => this.#fail(error));
    this.#worker.on("exit", () => this.#fail(new Error("the worker thread ended")));
    // After the listeners: one for messages makes the thread count again.
    this.#worker.unref();
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  compile(requests: readonly RegionRequest[], tier: CodeTier, done: Done): void {
    const failure = this.#failure;
    if (failure) {
      setImmediate(() => done(failure));
      return;
    }
    const id = ++this.#lastId;
    this.#jobs.set(id, done);
    this.#worker.postMessage({ id, text: packRequests(requests), tier } satisfies JobMessage);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    const jobs = [...this.#jobs.values()];
    this.#jobs.clear();
    for (const done of jobs) done(this.#failure);
  }

  async stop(): Promise<void> {
    this.#failure ??= new Error("the worker thread was stopped");
    await this.#worker.terminate();
  }
}

let thread: CompilerThread | undefined;

/** The process's compiler thread as one host uses it. */
export class JitWorker implements RegionService {
  readonly hasTiers = hasTierControl;
  #thread: CompilerThread | undefined;
  #isClosed = false;

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

  compile(requests: readonly RegionRequest[], tier: CodeTier, done: Done): void {
    this.#running().compile(requests, tier, (result) => {
      if (!this.#isClosed) done(result);
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
