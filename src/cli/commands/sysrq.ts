// xen-ts sysrq.

import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { domainOperand, hostCommand } from "../host-command.js";

export const sysrq = hostCommand<object>({
  path: ["sysrq"],
  summary: "send a sysrq to a domain",
  operands: [domainOperand, { name: "letter", description: "key of the Magic System Request", required: true }],
  options: {},
  run: async (client, [domain = "", key = ""]) => {
    if (!/^[\x21-\x7e]$/.test(key)) throw new CliError(ExitCode.Failed, "Invalid sysrq.", { isPlain: true });
    await client.call("domain.sysrq", { domain, key });
  },
});
