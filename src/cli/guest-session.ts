// One guest in the foreground, from its first instruction to the exit code: `boot` and `run` both end here. What can end it
// (shutdown, crash, --until, --timeout, --exec, Ctrl-], signals, our own failure) races; the first decides.

import {
  type ControlHost,
  createXenHost,
  FramedOutput,
  type GuestDomain,
  LogRing,
  type ShutdownReason,
  serveControl,
  XenError,
  type XenHost,
} from "../index.js";
import { type BootInput, bootInput, type TerminalSize } from "./boot-input.js";
import { BufferedOutput, openLog } from "./buffered-output.js";
import { CliError } from "./cli-error.js";
import { ConsoleOutput } from "./console-output.js";
import { ExitCode, type HandledSignal, SIGNAL_CODES } from "./exit-codes.js";
import { DEFAULT_MEMORY, type GuestOptions, translationCacheOf } from "./guest-options.js";
import { hostName } from "./host-command.js";
import { formatProfile } from "./profile-text.js";
import { formatStatistics } from "./statistics.js";
import { Terminal } from "./terminal.js";

export type GuestKind = "dom0" | "domU";

interface End {
  readonly exitCode: number;
  /** Said on stderr after the terminal is back. */
  readonly message?: string;
}

/** How long a guest may take to power off after its command. */
const POWEROFF_MS = 30_000;

/** Runs the guest that the options describe. @returns the exit code. @throws CliError, XenError, ImageError. */
export async function runGuest(kind: GuestKind, word: string | undefined, options: GuestOptions): Promise<number> {
  const log = options.log === undefined ? undefined : openLog(options.log, "--log");
  try {
    const isInteractive = !options.headless && options.exec === undefined;
    const input = await bootInput(word, options, isInteractive ? terminalSize() : undefined);
    return await new GuestSession(kind, options, input, log).run(isInteractive);
  } finally {
    log?.close();
  }
}

function terminalSize(): TerminalSize | undefined {
  const { isTTY, rows, columns } = process.stdout;
  return isTTY && rows > 0 && columns > 0 ? { rows, columns } : undefined;
}

class GuestSession {
  readonly #kind: GuestKind;
  readonly #options: GuestOptions;
  readonly #input: BootInput;
  readonly #log: BufferedOutput | undefined;
  readonly #terminal = new Terminal();
  readonly #output: ConsoleOutput;
  readonly #execOutput: FramedOutput | undefined;
  readonly #ended: Promise<End>;
  #end: (end: End) => void = () => {};
  #fail: (error: unknown) => void = () => {};
  #domain: GuestDomain | undefined;
  #hasEnded = false;

  constructor(kind: GuestKind, options: GuestOptions, input: BootInput, log: BufferedOutput | undefined) {
    this.#kind = kind;
    this.#options = options;
    this.#input = input;
    this.#log = log;
    this.#ended = new Promise<End>((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
    });
    // It may be rejected before anybody waits for it.
    this.#ended.catch(() => {});
    this.#output = new ConsoleOutput({
      show: options.exec === undefined ? (bytes) => this.#show(bytes) : undefined,
      log,
      until: options.until,
      onMatch: () => this.#end({ exitCode: ExitCode.Done }),
    });
    if (input.execToken !== undefined) {
      const token = input.execToken;
      const markers = { begin: `XENTS-EXEC-BEGIN ${token}`, end: `\nXENTS-EXEC-END ${token}` };
      this.#execOutput = new FramedOutput(markers, (bytes) => process.stdout.write(Buffer.from(bytes)));
    }
  }

  #show(bytes: Uint8Array): void {
    this.#terminal.watch(bytes);
    process.stdout.write(Buffer.from(bytes));
  }

  async run(isInteractive: boolean): Promise<number> {
    const options = this.#options;
    const dmesg = new LogRing();
    const traceOutput = this.#log ?? new BufferedOutput((bytes) => process.stderr.write(bytes));
    const perfTrace = options.perfTrace === undefined ? undefined : openLog(options.perfTrace, "--perf-trace");
    const host = await createXenHost({
      profile: options.profile ?? false,
      consolePtys: options.consolePtys ?? false,
      ...(perfTrace ? { perfTrace: { write: (text) => perfTrace.write(text) } } : {}),
      memory: options.memory ?? DEFAULT_MEMORY,
      ...(options.jit ? { jit: options.jit } : {}),
      ...(options.cpus === undefined ? {} : { cpus: options.cpus }),
      ...(options.scheduler ? { scheduler: options.scheduler } : {}),
      ...(options.jitCache ? { jitCache: options.jitCache } : {}),
      ...translationCacheOf(options.translationCache),
      log: (line) => {
        dmesg.push(line);
        this.#output.hypervisor(line);
      },
      ...(options.trace ? { trace: { kinds: options.trace, write: (line) => traceOutput.write(`${line}\n`) } } : {}),
    });
    const started = performance.now();
    const release = this.#catchSignals();
    const control = await this.#openControl(host, dmesg);
    let timer: NodeJS.Timeout | undefined;
    try {
      await this.#start(host);
      if (isInteractive) this.#takeTerminal();
      const { timeout } = options;
      if (timeout !== undefined) {
        const message = `timeout: the guest still ran after ${timeout / 1000} s`;
        timer = setTimeout(() => this.#end({ exitCode: ExitCode.Timeout, message }), timeout);
      }
      const { exitCode, message } = await this.#ended;
      this.#hasEnded = true;
      if (message !== undefined || options.stats || options.profile) this.#output.endLine();
      this.#terminal.restore();
      traceOutput.flush();
      if (options.stats) {
        const seconds = (performance.now() - started) / 1000;
        process.stderr.write(formatStatistics(host.statistics, seconds, process.resourceUsage().maxRSS));
      }
      const profile = host.profile();
      if (profile) process.stderr.write(formatProfile(profile));
      if (message !== undefined) process.stderr.write(`xen-ts: ${message}\n`);
      return exitCode;
    } finally {
      clearTimeout(timer);
      this.#terminal.restore();
      traceOutput.flush();
      release();
      await host.close();
      await control?.close();
      perfTrace?.close();
    }
  }

  /** Other commands reach a dom0's host as one of `up`; one with a command to run is by itself unless it has a name. */
  async #openControl(host: XenHost, dmesg: LogRing): Promise<ControlHost | undefined> {
    const { host: given, exec } = this.#options;
    if (given === undefined && (this.#kind === "domU" || exec !== undefined)) return undefined;
    const name = hostName(this.#options);
    const onShutdown = () => this.#end({ exitCode: ExitCode.Done, message: 'ended by "xen-ts down"' });
    try {
      return await serveControl(host, { name, dmesg, onShutdown });
    } catch (error) {
      const isTaken = error instanceof XenError && error.code === "host-running";
      if (!isTaken || given !== undefined) {
        await host.close();
        throw error;
      }
      process.stderr.write(`xen-ts: a host named ${name} is running already: commands reach that one, not this\n`);
      return undefined;
    }
  }

  /** Builds the domain; again after a reboot, as Xen does with dom0 by restarting the machine. */
  async #start(host: XenHost): Promise<void> {
    const { kernel, ramdisk, cmdline, disk } = this.#input;
    if (disk !== undefined && this.#kind === "dom0")
      throw new CliError(ExitCode.BadInput, "this image has a disk, and dom0 can't have one: use xen-ts run");
    const domain = await host.createDomain({
      kernel,
      cmdline,
      memory: this.#options.memory ?? DEFAULT_MEMORY,
      privileged: this.#kind === "dom0",
      vcpus: this.#options.vcpus ?? 1,
      paused: true,
      ...(ramdisk === undefined ? {} : { ramdisk }),
      // What the guest writes is gone when it ends: the image stays as it was built.
      ...(disk === undefined ? {} : { disks: [{ vdev: "xvda", target: disk, snapshot: true }] }),
    });
    this.#domain = domain;
    // A reboot may have been under way when the session ended.
    if (this.#hasEnded) return domain.destroy();
    domain.console.onData((bytes) => {
      this.#execOutput?.feed(bytes);
      this.#output.guest(bytes);
    });
    domain.on("error", (error) => this.#fail(error));
    domain.on("shutdown", (reason) => this.#onShutdown(host, domain, reason));
    domain.unpause();
    if (this.#options.exec !== undefined && !this.#execOutput) this.#execInShell(domain, this.#options.exec);
  }

  #onShutdown(host: XenHost, domain: GuestDomain, reason: ShutdownReason): void {
    if (reason === "reboot" && this.#options.exec === undefined) {
      domain.destroy();
      this.#start(host).catch((error: unknown) => this.#fail(error));
    } else this.#end(this.#endOf(reason));
  }

  #endOf(reason: ShutdownReason): End {
    const status = this.#execOutput?.status;
    if (status !== undefined) return { exitCode: status };
    if (reason === "crash") return { exitCode: ExitCode.GuestCrash, message: "the guest crashed" };
    if (reason === "watchdog") return { exitCode: ExitCode.GuestCrash, message: "the guest's watchdog fired" };
    if (this.#options.exec !== undefined)
      return { exitCode: ExitCode.GuestCrash, message: `the guest ended (${reason}) before the command did` };
    if (reason === "suspend")
      return { exitCode: ExitCode.Done, message: "the guest suspended itself; it can't be resumed yet" };
    return { exitCode: ExitCode.Done };
  }

  /** --exec in a guest that isn't one of our images: through whatever shell appears on the console. */
  #execInShell(domain: GuestDomain, command: string): void {
    const run = async () => {
      const { stdout, exitCode } = await domain.exec(command, { timeout: 2 ** 31 - 1 });
      process.stdout.write(stdout);
      domain.removeAllListeners("shutdown");
      await domain.shutdown({ timeout: POWEROFF_MS }).catch(() => domain.destroy());
      this.#end({ exitCode });
    };
    // The domain's end is reported by its own event.
    run().catch((error: unknown) => {
      if (domain.shutdownReason === undefined) this.#fail(error);
    });
  }

  #takeTerminal(): void {
    const how = this.#kind === "dom0" ? "switched off without shutting down" : "destroyed";
    let writing =
      this.#input.isImage && !process.stdin.isTTY
        ? this.#domain!.waitForShell({ timeout: 2 ** 31 - 1 })
        : Promise.resolve();
    writing.catch(() => {});
    this.#terminal.start({
      onInput: (bytes) => {
        const copy = Uint8Array.from(bytes);
        // A domain that has gone takes no input, and its end is known by then.
        writing = writing.then(() => this.#domain!.console.write(copy)).catch(() => {});
      },
      onDetach: () => this.#end({ exitCode: ExitCode.Done, message: `left with Ctrl-]; the guest was ${how}` }),
    });
  }

  #catchSignals(): () => void {
    const handlers = (["SIGINT", "SIGTERM", "SIGHUP"] as const).map((signal: HandledSignal) => {
      const handler = () => this.#end({ exitCode: SIGNAL_CODES[signal], message: `ended by ${signal}` });
      process.on(signal, handler);
      return () => process.off(signal, handler);
    });
    const onOutputError = (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") this.#end({ exitCode: SIGNAL_CODES.SIGPIPE });
      else this.#fail(new CliError(ExitCode.BadInput, `can't write to stdout: ${error.message}`, { cause: error }));
    };
    process.stdout.on("error", onOutputError);
    // The listener for stdout stays: more of its errors may come after the end.
    return () => {
      for (const release of handlers) release();
    };
  }
}
