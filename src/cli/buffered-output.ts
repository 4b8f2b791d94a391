// A text sink for things that come in small pieces by the thousand (traces, logs): it collects and writes big blocks, at the
// latest when the event loop gets its turn, and all that is left when the process ends.

import { closeSync, openSync, writeSync } from "node:fs";
import { CliError } from "./cli-error.js";
import { ExitCode } from "./exit-codes.js";

const BLOCK = 65536;

export class BufferedOutput {
  readonly #writeBlock: (bytes: Uint8Array) => void;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #isScheduled = false;

  constructor(writeBlock: (bytes: Uint8Array) => void) {
    this.#writeBlock = writeBlock;
  }

  write(piece: string | Uint8Array): void {
    const bytes = typeof piece === "string" ? Buffer.from(piece) : Uint8Array.from(piece);
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes >= BLOCK) this.flush();
    else if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(() => this.flush());
    }
  }

  flush(): void {
    this.#isScheduled = false;
    if (this.#bytes === 0) return;
    const block = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#bytes = 0;
    this.#writeBlock(block);
  }
}

/** A file that is written from its beginning. `option`: who asked for it. @throws CliError when it can't be. */
export function openLog(path: string, option: string): BufferedOutput & { close(): void } {
  let file: number;
  try {
    file = openSync(path, "w");
  } catch (cause) {
    throw new CliError(ExitCode.Usage, `${option} ${path}: ${reasonOf(cause)}`, { cause });
  }
  const output = new BufferedOutput((bytes) => {
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
    } catch (cause) {
      throw new CliError(ExitCode.Usage, `${option} ${path}: ${reasonOf(cause)}`, { cause });
    }
  });
  return Object.assign(output, {
    close: () => {
      output.flush();
      closeSync(file);
    },
  });
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "no such directory",
    EACCES: "permission denied",
    EISDIR: "is a directory",
    ENOSPC: "no space left on the device",
    EROFS: "the file system is read-only",
  };
  return reasons[code ?? ""] ?? message;
}
