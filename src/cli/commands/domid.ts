// xen-ts domid.

import { XenError } from "../../index.js";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { hostCommand, print } from "../host-command.js";

export const domid = hostCommand<object>({
  path: ["domid"],
  summary: "convert a domain name to domain id",
  operands: [{ name: "DomainName", description: "name of a domain", required: true }],
  options: {},
  run: async (client, [name = ""]) => {
    try {
      const [domain] = await client.call("domain.list", { domain: name });
      print(`${domain!.domid}\n`);
    } catch (error) {
      if (!(error instanceof XenError) || error.code !== "no-domain") throw error;
      const text = `Can't get domid of domain name '${name}', maybe this domain does not exist.`;
      throw new CliError(ExitCode.Failed, text, { isPlain: true });
    }
  },
});
