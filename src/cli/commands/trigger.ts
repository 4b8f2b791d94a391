// xen-ts trigger: for HVM domains alone, in xl as here.

import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { domainOperand, hostCommand } from "../host-command.js";

const TRIGGERS = ["nmi", "reset", "init", "power", "sleep", "s3resume"];

export const trigger = hostCommand<object>({
  path: ["trigger"],
  summary: "send a trigger to a domain (HVM only)",
  operands: [
    domainOperand,
    { name: "trigger", description: TRIGGERS.join(", "), required: true },
    { name: "VCPU", description: "number of a VCPU (default: 0)" },
  ],
  options: {},
  run: async (client, [domain = "", name = ""]) => {
    if (!TRIGGERS.includes(name)) throw new CliError(ExitCode.Failed, `Invalid trigger "${name}"`, { isPlain: true });
    await client.call("domain.list", { domain });
    throw new CliError(
      ExitCode.Failed,
      `${domain} is a PV domain: it takes no triggers (shutdown, reboot and sysrq reach it)`,
    );
  },
});
