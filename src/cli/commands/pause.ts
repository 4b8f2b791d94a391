// xen-ts pause.

import { domainOperand, hostCommand } from "../host-command.js";

export const pause = hostCommand<object>({
  path: ["pause"],
  summary: "pause execution of a domain",
  operands: [domainOperand],
  options: {},
  run: async (client, [domain = ""]) => {
    await client.call("domain.pause", { domain });
  },
});
