// xen-ts list: the domains of a host.

import { type ListColumns, listTable, xmListTable } from "../domain-table.js";
import { hostCommand, print } from "../host-command.js";
import { libxlList, printLibxlJson } from "../libxl-json.js";
import { isXm } from "../program-name.js";

interface Options extends Omit<ListColumns, "claims"> {
  readonly long?: boolean;
  readonly json?: boolean;
}

export const list = hostCommand<Options>({
  path: ["list"],
  summary: "list information about all/some domains",
  operands: [{ name: "Domain", description: "names or ids; all domains without any", variadic: true }],
  options: {
    long: { flags: "-l, --long", description: "output all VM details, as JSON" },
    verbose: { flags: "-v, --verbose", description: "print UUIDs, shutdown reasons and security labels" },
    context: { flags: "-Z, --context", description: "print security labels" },
    cpupool: { flags: "-c, --cpupool", description: "print the cpupool the domain is in" },
    numa: { flags: "-n, --numa", description: "print NUMA node affinity" },
    json: { flags: "--json", description: "print what the host knows of each domain, as JSON" },
  },
  run: async (client, operands, options) => {
    const lists =
      operands.length === 0
        ? [await client.call("domain.list", {})]
        : await Promise.all(operands.map((domain) => client.call("domain.list", { domain })));
    const domains = lists.flat();
    if (options.json) print(`${JSON.stringify(domains, undefined, 2)}\n`);
    else if (options.long) {
      const { xen_scheduler } = await client.call("host.info", {});
      print(`${printLibxlJson(libxlList(domains, xen_scheduler))}\n`);
    } else if (isXm()) print(xmListTable(domains));
    else print(listTable(domains, options));
  },
});
