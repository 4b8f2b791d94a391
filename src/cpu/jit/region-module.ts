// Regions to a Wasm module: a pure function of plain data, here or in another thread. Many regions make one module, because a
// module costs V8 far more than its bytes do.

import type { Decoder } from "../decode/decoder.js";
import type { SemanticsTable } from "../emit/emitter.js";
import { declareRuntime } from "../interpreter/handlers.js";
import { ModuleWriter } from "../wasm/module-writer.js";
import { emitRegion } from "./emit-region.js";
import type { RegionRequest } from "./request.js";

export interface CompiledRegions {
  /** Exports a function of the handlers' signature per region, named by its place in the batch. */
  readonly module: WebAssembly.Module;
  /** Bytes of each function's body. */
  readonly sizes: readonly number[];
}

export function compileRegions(
  requests: readonly RegionRequest[],
  decoder: Decoder,
  semantics: SemanticsTable,
): CompiledRegions {
  const writer = new ModuleWriter();
  const type = declareRuntime(writer);
  const sizes = requests.map((request, i) => {
    const body = emitRegion(request, decoder, semantics);
    writer.addFunction(type, body, String(i));
    return body.bytes.length;
  });
  return { module: new WebAssembly.Module(writer.toBytes()), sizes };
}

/** Compiles regions elsewhere, in the background. */
export interface RegionService {
  /** Calls `done` once, later and never from within this call: when no vCPU runs. An error means that none was compiled. */
  compile(requests: readonly RegionRequest[], done: (result: CompiledRegions | Error) => void): void;
}
