// The interpreter's common handlers as the build (bundle.mjs) made them: generating them took a tenth of a second of each start. Sources
// that run as they are have no such file.

import { readFileSync } from "node:fs";
import { deserialize, serialize } from "node:v8";
import { Engine } from "../cpu/engine.js";
import { DEFAULT_FEATURES } from "../cpu/features.js";
import type { PreparedHandlers } from "../cpu/interpreter/handlers.js";
import { MachineMemory } from "../mmu/machine-memory.js";

/** Lies beside this module, or the bundle that it became part of. */
export const PREPARED_HANDLERS_FILE = "common-handlers.bin";

/** Undefined when there is no such file, or none that can be read: they are generated then. */
export function readPreparedHandlers(): PreparedHandlers | undefined {
  try {
    return deserialize(readFileSync(new URL(PREPARED_HANDLERS_FILE, import.meta.url))) as PreparedHandlers;
  } catch {
    return undefined;
  }
}

/** The contents of that file. */
export function makePreparedHandlers(): Uint8Array {
  const memory = new MachineMemory({ frames: 16, engineBytes: 12 << 20 });
  return serialize(new Engine(memory, { features: DEFAULT_FEATURES, codeBytes: 6 << 20 }).saveCommonHandlers());
}
