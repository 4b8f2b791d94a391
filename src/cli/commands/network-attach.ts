// xen-ts network-attach: a network interface for a running domain.

import { parseVif } from "../../index.js";
import { dryrunRow } from "../global-options.js";
import { domainOperand, hostCommand, print } from "../host-command.js";
import { nic, printLibxlJson } from "../libxl-json.js";

interface Options {
  readonly dryrun?: boolean;
}

export const networkAttach = hostCommand<Options>({
  path: ["network-attach"],
  summary: "create a new virtual network device",
  help: "Its specification is that of vif= in xl.cfg, in one word or several: network-attach web bridge=xenbr0 mac=00:16:3e:00:00:07",
  operands: [domainOperand, { name: "vif-spec", description: "key=value as in vif= of xl.cfg", variadic: true }],
  options: { dryrun: dryrunRow },
  run: async (client, [domain = "", ...parts], { dryrun }) => {
    const spec = parts.join(",");
    if (!dryrun) await client.call("network.attach", { domain, spec });
    else {
      parseVif(spec);
      print(`vif: ${printLibxlJson(nic(spec, undefined))}\n`);
    }
  },
});
