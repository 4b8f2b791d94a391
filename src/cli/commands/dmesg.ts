// xen-ts dmesg: the hypervisor's log.

import { hostCommand, print } from "../host-command.js";

interface Options {
  readonly clear?: boolean;
}

export const dmesg = hostCommand<Options>({
  path: ["dmesg"],
  summary: "read and/or clear the hypervisor's dmesg buffer",
  options: { clear: { flags: "-c, --clear", description: "clear the dmesg buffer as well as printing it" } },
  run: async (client, _operands, { clear = false }) => {
    const lines = await client.call("host.dmesg", { clear });
    print(lines.map((line) => `(XEN) ${line}\n`).join(""));
  },
});
