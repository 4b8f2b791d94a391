// xen-ts mem-max.

import { domainOperand, hostCommand } from "../host-command.js";
import { memoryOperand, parseMemory } from "../memory-size.js";

export const memMax = hostCommand<object>({
  path: ["mem-max"],
  summary: "set the maximum amount reservation for a domain",
  operands: [domainOperand, memoryOperand],
  options: {},
  run: async (client, [domain = "", size = ""]) => {
    await client.call("domain.memory", { domain, kind: "max", bytes: parseMemory(size) });
  },
});
