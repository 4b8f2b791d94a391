// xen-ts debug-keys: what the hypervisor prints about itself; dmesg shows it.

import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { hostCommand } from "../host-command.js";

export const debugKeys = hostCommand<object>({
  path: ["debug-keys"],
  summary: "send debug keys to Xen; dmesg shows the answer",
  help: "h lists the keys: xen-ts debug-keys h; xen-ts dmesg",
  operands: [{ name: "Keys", description: "one letter each", required: true }],
  options: {},
  run: async (client, [keys = ""]) => {
    if (!/^[\x21-\x7e]{1,64}$/.test(keys))
      throw new CliError(ExitCode.Failed, `cannot send debug keys: ${keys}`, { isPlain: true });
    await client.call("host.debugKeys", { keys });
  },
});
