// xen-ts unpause.

import { domainOperand, hostCommand } from "../host-command.js";

export const unpause = hostCommand<object>({
  path: ["unpause"],
  summary: "unpause a paused domain",
  operands: [domainOperand],
  options: {},
  run: async (client, [domain = ""]) => {
    await client.call("domain.unpause", { domain });
  },
});
