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

/**
 * Makes a module whose functions V8 doesn't compile again on its own account, given that a hint in it says the same
 * (`CompilationHint.quick`): without one V8 would do so at once. What other threads make meanwhile is the same.
 */
export function withoutTierUp(newModule: () => WebAssembly.Module): WebAssembly.Module {
  if (!hasTierControl) return newModule();
  setFlagsFromString("--no-wasm-dynamic-tiering");
  try {
    return newModule();
  } finally {
    setFlagsFromString("--wasm-dynamic-tiering");
  }
}

type Exported = (...args: never[]) => unknown;
interface Natives {
  readonly optimize: (run: Exported) => void;
  readonly isOptimized: (run: Exported) => boolean;
  readonly serialize: (module: WebAssembly.Module) => ArrayBuffer;
  readonly deserialize: (code: ArrayBuffer, bytes: Uint8Array) => WebAssembly.Module | undefined;
}

let natives: Natives | undefined;

/**
 * Functions of V8's own that give a module's machine code and take it back, or have some made. The flag that lets scripts name them stays set: code is
 * taken back only under the flags it was given with.
 */
function findNatives(): Natives | undefined {
  if (natives || !hasTierControl) return natives;
  setFlagsFromString("--allow-natives-syntax");
  try {
    natives = {
      optimize: new Function("run", "%WasmTierUpFunction(run)") as Natives["optimize"],
      isOptimized: new Function("run", "return %IsTurboFanFunction(run)") as Natives["isOptimized"],
      serialize: new Function("module", "return %SerializeWasmModule(module)") as Natives["serialize"],
      deserialize: new Function(
        "code",
        "bytes",
        "return %DeserializeWasmModule(code, bytes)",
      ) as Natives["deserialize"],
    };
  } catch {
    // This V8 has others.
  }
  return natives;
}

/** Sets the flag, which changes V8's version tag: before that is asked for. */
export function allowNatives(): void {
  findNatives();
}

/** Whether V8's optimizing compiler made the code that this exported function runs; true where V8 can't tell. */
export function isOptimized(run: Exported): boolean {
  return findNatives()?.isOptimized(run) ?? true;
}

/**
 * Has V8's optimizing compiler make an exported function anew, here and now. Whoever has its module, in whatever thread and instance, runs
 * the new code from then on. False where V8 can't, as while a debugger is attached.
 */
export function optimizeInPlace(run: Exported): boolean {
  const known = findNatives();
  known?.optimize(run);
  return known?.isOptimized(run) ?? false;
}

/**
 * Machine code that V8's optimizing compiler made of functions of a module; these are what it exports. Undefined where V8 can't tell, or
 * has none at all: asked all the same it would end the process.
 */
export function serializeModule(module: WebAssembly.Module, functions: readonly Exported[]): Uint8Array | undefined {
  const known = findNatives();
  if (!known || functions.length === 0 || !functions.some(known.isOptimized)) return undefined;
  return new Uint8Array(known.serialize(module));
}

/** The module of these bytes with its machine code; undefined when that is for another version of V8, other flags or processors. */
export function deserializeModule(code: Uint8Array, bytes: Uint8Array): WebAssembly.Module | undefined {
  // Both as copies: V8 takes a whole buffer, and keeps the bytes.
  return findNatives()?.deserialize(new Uint8Array(code).buffer, new Uint8Array(bytes));
}
