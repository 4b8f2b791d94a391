// xen-ts sched-credit and sched-credit2: refused, for hosts have another scheduler yet.

import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { hostCommand } from "../host-command.js";

interface Options {
  readonly domain?: string;
  readonly weight?: string;
  readonly cap?: string;
}

const parametersOf = (scheduler: string) =>
  hostCommand<Options>({
    path: [`sched-${scheduler}`],
    summary: `get/set ${scheduler} scheduler parameters`,
    options: {
      domain: { flags: "-d, --domain <domain>", description: "domain to modify" },
      weight: { flags: "-w, --weight <weight>", description: "weight, 1 to 65535" },
      cap: { flags: "-c, --cap <cap>", description: "percent of a CPU; 0: no cap" },
    },
    run: async (client) => {
      const { xen_scheduler } = await client.call("host.info", {});
      throw new CliError(
        ExitCode.Failed,
        `the host's scheduler is ${xen_scheduler}, which treats all domains alike: it has no weights and caps`,
      );
    },
  });

export const schedCredit = parametersOf("credit");
export const schedCredit2 = parametersOf("credit2");
