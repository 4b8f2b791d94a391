// xen-ts create: a domain from an xl.cfg file. Without a host, `-n` still shows what the file means.

import { randomUUID } from "node:crypto";

import { type ControlClient, connectControl, formatWarning, parseXlConfig, XenError } from "../../index.js";
import { CliError } from "../cli-error.js";
import { command } from "../command.js";
import { configSource } from "../config-source.js";
import { attachConsole } from "../console-session.js";
import { XM_CONSOLE_PORT } from "../domain-table.js";
import { ExitCode } from "../exit-codes.js";
import { hostName, hostOptionRow } from "../host-command.js";
import { libxlConfig, printLibxlJson } from "../libxl-json.js";
import { isXm } from "../program-name.js";

interface Options {
  readonly host?: string;
  readonly console?: boolean;
  readonly dryrun?: boolean;
  readonly paused?: boolean;
  readonly quiet?: boolean;
  readonly debug?: boolean;
  readonly vncviewer?: boolean;
  readonly autopass?: boolean;
  readonly noWait?: boolean;
  readonly foreground?: boolean;
  readonly defconfig?: string;
  readonly snapshot?: boolean;
  readonly json?: boolean;
}

export const create = command<Options>({
  path: ["create"],
  summary: "create a domain from a config file",
  help: "Pairs KEY=VALUE come after the file's own lines and override them: create web.cfg memory=64 'name=\"web2\"'.",
  operands: [{ name: "ConfigFile|vars", description: "xl.cfg file, then KEY=VALUE pairs", variadic: true }],
  options: {
    console: { flags: "-c", description: "connect to the console after the domain is created" },
    dryrun: { flags: "-n, --dryrun", description: "print the resulting configuration and create nothing" },
    paused: { flags: "-p", description: "leave the domain paused after it is created" },
    quiet: { flags: "-q, --quiet", description: "quiet" },
    debug: { flags: "-d", description: "print what the configuration means, then create it" },
    vncviewer: { flags: "-V, --vncviewer", description: "xl's; domains have no framebuffer: refused" },
    autopass: { flags: "-A, --vncviewer-autopass", description: "xl's; refused likewise" },
    noWait: { flags: "-e", description: "do not act on the domain's end: no restart, no destruction" },
    foreground: { flags: "-F", description: "run in foreground until death of the domain" },
    defconfig: { flags: "-f, --defconfig <file>", description: "use the given configuration file" },
    snapshot: { flags: "--snapshot", description: "what the guest writes to its disks is gone when it ends" },
    json: { flags: "--json", description: "print id and name as JSON" },
    host: hostOptionRow,
  },
  run: (operands, options) => createDomain(operands, options).catch(failWith3),
});

/** xl's create ends with 3 whatever the reason. */
function failWith3(error: unknown): never {
  if (error instanceof XenError && error.code !== "internal" && error.code !== "no-host") {
    const isTaken = error.code === "name-in-use";
    throw new CliError(3, isTaken ? `libxl: error: ${error.message}` : error.message, { isPlain: isTaken });
  }
  throw error;
}

async function createDomain(operands: readonly string[], options: Options): Promise<number> {
  if (options.vncviewer || options.autopass)
    throw new CliError(ExitCode.Failed, "domains have no framebuffer for a VNC viewer: -c shows their console");
  const source = await configSource(operands, options.defconfig);
  const { text, file, overrides, directory } = source;
  if (!options.quiet) process.stderr.write(`Parsing config from ${file}\n`);
  const snapshot = options.snapshot ?? false;
  const { domain, warnings } = parseXlConfig(text, file, { overrides, directory, snapshot });
  if (!options.quiet) for (const warning of warnings) process.stderr.write(`WARNING: ${formatWarning(warning)}\n`);
  if (options.dryrun || options.debug)
    process.stdout.write(`${printLibxlJson(libxlConfig(domain, domain.uuid ?? randomUUID()))}\n`);
  if (options.dryrun) return ExitCode.Done;
  const client = await connectControl(hostName(options));
  try {
    const { paused = false } = options;
    const created = await client.call("domain.create", {
      ...source,
      snapshot,
      // The console is connected before the first instruction.
      paused: paused || (options.console ?? false),
      watch: !options.noWait,
    });
    if (options.json) process.stdout.write(`${JSON.stringify({ domid: created.domid, name: created.name })}\n`);
    else if (isXm())
      process.stdout.write(`Started domain ${created.name}, console on port ${XM_CONSOLE_PORT + created.domid}\n`);
    return await afterwards(client, created.domid, options);
  } finally {
    client.close();
  }
}

async function afterwards(client: ControlClient, domid: number, options: Options): Promise<number> {
  const domain = String(domid);
  if (options.console) return attachConsole(options, { domain, follow: true, unpause: !options.paused });
  if (options.foreground) await client.call("domain.wait", { domain, destroyed: true });
  return ExitCode.Done;
}
