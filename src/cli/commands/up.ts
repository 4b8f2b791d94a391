// xen-ts up: a host without a dom0, for domains that `create` makes; in the foreground with its log, or as a daemon.

import { type JitMode, parseSize, type SchedulerName, XenError } from "../../index.js";
import { CliError } from "../cli-error.js";
import { command } from "../command.js";
import { startDetached } from "../detached-host.js";
import { ExitCode } from "../exit-codes.js";
import { guestOptionRows } from "../guest-options.js";
import { hostName, hostOptionRow } from "../host-command.js";
import { runHost } from "../host-process.js";

const DEFAULT_MEMORY = "2G";

interface Options {
  readonly host?: string;
  readonly detach?: boolean;
  readonly memory?: string;
  readonly cpus?: number;
  readonly scheduler?: SchedulerName;
  readonly jit?: JitMode;
  readonly jitCache?: string;
  readonly translationCache?: string;
  readonly consolePorts?: boolean;
  readonly consolePtys?: boolean;
}

export const up = command<Options>({
  path: ["up"],
  summary: "start a host without a dom0, for domains made with create",
  help: `In the foreground it prints its log; Ctrl-C shuts the guests down and ends it, twice ends it at once.
With -d it goes to the background, and "xen-ts down" ends it. Its directory, with the control socket and the guests'
console logs, is $XDG_RUNTIME_DIR/xen-ts/NAME or ~/.xen-ts/NAME.`,
  options: {
    host: { ...hostOptionRow, description: "name of the host, to have several (default: default)" },
    detach: { flags: "-d, --detach", description: "go to the background when the host is up" },
    memory: {
      flags: "--memory <size>",
      description: `memory for all guests together (default: ${DEFAULT_MEMORY})`,
      parse: parseHostMemory,
    },
    cpus: guestOptionRows.cpus!,
    scheduler: guestOptionRows.scheduler!,
    jit: guestOptionRows.jit!,
    jitCache: guestOptionRows.jitCache!,
    translationCache: guestOptionRows.translationCache!,
    consolePtys: guestOptionRows.consolePtys!,
    consolePorts: {
      flags: "--console-ports",
      description:
        "each guest's console also on TCP port 9600 + id of the loopback, as in 2005: any local user can reach it",
    },
  },
  run: async (_operands, options) => {
    const name = hostName(options);
    if (options.detach) return startDetached(name, process.argv.slice(2));
    const {
      memory = DEFAULT_MEMORY,
      cpus,
      scheduler,
      jit,
      jitCache,
      translationCache,
      consolePorts = false,
      consolePtys = false,
    } = options;
    return runHost({
      ...{ name, memory, cpus, scheduler, jit, jitCache, translationCache, consolePorts, consolePtys },
    });
  },
});

function parseHostMemory(text: string): string {
  try {
    parseSize(text, "--memory");
    return text;
  } catch (error) {
    if (error instanceof XenError) throw new CliError(ExitCode.Usage, error.message);
    throw error;
  }
}
