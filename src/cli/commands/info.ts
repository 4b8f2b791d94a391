// xen-ts info: what the host is.

import type { HostInfo } from "../../index.js";
import { hostCommand, print } from "../host-command.js";
import { left, right } from "../printf.js";

interface Options {
  readonly numa?: boolean;
  readonly json?: boolean;
}

export const info = hostCommand<Options>({
  path: ["info"],
  summary: "get information about the host",
  operands: [{ name: "Line", description: "the value of this line alone" }],
  options: {
    numa: { flags: "-n, --numa", description: "list host NUMA topology information" },
    json: { flags: "--json", description: "print JSON" },
  },
  run: async (client, [name], options) => {
    const facts = await client.call("host.info", {});
    if (options.json) print(`${JSON.stringify(facts, undefined, 2)}\n`);
    else if (name !== undefined && !options.numa) print(infoValues(infoLines(facts, false), name));
    else print(infoLines(facts, options.numa ?? false));
  },
});

export function infoLines(facts: HostInfo, numa: boolean): string {
  const { xen_major, xen_minor, xen_extra } = facts;
  const line = (name: string, value: string | number) => `${left(name, 23)}: ${value}\n`;
  return [
    ...(["host", "release", "version", "machine", "nr_cpus"] as const).map((name) => line(name, facts[name])),
    line("max_cpu_id", facts.nr_cpus - 1),
    line("nr_nodes", 1),
    line("cores_per_socket", facts.nr_cpus),
    line("threads_per_core", 1),
    line("cpu_mhz", facts.cpu_mhz.toFixed(3)),
    ...(["hw_caps", "virt_caps", "total_memory", "free_memory"] as const).map((name) => line(name, facts[name])),
    ...["sharing_freed_memory", "sharing_used_memory", "outstanding_claims", "free_cpus"].map((name) => line(name, 0)),
    ...(numa ? topology(facts) : []),
    ...(["xen_major", "xen_minor", "xen_extra"] as const).map((name) => line(name, facts[name])),
    line("xen_version", `${xen_major}.${xen_minor}${xen_extra}`),
    ...(["xen_caps", "xen_scheduler", "xen_pagesize"] as const).map((name) => line(name, facts[name])),
    line("platform_params", `virt_start=${facts.virt_start}`),
    line("xen_changeset", ""),
    line("xen_commandline", facts.xen_commandline),
    line("cc_compiler", facts.cc_compiler),
    ...["cc_compile_by", "cc_compile_domain", "cc_compile_date", "build_id"].map((name) => line(name, "")),
    line("xend_config_format", 4),
  ].join("");
}

/** What follows the colon in the lines whose names begin so. */
export function infoValues(lines: string, name: string): string {
  const found = lines.split("\n").filter((line) => line.startsWith(name) && line.includes(": "));
  return found.map((line) => `${line.slice(line.indexOf(":") + 2)}\n`).join("");
}

function topology({ nr_cpus, total_memory, free_memory }: HostInfo): string[] {
  const cpus = Array.from(
    { length: nr_cpus },
    (_, cpu) => `${right(cpu, 3)}:    ${right(cpu, 4)}     ${right(0, 4)}     ${right(0, 4)}\n`,
  );
  return [
    "cpu_topology           :\ncpu:    core    socket     node\n",
    ...cpus,
    "device topology        :\ndevice           node\nNo device topology data available\n",
    "numa_info              :\nnode:    memsize    memfree    distances\n",
    `${right(0, 4)}:    ${right(total_memory, 6)}     ${right(free_memory, 6)}      10\n`,
  ];
}
