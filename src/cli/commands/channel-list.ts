// xen-ts channel-list: the consoles of domains beyond their first.

import type { ChannelInfo } from "../../index.js";
import { deviceList } from "../device-list.js";
import { left, right } from "../printf.js";

export const channelList = deviceList({
  name: "channel-list",
  summary: "list virtual channel devices for a domain",
  method: "channel.list",
  table: channelTable,
});

export function channelTable(channels: readonly ChannelInfo[]): string {
  const header = [
    ...[left("Idx", 3), left("BE", 2), left("state", 5), left("evt-ch", 6), right("ring-ref", 8)],
    ...[left("connection", 10), left("", 30)],
  ];
  const rows = channels.map(({ devid, backendId, state, eventChannel, ringRef, connection, path }) => [
    ...[left(devid, 3), left(backendId, 2), left(state, 5), left(eventChannel, 6), left(ringRef, 8)],
    ...[left(connection, 10), left(connection === "pty" ? path : "", 30)],
  ]);
  return [header, ...rows].map((cells) => `${cells.join(" ").trimEnd()}\n`).join("");
}
