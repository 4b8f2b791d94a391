// xen-ts reboot: asks through control/shutdown in XenStore; what follows is the guest's doing, and on_reboot's.

import { askToEnd, type EndOptions, endOptionRows } from "../end-domains.js";
import { domainOperand, hostCommand } from "../host-command.js";

export const reboot = hostCommand<EndOptions>({
  path: ["reboot"],
  summary: "reboot a domain cleanly",
  operands: [{ ...domainOperand, required: false }],
  options: endOptionRows,
  run: (client, [domain], options) => askToEnd(client, "reboot", "Rebooting", domain, options),
});
