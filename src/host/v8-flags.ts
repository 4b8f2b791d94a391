// What V8 11, Node 20's, is told about generated WebAssembly. It reads the hints in modules (cpu/wasm/module-writer.ts) when flags
// say so, and the flags count for the whole process, worker threads too, and for what is compiled from then on; modules without
// hints are compiled as ever. Other versions of V8 are left as they are: a flag that they don't know would be an error on stderr.

import { setFlagsFromString } from "node:v8";

/** Whether hints say which compiler V8 uses, and whether it may be kept from using another one later. */
export const hasTierControl = process.versions.v8.startsWith("11.");

export function enableHints(): void {
  if (!hasTierControl) return;
  setFlagsFromString("--experimental-wasm-branch-hinting");
  setFlagsFromString("--experimental-wasm-compilation-hints");
  // Else TurboFan allocates registers in a poor way where a function has more than 8192 values: some 300 instructions of a guest.
  setFlagsFromString("--no-turbo-use-mid-tier-regalloc-for-huge-functions");
}

/** V8 compiles a function once more after this many bytes of its code were run, by its estimate: its own value, and hardly ever. */
const USUAL_BUDGET = 1_800_000;
const NO_TIER_UP = 1_000_000_000;

/** Makes a module whose functions V8 doesn't compile again on its own account. What other threads make meanwhile is the same. */
export function withoutTierUp(newModule: () => WebAssembly.Module): WebAssembly.Module {
  if (!hasTierControl) return newModule();
  setFlagsFromString(`--wasm-tiering-budget=${NO_TIER_UP}`);
  try {
    return newModule();
  } finally {
    setFlagsFromString(`--wasm-tiering-budget=${USUAL_BUDGET}`);
  }
}
