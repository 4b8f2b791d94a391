// xen-ts network-detach: takes a network interface from a running domain.

import { inXlWords } from "../cli-error.js";
import { domainOperand, hostCommand } from "../host-command.js";

export const networkDetach = hostCommand<object>({
  path: ["network-detach"],
  summary: "destroy a domain's virtual network device",
  operands: [domainOperand, { name: "DevId|mac", description: "its number or MAC address", required: true }],
  options: {},
  run: async (client, [domain = "", vif = ""]) => {
    await client.call("network.detach", { domain, vif }).catch(inXlWords(`Unknown device ${vif}.`));
  },
});
