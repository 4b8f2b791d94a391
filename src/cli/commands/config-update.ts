// xen-ts config-update: what a domain is made from after its next reboot.

import { configSource } from "../config-source.js";
import { domainOperand, hostCommand } from "../host-command.js";

interface Options {
  readonly defconfig?: string;
}

export const configUpdate = hostCommand<Options>({
  path: ["config-update"],
  summary: "update a running domain's saved configuration, used when rebuilding the domain after reboot",
  operands: [
    domainOperand,
    { name: "ConfigFile|vars", description: "xl.cfg file, then KEY=VALUE pairs", variadic: true },
  ],
  options: { defconfig: { flags: "-f, --defconfig <file>", description: "use the given configuration file" } },
  run: async (client, [domain = "", ...words], { defconfig }) => {
    const source = await configSource(words, defconfig);
    process.stderr.write(`Parsing config from ${source.file}\n`);
    const { warnings } = await client.call("domain.configure", { domain, ...source });
    for (const warning of warnings) process.stderr.write(`WARNING: ${warning}\n`);
  },
});
