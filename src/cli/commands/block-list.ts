// xen-ts block-list: the disks of domains.

import type { VbdInfo } from "../../index.js";
import { hostCommand, print } from "../host-command.js";
import { left } from "../printf.js";

interface Options {
  readonly json?: boolean;
}

export const blockList = hostCommand<Options>({
  path: ["block-list"],
  summary: "list virtual block devices for a domain",
  operands: [{ name: "Domain", description: "names or ids", required: true, variadic: true }],
  options: { json: { flags: "--json", description: "print JSON" } },
  run: async (client, domains, { json }) => {
    const lists = await Promise.all(domains.map((domain) => client.call("block.list", { domain })));
    const vbds = lists.flat();
    if (json) {
      print(`${JSON.stringify(vbds, undefined, 2)}\n`);
      return;
    }
    print(vbdTable(vbds));
  },
});

const WIDTHS = [5, 3, 6, 5, 6, 8, 30];

export function vbdTable(vbds: readonly VbdInfo[]): string {
  const rows = vbds.map(({ vdev, backendId, frontendId, state, eventChannel, ringRef, backendPath }) =>
    row([vdev, backendId, frontendId, state, eventChannel, ringRef, backendPath]),
  );
  return [row(["Vdev", "BE", "handle", "state", "evt-ch", "ring-ref", "BE-path"]), ...rows].join("");
}

function row(cells: readonly (string | number)[]): string {
  return `${cells.map((cell, i) => left(cell, WIDTHS[i]!)).join(" ")}\n`;
}
