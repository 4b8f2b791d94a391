// The worker thread of decompress-aside.ts: one job, one answer, end.
import { parentPort, workerData } from "node:worker_threads";
import { type Compression, decompress } from "../../src/compress/index.js";

/** What the worker is given. */
export interface DecompressJob {
  readonly data: Uint8Array;
  readonly format: Compression;
  readonly maxOutput: number;
}

const { data, format, maxOutput } = workerData as DecompressJob;
const output = decompress(data, { format, maxOutput });
// The output is a view that may not fill its buffer; the buffer changes owner without being copied.
parentPort?.postMessage(output, [output.buffer as ArrayBuffer]);
