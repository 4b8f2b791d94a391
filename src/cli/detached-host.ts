// `up -d`: the same command again as a process of its own, which reports over Node's channel when its socket is open, or why not.

import { fork } from "node:child_process";
import { CliError } from "./cli-error.js";
import { ExitCode } from "./exit-codes.js";

const MARK = "XEN_TS_DETACHED";
/** V8 frees in one thread what it allocated in another: in glibc's arenas, one a thread, that leaves holes for as long as a host runs. */
const ONE_ARENA = { MALLOC_ARENA_MAX: "1" };

export type HostReport =
  | { readonly kind: "up"; readonly directory: string }
  | { readonly kind: "failed"; readonly message: string; readonly exitCode: number };

/** @param words this command's own, with -d. @returns the exit code once the host is up. @throws CliError */
export async function startDetached(name: string, words: readonly string[]): Promise<number> {
  const child = fork(process.argv[1]!, [...words.filter((word) => !isDetach(word)), "--host", name], {
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    env: { ...ONE_ARENA, ...process.env, [MARK]: "1" },
  });
  const report = await new Promise<HostReport>((resolve) => {
    const failed = (message: string): void => resolve({ kind: "failed", message, exitCode: ExitCode.Internal });
    child.once("message", (message) => resolve(message as HostReport));
    child.once("error", (error) => failed(`the host's process can't be started: ${error.message}`));
    child.once("exit", (code, signal) => failed(`the host's process ended at once (${signal ?? code})`));
  });
  if (report.kind === "failed") throw new CliError(report.exitCode, report.message);
  child.disconnect();
  child.unref();
  process.stdout.write(`host ${name} is up (process ${child.pid}); its directory is ${report.directory}\n`);
  return ExitCode.Done;
}

function isDetach(word: string): boolean {
  return word === "-d" || word === "--detach";
}

/** Whether this process was started by `startDetached`; another parent may have a channel to it, too. */
export function isDetached(): boolean {
  return process.send !== undefined && process.env[MARK] === "1";
}

/** To the process that waits in `startDetached`; does nothing elsewhere. */
export function report(message: HostReport): void {
  if (isDetached()) process.send?.(message);
}
