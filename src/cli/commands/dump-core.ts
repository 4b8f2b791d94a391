// xen-ts dump-core: a domain's memory and registers as a file.

import { resolve } from "node:path";
import { domainOperand, hostCommand } from "../host-command.js";

export const dumpCore = hostCommand<object>({
  path: ["dump-core"],
  summary: "core dump a domain",
  help: "The file is ELF, in Xen's dump-core format; readelf -S and crash read it. The domain runs on: pause it for a consistent one.",
  operands: [domainOperand, { name: "filename", description: "the file to write", required: true }],
  options: {},
  run: async (client, [domain = "", file = ""]) => {
    await client.call("domain.dumpCore", { domain, path: resolve(file) });
  },
});
