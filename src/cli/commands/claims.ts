// xen-ts claims: memory that domains were promised and don't have yet. Here a domain has all of it before `create` returns.

import { listTable } from "../domain-table.js";
import { hostCommand, print } from "../host-command.js";

export const claims = hostCommand<object>({
  path: ["claims"],
  summary: "list outstanding claim information about all domains",
  options: {},
  run: async (client) => print(listTable(await client.call("domain.list", {}), { claims: true })),
});
