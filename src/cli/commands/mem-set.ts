// xen-ts mem-set.

import { domainOperand, hostCommand } from "../host-command.js";
import { memoryOperand, parseMemory } from "../memory-size.js";

export const memSet = hostCommand<object>({
  path: ["mem-set"],
  summary: "set the current memory usage for a domain (its balloon)",
  operands: [domainOperand, memoryOperand],
  options: {},
  run: async (client, [domain = "", size = ""]) => {
    await client.call("domain.memory", { domain, kind: "target", bytes: parseMemory(size) });
  },
});
