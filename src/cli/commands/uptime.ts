// xen-ts uptime: since when domains have been running.

import type { DomainSummary } from "../../index.js";
import { hostCommand, print } from "../host-command.js";
import { left, right } from "../printf.js";

interface Options {
  readonly short?: boolean;
}

export const uptime = hostCommand<Options>({
  path: ["uptime"],
  summary: "print uptime for all/some domains",
  operands: [{ name: "Domain", description: "names or ids; all domains without any", variadic: true }],
  options: { short: { flags: "-s, --short", description: "print a line like the shell command's" } },
  run: async (client, operands, { short }) => {
    const lists =
      operands.length === 0
        ? [await client.call("domain.list", {})]
        : await Promise.all(operands.map((domain) => client.call("domain.list", { domain })));
    const domains = lists.flat();
    if (short) print(domains.map(shortLine).join(""));
    else print(uptimeTable(domains));
  },
});

export function uptimeTable(domains: readonly DomainSummary[]): string {
  const rows = domains.map(({ name, domid, uptime: up }) => {
    return `${left(name, 33)} ${right(domid, 4)} ${duration(up, true)}`;
  });
  return [`${left("Name", 33)} ${right("ID", 4)} Uptime`, ...rows].map((line) => `${line}\n`).join("");
}

/** "1 day,  2:03:04" */
function duration(seconds: number, withSeconds: boolean): string {
  const whole = Math.floor(seconds);
  const two = (value: number) => String(Math.floor(value) % 60).padStart(2, "0");
  const days = Math.floor(whole / 86_400);
  const hours = right(Math.floor((whole % 86_400) / 3600), 2);
  const prefix = days > 0 ? `${days} day${days > 1 ? "s" : ""}, ` : "";
  return `${prefix}${hours}:${two(whole / 60)}${withSeconds ? `:${two(whole)}` : ""}`;
}

function shortLine({ name, domid, uptime: up }: DomainSummary): string {
  const clock = new Date().toTimeString().slice(0, 8);
  return ` ${clock} up ${duration(up, false)}, ${name} (${domid})\n`;
}
