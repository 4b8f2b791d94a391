// xen-ts vcpu-list.

import type { DomainSummary } from "../../index.js";
import { cpuSet } from "../cpu-set.js";
import { hostCommand, print } from "../host-command.js";
import { fixed1, left, right } from "../printf.js";

interface Options {
  readonly json?: boolean;
}

export const vcpuList = hostCommand<Options>({
  path: ["vcpu-list"],
  summary: "list the VCPUs for all/some domains",
  operands: [{ name: "Domain", description: "names or ids; all domains without any", variadic: true }],
  options: { json: { flags: "--json", description: "print JSON" } },
  run: async (client, operands, { json }) => {
    const lists =
      operands.length === 0
        ? [await client.call("domain.list", {})]
        : await Promise.all(operands.map((domain) => client.call("domain.list", { domain })));
    const domains = lists.flat();
    if (json) {
      const rows = domains.map(({ name, domid, vcpus }) => ({ name, domid, vcpus }));
      print(`${JSON.stringify(rows, undefined, 2)}\n`);
    } else print(vcpuTable(domains, (await client.call("host.info", {})).nr_cpus));
  },
});

const HEADER = ["Name", "ID", "VCPU", "CPU", "State", "Time(s)", "Affinity (Hard / Soft)"] as const;

export function vcpuTable(domains: readonly DomainSummary[], cpus: number): string {
  const [name, ...rest] = HEADER;
  const widths = [5, 5, 5, 5, 9, 0];
  const header = [left(name, 32), ...rest.map((title, i) => right(title, widths[i]!))].join(" ");
  const rows = domains.flatMap((domain) =>
    domain.vcpus.map((vcpu) => {
      const start = `${left(domain.name, 32)} ${right(domain.domid, 5)} ${right(vcpu.id, 5)}`;
      const state = vcpu.online
        ? `${right(vcpu.cpu, 5)} ${right(vcpu.running ? "r" : "-", 3)}${vcpu.blocked ? "b" : "-"}- `
        : `${right("-", 5)} ${right("-", 3)}-p `;
      const { hard, soft } = vcpu.affinity;
      return `${start}${state}${fixed1(vcpu.cpuTime, 9)}  ${cpuSet(hard, cpus)} / ${cpuSet(soft, cpus)}`;
    }),
  );
  return [header, ...rows].map((line) => `${line}\n`).join("");
}
