// The options that `boot` and `run` share: their rows for the command table, and the checks of what was typed.

import { resolve } from "node:path";
import {
  JIT_MODES,
  type JitMode,
  parseSize,
  SCHEDULERS,
  type SchedulerName,
  TRACE_KINDS,
  type TraceKind,
  XenError,
} from "../index.js";
import { CliError } from "./cli-error.js";
import type { OptionRows } from "./command.js";
import { ExitCode } from "./exit-codes.js";

export interface GuestOptions {
  readonly kernel?: string;
  readonly ramdisk?: string;
  readonly cmdline?: string;
  /** As written, and known to be a size. */
  readonly memory?: string;
  readonly vcpus?: number;
  readonly cpus?: number;
  readonly scheduler?: SchedulerName;
  readonly headless?: boolean;
  readonly until?: RegExp;
  /** Milliseconds. */
  readonly timeout?: number;
  readonly exec?: string;
  readonly log?: string;
  readonly trace?: readonly TraceKind[];
  readonly stats?: boolean;
  readonly profile?: boolean;
  readonly perfTrace?: string;
  readonly jit?: JitMode;
  readonly host?: string;
  /** As written, and known to be a size. */
  readonly jitCache?: string;
  /** A directory, or "off". */
  readonly translationCache?: string;
  readonly consolePtys?: boolean;
}

export const DEFAULT_MEMORY = "512M";
/** setTimeout takes no more. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export const guestOptionRows: OptionRows<GuestOptions> = {
  kernel: { flags: "--kernel <file>", description: "boot this kernel: bzImage or ELF, packed or not" },
  ramdisk: { flags: "--ramdisk <file>", description: "initial ramdisk; with --kernel alone there is none" },
  cmdline: { flags: "--cmdline <text>", description: "the kernel's command line instead of the default one" },
  memory: {
    flags: "--memory <size>",
    description: `memory of the guest, like 256M or 1G (default: ${DEFAULT_MEMORY})`,
    parse: (text) => parseSizeOption(text, "--memory"),
  },
  vcpus: {
    flags: "--vcpus <number>",
    description: "virtual CPUs of the guest (default: 1)",
    parse: (text) => parseCpus(text, "--vcpus"),
  },
  cpus: {
    flags: "--cpus <number>",
    description: "CPUs of the host, for affinities and scheduling; one thread runs them all (default: 1)",
    parse: (text) => parseCpus(text, "--cpus"),
  },
  scheduler: {
    flags: "--scheduler <name>",
    description: `who runs when: ${SCHEDULERS.join(", ")} (default: credit)`,
    parse: parseScheduler,
  },
  headless: { flags: "--headless", description: "print the console to stdout and read nothing" },
  until: {
    flags: "--until <regex>",
    description: "end with exit code 0 when the console shows this",
    parse: parseRegex,
  },
  timeout: { flags: "--timeout <seconds>", description: "end with exit code 124 after so long", parse: parseTimeout },
  exec: {
    flags: "--exec <command>",
    description: "run a shell command, print its output alone, power off, exit with its status",
  },
  log: { flags: "--log <file>", description: "write the console (and the trace) to a file too" },
  trace: {
    flags: "--trace <kinds>",
    description: `print what the guest does: ${TRACE_KINDS.join(", ")} (several with commas), to stderr or the log`,
    parse: parseTrace,
  },
  jit: {
    flags: "--jit <mode>",
    description:
      "compile hot guest code beside the guest (async, the default), while it waits (sync), or not at all (off)",
    parse: parseJit,
  },
  profile: {
    flags: "--profile",
    description: "print hot guest code, exits by kind and where host time went to stderr at the end",
  },
  perfTrace: {
    flags: "--perf-trace <file>",
    description: "write a timeline for Perfetto or Chrome's viewer (JSON, at most 128 MiB)",
  },
  host: { flags: "--host <name>", description: "the name by which other commands reach this host (default: default)" },
  jitCache: {
    flags: "--jit-cache <size>",
    description: "machine code that compiled guest code may take, like 64M (default: 256M)",
    parse: (text) => parseSizeOption(text, "--jit-cache"),
  },
  translationCache: {
    flags: "--translation-cache <directory>",
    description:
      "where compiled guest code is kept for later runs, or off (default: xen-ts/translations in $XDG_CACHE_HOME)",
  },
  consolePtys: {
    flags: "--console-ptys",
    description:
      "a pty for each domU's console, for screen and minicom; its path is console/tty in XenStore (needs koffi)",
  },
  stats: { flags: "--stats", description: "print instructions, MIPS, exits, caches and memory to stderr at the end" },
};

/** HostConfig's for what was given. */
export function translationCacheOf(given: string | undefined): { translationCache: string | boolean } {
  return { translationCache: given === undefined || (given !== "off" && resolve(given)) };
}

const MAX_CPUS = 32;

function parseCpus(text: string, option: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= MAX_CPUS) return count;
  return usage(`${option}: "${text}" is not a number from 1 to ${MAX_CPUS}`);
}

function usage(message: string): never {
  throw new CliError(ExitCode.Usage, message);
}

function parseSizeOption(text: string, option: string): string {
  try {
    parseSize(text, option);
    return text;
  } catch (error) {
    if (error instanceof XenError) return usage(error.message);
    throw error;
  }
}

function parseRegex(text: string): RegExp {
  try {
    return new RegExp(text, "m");
  } catch (error) {
    return usage(
      `--until: ${(error as SyntaxError).message.replace(/^Invalid regular expression/, "invalid regular expression")}`,
    );
  }
}

function parseTimeout(text: string): number {
  const milliseconds = Number(text) * 1000;
  if (!(milliseconds > 0) || !/^[\d.]+$/.test(text)) return usage(`--timeout: "${text}" is not a number of seconds`);
  return Math.min(milliseconds, MAX_TIMEOUT_MS);
}

function parseJit(text: string): JitMode {
  const mode = JIT_MODES.find((known) => known === text);
  return mode ?? usage(`--jit: "${text}" is none of ${JIT_MODES.join(", ")}`);
}

function parseScheduler(text: string): SchedulerName {
  const name = SCHEDULERS.find((known) => known === text);
  return name ?? usage(`--scheduler: "${text}" is none of ${SCHEDULERS.join(", ")}`);
}

function parseTrace(text: string): readonly TraceKind[] {
  const kinds = text.split(",");
  for (const kind of kinds)
    if (!TRACE_KINDS.some((known) => known === kind)) usage(`--trace: "${kind}" is none of ${TRACE_KINDS.join(", ")}`);
  return kinds as TraceKind[];
}
