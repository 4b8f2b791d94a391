// xen-ts sharing: pages that domains have in common: none, for PV guests have no page sharing.

import type { DomainSummary } from "../../index.js";
import { hostCommand, print } from "../host-command.js";
import { left, right } from "../printf.js";

export const sharing = hostCommand<object>({
  path: ["sharing"],
  summary: "get information about page sharing",
  operands: [{ name: "Domain", description: "name or id; all domains without one" }],
  options: {},
  run: async (client, [domain]) => {
    print(sharingTable(await client.call("domain.list", domain === undefined ? {} : { domain })));
  },
});

export function sharingTable(domains: readonly DomainSummary[]): string {
  const rows = domains.map(({ name, domid, memoryKib }) => {
    return `${left(name, 40)} ${right(domid, 5)} ${right(Math.floor(memoryKib / 1024), 5)}  ${right(0, 5)}\n`;
  });
  return ["Name                                        ID   Mem Shared\n", ...rows].join("");
}
