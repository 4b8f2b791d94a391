// xen-ts network-attach: a network interface for a running domain.

import { domainOperand, hostCommand } from "../host-command.js";

export const networkAttach = hostCommand<object>({
  path: ["network-attach"],
  summary: "create a new virtual network device",
  help: "Its specification is that of vif= in xl.cfg, in one word or several: network-attach web bridge=xenbr0 mac=00:16:3e:00:00:07",
  operands: [domainOperand, { name: "vif-spec", description: "key=value as in vif= of xl.cfg", variadic: true }],
  options: {},
  run: async (client, [domain = "", ...parts]) => {
    await client.call("network.attach", { domain, spec: parts.join(",") });
  },
});
