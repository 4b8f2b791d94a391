// The worker thread of jit-worker.ts. Modules come back ready to run: V8 compiles a function when it is first called, and shares
// what it made with every thread that has the module, so each function is called here, on an empty machine whose instruction
// budget is used up, which makes it return before its first instruction. What is to be optimized says that it wants to be compiled
// with the module: a thread of V8's does, while this one goes on with quick code.

import { constants, setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { Decoder } from "../cpu/decode/decoder.js";
import { DEFAULT_FEATURES } from "../cpu/features.js";
import { idleRuntime } from "../cpu/interpreter/runtime-imports.js";
import { unpackRequest } from "../cpu/jit/packed-request.js";
import { emitRegions, type PackedRegions } from "../cpu/jit/region-module.js";
import { semantics } from "../cpu/semantics/index.js";
import { CodeStore } from "./code-store.js";
import type { JobMessage, PackSource, ResultMessage } from "./jit-worker.js";
import { MadeModules } from "./made-modules.js";
import { packUsed } from "./pack-catalog.js";
import { writeCatalog } from "./region-catalog.js";
import { withoutTierUp } from "./v8-flags.js";

try {
  // The guest's own thread comes first. Elsewhere than on Linux this would be about the whole process.
  if (process.platform === "linux") setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL);
} catch {
  // A sandbox may forbid it.
}

const decoder = new Decoder({ features: DEFAULT_FEATURES });
const imports = { ...idleRuntime(), memory: new WebAssembly.Memory({ initial: 2, maximum: 2 }) };
/** Linear address of a vCPU's struct, all zero. */
const STATE = 0x8000;

let optimizing: Promise<unknown> = Promise.resolve();
/**
 * In a thread of V8's: what takes long holds nothing else up. One module after the other, so that the guest has a processor to itself
 * where there are two.
 */
function optimize(bytes: Uint8Array<ArrayBuffer>): Promise<WebAssembly.Module> {
  const module = optimizing.then(() => WebAssembly.compile(bytes));
  optimizing = module.catch(() => {});
  return module;
}

type Run = (state: number, record: number) => number;

/** Its functions. */
function makeReady(module: WebAssembly.Module): Run[] {
  const { exports } = new WebAssembly.Instance(module, { e: imports });
  const functions = Object.values(exports) as Run[];
  for (const run of functions) {
    try {
      run(STATE, 0);
    } catch {
      // Its code is there all the same.
    }
  }
  return functions;
}

const made = new MadeModules();

const stores = new Map<string, CodeStore>();
function storeIn(directory: string): CodeStore {
  const known = stores.get(directory);
  if (known) return known;
  const store = new CodeStore(directory);
  stores.set(directory, store);
  return store;
}

/** Runs what may fail without anything being lost but time. */
function attempt<T>(work: () => T): { value?: T; storeError?: string } {
  try {
    return { value: work() };
  } catch (error) {
    return { storeError: (error as Error).message };
  }
}

function packTogether(id: number, sources: readonly PackSource[]): PackedRegions | undefined {
  const functions = sources.map(({ module, index }) => ({
    module: typeof module === "number" ? module : { store: storeIn(module.directory), unit: module.unit },
    index,
  }));
  const packed = made.pack(functions);
  if (!packed) return undefined;
  const { bytes, module, indices } = packed;
  made.add(id, { bytes, module, functions: makeReady(module) });
  return { module, indices };
}

async function perform(job: JobMessage): Promise<Omit<ResultMessage, "id">> {
  if (job.kind === "release") return { storeError: attempt(() => made.release(job.made)).storeError };
  if (job.kind === "optimize") return { optimized: await made.optimize(job.made, job.index) };
  if (job.kind === "pack") return { packed: packTogether(job.id, job.functions) };
  if (job.kind === "save") {
    const { path, entries, removed, packed } = job;
    const saved = attempt(() => made.save());
    const together = packed === undefined ? undefined : attempt(() => packUsed(storeIn(packed), entries));
    const written = attempt(() => writeCatalog(path, together?.value ?? entries, removed));
    return { storeError: saved.storeError ?? together?.storeError ?? written.storeError };
  }
  const { id, text, tier, directory } = job;
  const { bytes, sizes } = emitRegions(text.split("\n").map(unpackRequest), decoder, semantics, tier);
  const newModule = () => new WebAssembly.Module(bytes);
  let module: WebAssembly.Module;
  if (tier === "optimized") module = await optimize(bytes);
  else module = tier === "auto" ? newModule() : withoutTierUp(newModule);
  const functions = makeReady(module);
  if (tier === "quick") {
    // Without a folder there is only nothing to keep.
    const { value: store, storeError } = directory ? attempt(() => storeIn(directory)) : {};
    made.addQuick(id, { bytes, module, functions }, store);
    return { compiled: { module, sizes }, storeError };
  }
  if (tier === "optimized") made.add(id, { bytes, module, functions });
  const { value: unit, storeError } = directory
    ? attempt(() => storeIn(directory).store(bytes, module, functions))
    : {};
  return { compiled: { module, sizes, unit }, storeError };
}

parentPort!.on("message", async (job: JobMessage) => {
  let result: ResultMessage;
  try {
    result = { id: job.id, ...(await perform(job)) };
  } catch (error) {
    result = { id: job.id, error: (error as Error).message };
  }
  parentPort!.postMessage(result);
});
