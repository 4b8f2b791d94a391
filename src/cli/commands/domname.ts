// xen-ts domname.

import { XenError } from "../../index.js";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { hostCommand, print } from "../host-command.js";

export const domname = hostCommand<object>({
  path: ["domname"],
  summary: "convert a domain id to domain name",
  operands: [{ name: "DomainId", description: "id of a domain", required: true }],
  options: {},
  run: async (client, [domid = ""]) => {
    if (!/^\d+$/.test(domid)) throw new CliError(ExitCode.Failed, "Invalid domain id.", { isPlain: true });
    try {
      const [domain] = await client.call("domain.list", { domain: domid });
      print(`${domain!.name}\n`);
    } catch (error) {
      if (!(error instanceof XenError) || error.code !== "no-domain") throw error;
      const text = `Can't get domain name of domain id '${domid}', maybe this domain does not exist.`;
      throw new CliError(ExitCode.Failed, text, { isPlain: true });
    }
  },
});
