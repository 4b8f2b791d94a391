// xen-ts destroy: ends a domain at once.

import { XenError } from "../../index.js";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { domainOperand, hostCommand } from "../host-command.js";

interface Options {
  readonly force?: boolean;
}

export const destroy = hostCommand<Options>({
  path: ["destroy"],
  summary: "terminate a domain immediately",
  operands: [domainOperand],
  options: { force: { flags: "-f", description: "accepted as xl has it; domain 0 still ends with its host" } },
  run: async (client, [domain = ""]) => {
    try {
      await client.call("domain.destroy", { domain });
    } catch (error) {
      if (!(error instanceof XenError) || error.code !== "no-domain" || !/^\d+$/.test(domain)) throw error;
      // libxl's words, without the places in its sources.
      const text = `libxl: error: Domain ${domain}:Non-existant domain\ndestroy failed (rc=-21)`;
      throw new CliError(ExitCode.Failed, text, { isPlain: true });
    }
  },
});
