// xen-ts vm-list.

import type { DomainSummary } from "../../index.js";
import { hostCommand, print } from "../host-command.js";
import { left } from "../printf.js";

export const vmList = hostCommand<object>({
  path: ["vm-list"],
  summary: "list guest domains with their UUIDs",
  options: {},
  run: async (client) => {
    const domains = await client.call("domain.list", {});
    print(vmTable(domains));
  },
});

export function vmTable(domains: readonly DomainSummary[]): string {
  const rows = domains.map(({ uuid, domid, name }) => `${uuid}  ${domid}    ${left(name, 30)}`);
  return ["UUID                                  ID    name", ...rows].map((line) => `${line}\n`).join("");
}
