// Regions to a Wasm module: a pure function of plain data, here or in another thread. Many regions make one module, because a
// module costs V8 far more than its bytes do.

import type { Decoder } from "../decode/decoder.js";
import type { SemanticsTable } from "../emit/emitter.js";
import { declareRuntime } from "../interpreter/runtime-imports.js";
import { CompilationHint, ModuleWriter } from "../wasm/module-writer.js";
import { emitRegion } from "./emit-region.js";
import type { RegionRequest } from "./request.js";

export interface CompiledRegions {
  /** Exports a function of the handlers' signature per region, named by its place in the batch. */
  readonly module: WebAssembly.Module;
  /** Bytes of each function's body. */
  readonly sizes: readonly number[];
  /** What `RegionService.load` knows the module by, when its machine code is kept. */
  readonly unit?: string | undefined;
}

/** Code that is made quickly, or V8's best, which takes ten times as long; `auto`: V8 begins with the one and decides on the other. */
export type CodeTier = "auto" | "quick" | "optimized";

/** A module's bytes, and those of each function's body. */
export function emitRegions(
  requests: readonly RegionRequest[],
  decoder: Decoder,
  semantics: SemanticsTable,
  tier: CodeTier,
): { bytes: Uint8Array<ArrayBuffer>; sizes: number[] } {
  const writer = new ModuleWriter();
  if (tier !== "auto") writer.compilationHint = CompilationHint[tier];
  const type = declareRuntime(writer);
  const sizes = requests.map((request, i) => {
    const body = emitRegion(request, decoder, semantics, tier === "quick");
    writer.addFunction(type, body, String(i));
    return body.bytes.length;
  });
  return { bytes: writer.toBytes(), sizes };
}

export function compileRegions(
  requests: readonly RegionRequest[],
  decoder: Decoder,
  semantics: SemanticsTable,
): CompiledRegions {
  const { bytes, sizes } = emitRegions(requests, decoder, semantics, "auto");
  return { module: new WebAssembly.Module(bytes), sizes };
}

/** A function that was optimized where it is. */
export interface OptimizedFunction {
  /** What `RegionService.load` will know its module by, when its machine code is kept. */
  readonly unit?: string | undefined;
}

/** A function of a module of regions. */
export interface RegionFunction {
  readonly module: WebAssembly.Module;
  readonly index: number;
}

/** Machine code of many modules in one. */
export interface PackedRegions {
  readonly module: WebAssembly.Module;
  /** Each function's number there, undefined for what isn't in it. */
  readonly indices: readonly (number | undefined)[];
}

/** Compiles regions elsewhere, in the background. */
export interface RegionService {
  /** Whether it can do what `quick` and `optimized` say; else it does as with `auto`. */
  readonly hasTiers: boolean;
  /** Whether it keeps optimized machine code for `load`, in later runs too. */
  readonly keepsCode?: boolean;
  /** The module that an earlier result named, with its machine code, at once: that takes a tenth of a millisecond or two. */
  load?(unit: string): WebAssembly.Module | undefined;
  /** Whether a function of such a module has machine code: of what was optimized function by function, others haven't. */
  hasCode?(run: unknown): boolean;
  /**
   * Optimizes one function of a `quick` module that came from here where it is: its callers run the better code from then on. `done` as
   * with `compile`; undefined means that it can't be done.
   */
  optimize?(module: WebAssembly.Module, index: number, done: (result: OptimizedFunction | undefined) => void): void;
  /** Puts optimized functions of modules that came from here into one, in this order. `done` as with `compile`; undefined means that it can't be done. */
  pack?(functions: readonly RegionFunction[], done: (result: PackedRegions | undefined) => void): void;
  /** Calls `done` once, later and never from within this call: when no vCPU runs. An error means that none was compiled. */
  compile(requests: readonly RegionRequest[], tier: CodeTier, done: (result: CompiledRegions | Error) => void): void;
}
