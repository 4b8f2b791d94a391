// Decompresses in a worker thread: a kernel package takes seconds, and a caller's event loop (a progress display, Ctrl-C, running
// guests) must not stand still for so long. Where the program runs from its TypeScript sources, under a test runner, Node could not
// load the worker's file, so there the work is done in place.
import { Worker } from "node:worker_threads";
import { decompress } from "../../src/compress/index.js";
import { ImageError } from "../image-error.js";
import type { DecompressJob } from "./decompress-worker.js";

const COMPILED = import.meta.url.endsWith(".js");

/** Unpacks `data`. Rejects with the decompressor's error, or ImageError "aborted". */
export async function decompressAside(
  data: Uint8Array,
  options: DecompressJob["options"],
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  if (!COMPILED) return decompress(data, options);
  // A copy to give away, since `data` may be a view of something larger (and slice() of a Buffer would not copy).
  const job: DecompressJob = { data: new Uint8Array(data), options };
  const worker = new Worker(new URL("./decompress-worker.js", import.meta.url), {
    workerData: job,
    // The program's own flags (--input-type, --test, …) are not for this file.
    execArgv: [],
    transferList: [job.data.buffer as ArrayBuffer],
  });
  const stopped = () => new ImageError("aborted", "The build of the image was stopped.");
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(stopped());
      void worker.terminate();
    };
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    worker.once("message", (output: Uint8Array) => resolve(output));
    worker.once("error", reject);
    worker.once("exit", (code) => {
      signal?.removeEventListener("abort", abort);
      // Without effect after an answer.
      reject(new ImageError("bad-package", `The decompressor ended without a result (exit code ${code}).`));
    });
  });
}
