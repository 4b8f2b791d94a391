// xen-ts sysrq.

import { domainOperand, hostCommand } from "../host-command.js";

export const sysrq = hostCommand<object>({
  path: ["sysrq"],
  summary: "send a sysrq to a domain",
  operands: [domainOperand, { name: "letter", description: "key of the Magic System Request", required: true }],
  options: {},
  run: async (client, [domain = "", key = ""]) => {
    await client.call("domain.sysrq", { domain, key });
  },
});
