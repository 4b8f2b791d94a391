// The worker thread of jit-worker.ts. Modules come back ready to run: V8 compiles a function when it is first called, and shares
// what it made with every thread that has the module, so each function is called here, on an empty machine whose instruction
// budget is used up, which makes it return before its first instruction.

import { constants, setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { Decoder } from "../cpu/decode/decoder.js";
import { DEFAULT_FEATURES } from "../cpu/features.js";
import { emitRegions } from "../cpu/jit/region-module.js";
import { semantics } from "../cpu/semantics/index.js";
import { type JobMessage, type ResultMessage, unpackRequests } from "./jit-worker.js";
import { withoutTierUp } from "./v8-flags.js";

try {
  // The guest's own thread comes first. Elsewhere than on Linux this would be about the whole process.
  if (process.platform === "linux") setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL);
} catch {
  // A sandbox may forbid it.
}

const decoder = new Decoder({ features: DEFAULT_FEATURES });
const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
/** Linear address of a vCPU's struct, all zero. */
const STATE = 0x8000;

function makeReady(module: WebAssembly.Module): void {
  const imports = WebAssembly.Module.imports(module).map(({ name }) => [name, name === "memory" ? memory : () => 0]);
  const { exports } = new WebAssembly.Instance(module, { e: Object.fromEntries(imports) });
  for (const run of Object.values(exports) as ((state: number, record: number) => number)[]) {
    try {
      run(STATE, 0);
    } catch {
      // Its code is there all the same.
    }
  }
}

parentPort!.on("message", ({ id, text, tier }: JobMessage) => {
  let result: ResultMessage;
  try {
    const { bytes, sizes } = emitRegions(unpackRequests(text), decoder, semantics, tier);
    const newModule = () => new WebAssembly.Module(bytes);
    const module = tier === "auto" ? newModule() : withoutTierUp(newModule);
    makeReady(module);
    result = { id, module, sizes };
  } catch (error) {
    result = { id, error: (error as Error).message };
  }
  parentPort!.postMessage(result);
});
