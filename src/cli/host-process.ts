// A host's process: host, control socket, log; until a signal or a client ends it, and then its guests first.

import { join } from "node:path";
import {
  type ControlHost,
  createXenHost,
  hostIsRunning,
  InternalError,
  type JitMode,
  LogRing,
  makeHostDirectory,
  RotatingLog,
  runningHosts,
  type SchedulerName,
  serveControl,
  type XenHost,
} from "../index.js";
import { describeError, packageInfo } from "./cli-error.js";
import { ConsolePorts } from "./console-ports.js";
import { isDetached, report } from "./detached-host.js";
import { ExitCode } from "./exit-codes.js";
import { translationCacheOf } from "./guest-options.js";

export interface HostProcessOptions {
  readonly name: string;
  readonly memory: string;
  readonly cpus: number | undefined;
  readonly scheduler: SchedulerName | undefined;
  readonly jit: JitMode | undefined;
  readonly jitCache: string | undefined;
  readonly translationCache: string | undefined;
  /** Consoles on TCP ports too. */
  readonly consolePorts: boolean;
  /** And on ptys. */
  readonly consolePtys: boolean;
}

/** How long guests may take to shut down, ms. */
const SHUTDOWN_MS = 60_000;

interface Ending {
  readonly force: boolean;
  readonly timeout: number;
}

/** Runs a host until it is to end. @returns the exit code */
export async function runHost(options: HostProcessOptions): Promise<number> {
  try {
    return await serve(options);
  } catch (error) {
    const { exitCode, text } = describeError(error);
    if (!isDetached()) throw error;
    report({ kind: "failed", exitCode, message: text.replace(/^xen-ts: /, "").trimEnd() });
    return exitCode;
  }
}

async function serve(options: HostProcessOptions): Promise<number> {
  const { name, memory, cpus, scheduler, jit, jitCache, translationCache, consolePorts, consolePtys } = options;
  const log = openHostLog(name);
  const dmesg = new LogRing();
  const onHypervisorLine = (line: string) => {
    dmesg.push(line);
    log(`(XEN) ${line}`);
  };
  const { version } = packageInfo();
  const directory = makeHostDirectory(name);
  // serveControl asks too; a machine isn't made for nothing.
  if ((await runningHosts()).includes(name)) throw hostIsRunning(name);
  const host = await createXenHost({
    ...{ memory, consolePtys, log: onHypervisorLine },
    ...(jit ? { jit } : {}),
    ...(cpus === undefined ? {} : { cpus }),
    ...(scheduler ? { scheduler } : {}),
    ...(jitCache ? { jitCache } : {}),
    ...translationCacheOf(translationCache),
    xenstore: { socket: join(directory, "xenstore.sock"), state: join(directory, "xenstore.state") },
  });
  const wanted: Ending[] = [];
  let onWanted = () => {};
  const end = (ending: Ending) => {
    wanted.push(ending);
    onWanted();
  };
  const release = catchSignals((isFirst) => end({ force: !isFirst, timeout: SHUTDOWN_MS }));
  let control: ControlHost | undefined;
  let ports: ConsolePorts | undefined;
  try {
    control = await serveControl(host, { name, dmesg, log, onShutdown: end });
    const { major, minor, extra } = host.info.version;
    dmesg.push(`Xen version ${major}.${minor}${extra} (xen-ts ${version})`);
    dmesg.push(`System RAM: ${Math.floor(host.info.totalMemory / 2 ** 20)}MB`);
    if (consolePorts) ports = new ConsolePorts(control.toolstack, log);
    log(`host ${name} is up: ${directory}`);
    report({ kind: "up", directory });
    for (;;) {
      if (wanted.length === 0)
        await new Promise<void>((resolve) => {
          onWanted = resolve;
        });
      const { force, timeout } = wanted.shift()!;
      const hurry = new Promise<void>((resolve) => {
        onWanted = resolve;
      });
      if (!force) await Promise.race([shutDownGuests(host, timeout, log), hurry]);
      break;
    }
    log(`host ${name} ends`);
    return ExitCode.Done;
  } finally {
    release();
    ports?.close();
    await host.close();
    await control?.close();
  }
}

/** Asks all guests; those that don't end in time are destroyed with the host. */
async function shutDownGuests(host: XenHost, timeout: number, log: (line: string) => void): Promise<void> {
  const guests = [...host.domains.values()].filter((guest) => guest.shutdownReason === undefined && guest.id !== 0);
  if (guests.length > 0) log(`shutting down ${guests.length} guest${guests.length === 1 ? "" : "s"}`);
  await Promise.all(
    guests.map(async (guest) => {
      try {
        while (guest.isPaused) guest.unpause();
        await guest.shutdown({ timeout });
      } catch (error) {
        if (error instanceof InternalError) throw error;
        log(`domain ${guest.id} (${guest.name}) did not shut down within ${timeout / 1000} s`);
      }
    }),
  );
}

function openHostLog(name: string): (line: string) => void {
  if (!isDetached()) return (line) => process.stdout.write(`${line}\n`);
  const file = new RotatingLog(join(makeHostDirectory(name), "host.log"), () => {});
  return (line) => file.write(Buffer.from(`${new Date().toISOString()} ${line}\n`));
}

/** @param onSignal is told whether it is the first one. @returns what takes the handlers away */
function catchSignals(onSignal: (isFirst: boolean) => void): () => void {
  let isFirst = true;
  const handler = () => {
    onSignal(isFirst);
    isFirst = false;
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, handler);
  return () => {
    for (const signal of signals) process.off(signal, handler);
  };
}
