// The worker thread of decompress-aside.ts: one job, one answer, end.
import { parentPort, workerData } from "node:worker_threads";
import { type Compression, type DecompressOptions, decompress } from "../../src/compress/index.js";

/** What the worker is given. */
export interface DecompressJob {
  readonly data: Uint8Array;
  readonly options: DecompressOptions & { readonly format: Compression };
}

const { data, options } = workerData as DecompressJob;
const output = decompress(data, options);
// The output is a view that may not fill its buffer; the buffer changes owner without being copied.
parentPort?.postMessage(output, [output.buffer as ArrayBuffer]);
