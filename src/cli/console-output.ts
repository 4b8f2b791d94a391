// Where a guest's console goes: to stdout byte by byte, to the log, and past the pattern of --until. The hypervisor's own lines
// join it as "(XEN) …", each on a line of its own.

import type { BufferedOutput } from "./buffered-output.js";

/** Text in which --until is looked for: enough for a pattern over several lines. */
const WINDOW = 8192;
const LINE_FEED = 0x0a;

export interface ConsoleOutputOptions {
  /** Gets the bytes for stdout; undefined: they aren't shown. */
  readonly show: ((bytes: Uint8Array) => void) | undefined;
  readonly log: BufferedOutput | undefined;
  readonly until: RegExp | undefined;
  readonly onMatch: () => void;
}

export class ConsoleOutput {
  readonly #options: ConsoleOutputOptions;
  readonly #decoder = new TextDecoder("utf-8");
  #window = "";
  #atLineStart = true;
  #hasMatched = false;

  constructor(options: ConsoleOutputOptions) {
    this.#options = options;
  }

  guest(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const { show, log } = this.#options;
    show?.(bytes);
    log?.write(bytes);
    this.#atLineStart = bytes.at(-1) === LINE_FEED;
    this.#search(bytes);
  }

  hypervisor(line: string): void {
    this.guest(Buffer.from(`${this.#atLineStart ? "" : "\r\n"}(XEN) ${line}\r\n`));
  }

  /** So that what is written next doesn't continue a line of the guest. */
  endLine(): void {
    if (!this.#atLineStart) this.guest(Buffer.from("\r\n"));
  }

  #search(bytes: Uint8Array): void {
    const { until, onMatch } = this.#options;
    if (!until || this.#hasMatched) return;
    this.#window = (this.#window + this.#decoder.decode(bytes, { stream: true }).replaceAll("\r", "")).slice(-WINDOW);
    if (!until.test(this.#window)) return;
    this.#hasMatched = true;
    onMatch();
  }
}
