// xen-ts block-list: the disks of domains.

import type { VbdInfo } from "../../index.js";
import { deviceList } from "../device-list.js";
import { left } from "../printf.js";

export const blockList = deviceList({
  name: "block-list",
  summary: "list virtual block devices for a domain",
  method: "block.list",
  table: vbdTable,
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
