// xen-ts vm-list.

import { hostCommand, print } from "../host-command.js";
import { left } from "../printf.js";

export const vmList = hostCommand<object>({
  path: ["vm-list"],
  summary: "list guest domains with their UUIDs",
  options: {},
  run: async (client) => {
    const domains = await client.call("domain.list", {});
    const rows = domains.map(({ uuid, domid, name }) => `${uuid}  ${domid}    ${left(name, 30)}`);
    print(["UUID                                  ID    name", ...rows].map((line) => `${line}\n`).join(""));
  },
});
