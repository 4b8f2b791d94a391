// Running commands in the shell that sits on a domain's console. In the images of this project `xents-exec` does it (the protocol
// is in images/README.md): output comes byte for byte. In any other guest the command is framed by two echoes; the typed line spells
// their markers with a quote inside, so that the echo of the typing can't be mistaken for them.

import { createHash } from "node:crypto";
import { XenError } from "./errors.js";
import { FramedOutput, type FrameMarkers } from "./framed-output.js";
import type { GuestConsole, WaitOptions } from "./guest-console.js";

export interface ExecOptions extends WaitOptions {
  /** What shows that a shell is waiting; default: the images' ready marker or a prompt. Looked for once a domain. */
  readonly prompt?: RegExp;
  /** Called with the command's output as it comes. */
  readonly onOutput?: (bytes: Uint8Array) => void;
}

export interface ExecResult {
  /** What the command printed, on standard output and standard error alike: a console is one stream. */
  readonly stdout: string;
  readonly exitCode: number;
}

const READY_MARKER = "XENTS-SHELL-READY";
/** After its prompt, busybox asks the terminal where the cursor is (ESC [6n). */
const READY = new RegExp(`${READY_MARKER}\\r?\\n|[#$] (\\x1b\\[6n)?$`);
/** A prompt is one only when the console then stays quiet: boot messages contain "# " too. */
const QUIET_MS = 100;
/** Lines that a shell's line editor and a terminal's canonical mode take. */
const MAX_TYPED_LINE = 900;
const MAX_INPUT_LINE = 3000;
const MAX_COMMAND = 1 << 20;
/** How long the echo of a typed line may take. */
const ECHO_MS = 5000;

export class GuestShell {
  readonly #console: GuestConsole;
  #kind: "image" | "other" | undefined;
  #commands = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(console: GuestConsole) {
    this.#console = console;
  }

  /** Resolves when the shell waits for commands. */
  async ready(options: Omit<ExecOptions, "onOutput"> = {}): Promise<void> {
    const { timeout = 60_000 } = options;
    const deadline = performance.now() + timeout;
    while (this.#kind === undefined) {
      const left = Math.max(1, deadline - performance.now());
      const [text] = await this.#console.waitFor(options.prompt ?? READY, { ...options, timeout: left });
      if (text.startsWith(READY_MARKER)) this.#kind = "image";
      else if (options.prompt || (await this.#isQuiet())) this.#kind = "other";
    }
  }

  async #isQuiet(): Promise<boolean> {
    let quiet = true;
    const stop = this.#console.onData(() => {
      quiet = false;
    });
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    stop();
    return quiet;
  }

  /**
   * Runs a command with `sh -c`; commands of one domain run one after another. Text on the console before and during the command
   * is consumed. @throws XenError "timeout", "bad-argument", "domain-gone", "domain-crashed".
   */
  exec(command: string, options: ExecOptions = {}): Promise<ExecResult> {
    const result = this.#last.then(() => this.#run(command, options));
    this.#last = result.catch(() => {});
    return result;
  }

  async #run(command: string, options: ExecOptions): Promise<ExecResult> {
    if (command.length > MAX_COMMAND)
      throw new XenError("bad-argument", `exec: the command has ${command.length} characters, at most ${MAX_COMMAND}`);
    await this.ready(options);
    const token = createHash("sha256")
      .update(`${++this.#commands} ${command}`)
      .digest("hex")
      .slice(0, 12);
    const isImage = this.#kind === "image";
    const markers: FrameMarkers = isImage
      ? { begin: `XENTS-EXEC-BEGIN ${token}`, end: `\nXENTS-EXEC-END ${token}` }
      : { begin: `XENTS-B-${token}`, end: `XENTS-E-${token}` };
    const pieces: Uint8Array[] = [];
    const output = new FramedOutput(markers, (bytes) => {
      pieces.push(Uint8Array.from(bytes));
      options.onOutput?.(bytes);
    });
    const finished = this.#collect(output, command, options);
    // A failure while typing, such as the domain's end, is also the collector's.
    finished.catch(() => {});
    if (isImage) await this.#typeForImage(token, command, options);
    else await this.#typeForOthers(token, command);
    await finished;
    this.#console.read();
    const text = Buffer.concat(pieces).toString("utf8");
    return { stdout: isImage ? text : text.replaceAll("\r\n", "\n"), exitCode: output.status! };
  }

  #collect(output: FramedOutput, command: string, options: ExecOptions): Promise<void> {
    const { timeout = 60_000, signal } = options;
    return new Promise((resolve, reject) => {
      const done = (error?: Error) => {
        stopData();
        stopEnd();
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        if (error) reject(error);
        else resolve();
      };
      const onAbort = () => done(signal?.reason);
      let stopEnd = () => {};
      const stopData = this.#console.onData((bytes) => {
        output.feed(bytes);
        if (output.status !== undefined) done();
      });
      const timer = setTimeout(() => {
        const where = output.hasBegun ? "has not ended" : "has not begun";
        done(new XenError("timeout", `exec: ${JSON.stringify(command.slice(0, 60))} ${where} after ${timeout} ms`));
      }, timeout);
      if (signal?.aborted) return done(signal.reason);
      signal?.addEventListener("abort", onAbort);
      stopEnd = this.#console.onEnd(done);
    });
  }

  async #typeForImage(token: string, command: string, options: WaitOptions): Promise<void> {
    const encoded = Buffer.from(command).toString("base64");
    const line = `xents-exec ${token} ${encoded}\n`;
    if (line.length <= MAX_TYPED_LINE) return this.#console.write(line);
    this.#console.read();
    await this.#console.write(`xents-exec ${token}\n`);
    // The shell's line editor must be done before a long line comes: the terminal's own takes more.
    const { signal } = options;
    await this.#console.waitFor(new RegExp(`${token}[^\\n]*\\n`), { timeout: ECHO_MS, ...(signal ? { signal } : {}) });
    for (let at = 0; at < encoded.length; at += MAX_INPUT_LINE)
      await this.#console.write(`${encoded.slice(at, at + MAX_INPUT_LINE)}\n`);
    await this.#console.write(".\n");
  }

  async #typeForOthers(token: string, command: string): Promise<void> {
    const quoted = `'${command.replaceAll("'", `'\\''`)}'`;
    await this.#console.write(`echo XENTS-'B'-${token}; sh -c ${quoted}; echo XENTS-'E'-${token} $?\n`);
  }
}
