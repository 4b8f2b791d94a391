// xen-ts block-attach: a disk for a running domain.

import { domainOperand, hostCommand } from "../host-command.js";

export const blockAttach = hostCommand<object>({
  path: ["block-attach"],
  summary: "create a new virtual block device",
  help: "Its specification is that of disk= in xl.cfg; parts given as words of their own are joined by commas:\n  block-attach web file:data.img xvdb w",
  operands: [
    domainOperand,
    { name: "disk-spec", description: "as in disk= of xl.cfg", required: true, variadic: true },
  ],
  options: {},
  run: async (client, [domain = "", ...parts]) => {
    await client.call("block.attach", { domain, spec: parts.join(","), directory: process.cwd() });
  },
});
