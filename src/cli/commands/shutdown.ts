// xen-ts shutdown: asks through control/shutdown in XenStore; what follows is the guest's doing, and on_poweroff's.

import { askToEnd, type EndOptions, endOptionRows } from "../end-domains.js";
import { domainOperand, hostCommand } from "../host-command.js";

export const shutdown = hostCommand<EndOptions>({
  path: ["shutdown"],
  summary: "shut a domain down cleanly",
  operands: [{ ...domainOperand, required: false }],
  options: endOptionRows,
  run: (client, [domain], options) => askToEnd(client, "poweroff", "Shutting down", domain, options),
});
