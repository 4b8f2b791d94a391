// xen-ts network-list: the network interfaces of domains.

import type { VifInfo } from "../../index.js";
import { deviceList } from "../device-list.js";
import { left, right } from "../printf.js";

export const networkList = deviceList({
  name: "network-list",
  summary: "list virtual network interfaces for a domain",
  method: "network.list",
  table: vifTable,
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
