// Lets the thread that runs the guest come first. V8 compiles hot Wasm functions once more, better, in threads of its own; where
// cores are few those, all at once, take the guest most of its time. On Linux a thread has a nice value of its own
// (setpriority(2), "C library/kernel differences"); elsewhere nothing is done. A thread that comes last must not be waited for:
// V8's young garbage is then collected by the thread it belongs to, alone.

import { readdirSync } from "node:fs";
import os from "node:os";
import { setFlagsFromString } from "node:v8";

/** Nice value of background threads: a tenth of the weight of the guest's. */
const NICE = 10;

/** All threads of the process but the main one, as far as they exist: those of V8 do from the start. */
export function lowerBackgroundThreads(): void {
  if (process.platform !== "linux") return;
  try {
    for (const thread of readdirSync("/proc/self/task"))
      if (Number(thread) !== process.pid) os.setPriority(Number(thread), NICE);
  } catch {
    // Without /proc, or where a sandbox forbids it, the threads share as they did.
    return;
  }
  // Another version of V8 might not know it, and says so on stderr.
  if (process.versions.v8.startsWith("11.")) setFlagsFromString("--no-parallel-scavenge");
}
