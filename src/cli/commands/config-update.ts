// xen-ts config-update: what a domain is made from after its next reboot.

import { formatWarning, parseXlConfig } from "../../index.js";
import { configSource } from "../config-source.js";
import { dryrunRow } from "../global-options.js";
import { domainOperand, hostCommand, print } from "../host-command.js";
import { libxlConfig, printLibxlJson } from "../libxl-json.js";

interface Options {
  readonly defconfig?: string;
  readonly debug?: boolean;
  readonly dryrun?: boolean;
}

export const configUpdate = hostCommand<Options>({
  path: ["config-update"],
  summary: "update a running domain's saved configuration, used when rebuilding the domain after reboot",
  operands: [
    domainOperand,
    { name: "ConfigFile|vars", description: "xl.cfg file, then KEY=VALUE pairs", variadic: true },
  ],
  options: {
    defconfig: { flags: "-f, --defconfig <file>", description: "use the given configuration file" },
    debug: { flags: "-d", description: "print what the configuration means" },
    dryrun: dryrunRow,
  },
  run: async (client, [domain = "", ...words], { defconfig, debug, dryrun }) => {
    const [found] = await client.call("domain.list", { domain });
    const source = await configSource(words, defconfig);
    const { text, file, overrides, directory } = source;
    const { domain: config, warnings } = parseXlConfig(text, file, { overrides, directory });
    if (debug || dryrun) print(`${printLibxlJson(libxlConfig(config, config.uuid ?? found!.uuid))}\n`);
    for (const warning of warnings) process.stderr.write(`WARNING: ${formatWarning(warning)}\n`);
    if (dryrun) return;
    process.stderr.write(`setting dom${found!.domid} configuration\n`);
    await client.call("domain.configure", { domain, ...source });
  },
});
