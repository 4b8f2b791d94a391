// Running one command in a shell that sits on a domain's console, and telling its output from the console's other text: the
// command is framed by two lines that contain a nonce. The typed text spells the markers with a quote inside, so that the
// echo of the typing can't be mistaken for them.

import { XenError } from "./errors.js";
import type { GuestConsole, WaitOptions } from "./guest-console.js";

export interface ExecOptions extends WaitOptions {
  /** What shows that a shell is waiting; default: the images' ready marker or a prompt. Looked for once a console. */
  readonly prompt?: RegExp;
}

export interface ExecResult {
  readonly stdout: string;
  readonly exitCode: number;
}

const ready = new WeakSet<GuestConsole>();
const counters = new WeakMap<GuestConsole, number>();
/** Longer lines don't pass a terminal in canonical mode. */
const MAX_COMMAND = 3500;

/** @throws XenError: "timeout", "bad-argument" for a command that a console can't take, "domain-gone" and "domain-crashed". */
export async function execInShell(console: GuestConsole, command: string, options: ExecOptions): Promise<ExecResult> {
  if (command.length > MAX_COMMAND)
    throw new XenError(
      "bad-argument",
      `exec: the command has ${command.length} characters; a console line takes ${MAX_COMMAND}`,
    );
  if (!ready.has(console)) {
    await console.waitFor(options.prompt ?? /XENTS-SHELL-READY|[#$] $/, options);
    ready.add(console);
  }
  const nonce = (counters.get(console) ?? 0) + 1;
  counters.set(console, nonce);
  const quoted = `'${command.replaceAll("'", `'\\''`)}'`;
  await console.write(`echo XENTS-'B'-${nonce}; sh -c ${quoted}; echo XENTS-'E'-${nonce} $?\n`);
  await console.waitFor(new RegExp(`XENTS-B-${nonce}\\r?\\n`), options);
  const end = await console.waitFor(new RegExp(`XENTS-E-${nonce} (\\d+)\\r?\\n`), options);
  const stdout = end.input!.slice(0, end.index).replaceAll("\r\n", "\n");
  return { stdout, exitCode: Number(end[1]) };
}
