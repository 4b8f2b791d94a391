// xen-ts rename.

import { XenError } from "../../index.js";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { domainOperand, hostCommand } from "../host-command.js";

export const rename = hostCommand<object>({
  path: ["rename"],
  summary: "rename a domain",
  operands: [domainOperand, { name: "NewDomainName", description: "its new name", required: true }],
  options: {},
  run: async (client, [domain = "", name = ""]) => {
    try {
      await client.call("domain.rename", { domain, name });
    } catch (error) {
      if (!(error instanceof XenError) || error.code !== "name-in-use") throw error;
      const text = `libxl: error: ${error.message}\nCan't rename domain '${domain}'.`;
      throw new CliError(ExitCode.Failed, text, { isPlain: true });
    }
  },
});
