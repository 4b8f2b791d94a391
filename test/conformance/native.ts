// Compiles native/harness.c and runs cases on the processor of this machine (Linux on x86-64 with gcc only).
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BACKGROUND_SIZE, CASE_SIZE, RESULT_SIZE, STREAM_MAGIC } from "./layout.js";
import { makeBackground } from "./random-state.js";

const BATCH = 16384;

export class NativeProcessor implements Disposable {
  private readonly folder: string;
  private readonly program: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.program = join(folder, "harness");
  }

  /** The processor, or the reason why it can't be used here. */
  static open(): NativeProcessor | string {
    if (process.platform !== "linux" || process.arch !== "x64") return "not Linux on x86-64";
    const folder = mkdtempSync(join(tmpdir(), "xen-ts-vectors-"));
    const processor = new NativeProcessor(folder);
    const source = fileURLToPath(new URL("native/harness.c", import.meta.url));
    try {
      const flags = ["-O2", "-fno-stack-protector", "-fcf-protection=none", "-Wl,-z,now"];
      execFileSync("gcc", [...flags, "-o", processor.program, source], { stdio: ["ignore", "ignore", "pipe"] });
      processor.run([]);
      return processor;
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      return `native harness unavailable: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  /** Results, RESULT_SIZE bytes each, of case records of CASE_SIZE bytes each. */
  run(cases: readonly Uint8Array[]): Uint8Array {
    const results = new Uint8Array(cases.length * RESULT_SIZE);
    for (let start = 0; start === 0 || start < cases.length; start += BATCH) {
      const batch = cases.slice(start, start + BATCH);
      const input = Buffer.alloc(8 + BACKGROUND_SIZE + batch.length * CASE_SIZE);
      input.writeUInt32LE(STREAM_MAGIC, 0);
      input.writeUInt32LE(batch.length, 4);
      input.set(makeBackground(BACKGROUND_SIZE), 8);
      batch.forEach((record, i) => {
        input.set(record, 8 + BACKGROUND_SIZE + i * CASE_SIZE);
      });
      const done = spawnSync(this.program, { input, maxBuffer: 2 * BATCH * RESULT_SIZE });
      if (done.status !== 0 || done.stdout.length !== batch.length * RESULT_SIZE) {
        const why = done.error?.message ?? `${done.signal ?? done.status} ${done.stderr.toString()}`;
        throw new Error(`harness failed on cases ${start}..${start + batch.length}: ${why}`);
      }
      results.set(done.stdout, start * RESULT_SIZE);
    }
    return results;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
