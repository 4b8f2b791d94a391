// The errors that end a command with one line on stderr, and what becomes of those that the library throws.

import { readFileSync } from "node:fs";
import { ImageError, XenError, type XenErrorCode } from "../index.js";
import { ExitCode, SIGNAL_CODES } from "./exit-codes.js";

export class CliError extends Error {
  readonly exitCode: number;
  /** xl's own words: printed without "xen-ts: " before them. */
  readonly isPlain: boolean;

  constructor(exitCode: number, message: string, options: ErrorOptions & { isPlain?: boolean } = {}) {
    super(message, options);
    this.name = "CliError";
    this.isPlain = options.isPlain ?? false;
    this.exitCode = exitCode;
  }
}

const CODES: Readonly<Record<XenErrorCode, number>> = {
  "bad-argument": ExitCode.Usage,
  "bad-kernel": ExitCode.BadInput,
  "bad-ramdisk": ExitCode.BadInput,
  "bad-disk": ExitCode.BadInput,
  "bad-config": ExitCode.BadInput,
  xenstore: ExitCode.Failed,
  "bad-network": ExitCode.BadInput,
  "out-of-memory": ExitCode.BadInput,
  timeout: ExitCode.Timeout,
  "domain-gone": ExitCode.GuestCrash,
  "domain-crashed": ExitCode.GuestCrash,
  "no-domain": ExitCode.Failed,
  "no-device": ExitCode.Failed,
  "name-in-use": ExitCode.Failed,
  unsupported: ExitCode.Failed,
  "host-closed": ExitCode.Failed,
  "host-running": ExitCode.Failed,
  "no-host": ExitCode.Failed,
  internal: ExitCode.Internal,
};

/** The exit code of an error, and what stderr gets. */
export function describeError(error: unknown): { exitCode: number; text: string } {
  if (error instanceof CliError && error.isPlain) return { exitCode: error.exitCode, text: `${error.message}\n` };
  // xl's sentence for a domain that isn't there.
  if (error instanceof XenError && error.code === "no-domain")
    return { exitCode: ExitCode.Failed, text: `${error.message}\n` };
  if (error instanceof CliError) return { exitCode: error.exitCode, text: line(error.message) };
  if (error instanceof XenError && CODES[error.code] !== ExitCode.Internal)
    return { exitCode: CODES[error.code], text: line(error.message) };
  if (error instanceof ImageError) {
    const exitCode = error.code === "bad-option" ? ExitCode.Usage : ExitCode.BadInput;
    return { exitCode, text: line(error.message) };
  }
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall === "write" && OUTPUT_FAILURES.includes(code)) return describeOutputError(error as Error);
  return { exitCode: ExitCode.Internal, text: bugReport(error) };
}

/** Codes of write(2) when stdout is a file; others are told by the error event. */
const OUTPUT_FAILURES: readonly (string | undefined)[] = ["ENOSPC", "EDQUOT", "EFBIG", "EIO"];

/** Of stdout or stderr. Whoever reads them may have had enough, as in `xen-ts --help | head`. */
export function describeOutputError({ code, message }: NodeJS.ErrnoException): { exitCode: number; text: string } {
  if (code === "EPIPE") return { exitCode: SIGNAL_CODES.SIGPIPE, text: "" };
  return { exitCode: ExitCode.BadInput, text: line(`can't write the output: ${message}`) };
}

/** For a device that isn't there. */
export function inXlWords(text: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof XenError && error.code === "no-device")
      throw new CliError(ExitCode.Failed, text, { isPlain: true });
    throw error;
  };
}

function line(message: string): string {
  return `xen-ts: ${message.replaceAll(/\s*\n\s*/g, " ")}\n`;
}

/** Everything that we need to know of a defect, on a few lines. */
function bugReport(error: unknown): string {
  const { name, version } = packageInfo();
  const stacks: string[] = [];
  for (let at = error, depth = 0; at !== undefined && depth < 4; depth++) {
    stacks.push(at instanceof Error ? (at.stack ?? `${at.name}: ${at.message}`) : String(at));
    at = at instanceof Error ? at.cause : undefined;
  }
  return [
    line("this is a defect of xen-ts, not of your guest. Please report it with these lines:").trimEnd(),
    `${name} ${version}, Node ${process.version}, ${process.platform} ${process.arch}`,
    `command: ${["xen-ts", ...process.argv.slice(2)].join(" ")}`,
    stacks.join("\nCaused by: "),
    "",
  ].join("\n");
}

export function packageInfo(): { name: string; version: string } {
  return JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"));
}
