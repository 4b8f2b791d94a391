// xen-ts network-list: the network interfaces of domains.

import type { VifInfo } from "../../index.js";
import { hostCommand, print } from "../host-command.js";
import { left, right } from "../printf.js";

interface Options {
  readonly json?: boolean;
}

export const networkList = hostCommand<Options>({
  path: ["network-list"],
  summary: "list virtual network interfaces for a domain",
  operands: [{ name: "Domain", description: "names or ids", required: true, variadic: true }],
  options: { json: { flags: "--json", description: "print JSON" } },
  run: async (client, domains, { json }) => {
    const lists = await Promise.all(domains.map((domain) => client.call("network.list", { domain })));
    const vifs = lists.flat();
    print(json ? `${JSON.stringify(vifs, undefined, 2)}\n` : vifTable(vifs));
  },
});

export function vifTable(vifs: readonly VifInfo[]): string {
  const header = [
    ...[left("Idx", 3), left("BE", 2), left("Mac Addr.", 17), left("handle", 6), left("state", 5), left("evt-ch", 6)],
    ...[`${right("tx-", 5)}/${left("rx-ring-ref", 5)}`, left("BE-path", 30)],
  ];
  const rows = vifs.map(({ devid, backendId, mac, state, eventChannel, txRingRef, rxRingRef, backendPath }) => [
    ...[left(devid, 3), left(backendId, 2), `${mac}${right(devid, 6)}`, right(state, 5), right(eventChannel, 6)],
    ...[`${right(txRingRef, 5)}/${left(rxRingRef, 11)}`, left(backendPath, 30)],
  ]);
  return [header, ...rows].map((cells) => `${cells.join(" ")}\n`).join("");
}
