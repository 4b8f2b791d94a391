// xen-ts cpupool-list: the CPU pools, of which a host has one.

import { CliError } from "../cli-error.js";
import { POOL_NAME } from "../cpupool.js";
import { ExitCode } from "../exit-codes.js";
import { hostCommand, print } from "../host-command.js";
import { left, right } from "../printf.js";

interface Options {
  readonly cpus?: boolean;
}

export const cpupoolList = hostCommand<Options>({
  path: ["cpupool-list"],
  summary: "list CPU pools on host",
  operands: [{ name: "Pool", description: "name of a pool; all of them without one" }],
  options: { cpus: { flags: "-c, --cpus", description: "output list of CPUs used by a pool" } },
  run: async (client, [pool = POOL_NAME], { cpus = false }) => {
    if (pool !== POOL_NAME) throw new CliError(ExitCode.Failed, `Pool '${pool}' does not exist`, { isPlain: true });
    const { nr_cpus, xen_scheduler } = await client.call("host.info", {});
    const domains = await client.call("domain.list", {});
    print(poolList(nr_cpus, xen_scheduler, domains.length, cpus));
  },
});

export function poolList(cpus: number, scheduler: string, domains: number, listsCpus: boolean): string {
  const numbers = Array.from({ length: cpus }, (_, cpu) => cpu).join(",");
  const figures = `${right(cpus, 3)} ${right(scheduler, 9)}       y       ${right(domains, 4)}`;
  const title = listsCpus ? "CPU list" : "CPUs   Sched     Active   Domain count";
  return `${left("Name", 19)}${title}\n${left(POOL_NAME, 19)}${listsCpus ? numbers : figures}\n`;
}
