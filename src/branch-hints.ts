// Tells V8 to read the branch hints of generated modules (cpu/wasm/code-writer.ts). In V8 11, Node 20's, that takes a flag, which
// counts for the whole process, worker threads too, and for modules compiled from then on; modules without hints are compiled as
// ever. Other versions of V8 are left as they are: a flag that they don't know would be an error on stderr.

import { setFlagsFromString } from "node:v8";

export function enableBranchHints(): void {
  if (process.versions.v8.startsWith("11.")) setFlagsFromString("--experimental-wasm-branch-hinting");
}
