// xen-ts sched-credit and sched-credit2: the shares of the host's domains. The scheduler is Credit; as with xl, the other command
// finds no CPU pool of its own.

import type { DomainSummary } from "../../index.js";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { hostCommand, print } from "../host-command.js";
import { left, right } from "../printf.js";

interface Options {
  readonly domain?: string;
  readonly weight?: string;
  readonly cap?: string;
  readonly schedparam?: boolean;
  readonly ratelimit?: string;
  readonly json?: boolean;
}

const TIMESLICE_MS = 30;

function poolLine(scheduler: string, ratelimit: number): string {
  const more = scheduler === "credit" ? [`tslice=${TIMESLICE_MS}ms`, "migration-delay=0us"] : [];
  return `Cpupool Pool-0: ${[...more.slice(0, 1), `ratelimit=${ratelimit}us`, ...more.slice(1)].join(" ")}\n`;
}

export function scheduleTable(domains: readonly DomainSummary[]): string {
  const header = `${left("Name", 33)} ${right("ID", 4)} ${right("Weight", 6)} ${right("Cap", 4)}\n`;
  const rows = domains.map(({ name, domid, scheduling: { weight, cap } }) => {
    return `${left(name, 33)} ${right(domid, 4)} ${right(weight, 6)} ${right(cap, 4)}\n`;
  });
  return [header, ...rows].join("");
}

/** What `sched-credit` and `sched-credit2` print of all domains. */
export function poolTable(scheduler: string, domains: readonly DomainSummary[], ratelimit = 1000): string {
  return `${poolLine(scheduler, ratelimit)}${scheduleTable(domains)}`;
}

const failed = (text: string) => new CliError(ExitCode.Failed, text, { isPlain: true });

function numberOf(text: string | undefined, what: string, min: number, max = 65_535): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,5}$/.test(text) || Number(text) > max || Number(text) < min)
    throw failed(`${what} out of range, valid values are within range from ${min} to ${max}`);
  return Number(text);
}

const parametersOf = (scheduler: string) =>
  hostCommand<Options>({
    path: [`sched-${scheduler}`],
    summary: `get/set ${scheduler} scheduler parameters`,
    options: {
      domain: { flags: "-d, --domain <domain>", description: "domain to show, or modify" },
      weight: { flags: "-w, --weight <weight>", description: "weight, 1 to 65535" },
      cap: { flags: "-c, --cap <cap>", description: "percent of a CPU; 0: no cap" },
      schedparam: { flags: "-s, --schedparam", description: "show or set the pool's parameters" },
      ratelimit: { flags: "-r, --ratelimit_us <us>", description: "with -s: how long a VCPU runs at least" },
      json: { flags: "--json", description: "print JSON" },
    },
    run: async (client, _operands, { domain, json, schedparam, ...given }) => {
      const { xen_scheduler } = await client.call("host.info", {});
      const weight = numberOf(given.weight, "weight", 1);
      const cap = numberOf(given.cap, "cap", 0);
      const newLimit = schedparam ? numberOf(given.ratelimit, "ratelimit", 0, 30_000) : undefined;
      const isChange = weight !== undefined || cap !== undefined;
      if (isChange && domain === undefined) throw failed("Must specify a domain.");
      if (xen_scheduler !== scheduler) {
        if (!isChange && newLimit === undefined) return;
        throw new CliError(ExitCode.Failed, `the host's scheduler is ${xen_scheduler}: see sched-${xen_scheduler}`);
      }
      if (newLimit !== undefined) {
        await client.call("host.ratelimit", { ratelimit: newLimit });
        return;
      }
      if (domain !== undefined && isChange) {
        await client.call("domain.schedule", {
          domain,
          ...(weight === undefined ? {} : { weight }),
          ...(cap === undefined ? {} : { cap }),
        });
        return;
      }
      const { ratelimit } = await client.call("host.ratelimit", {});
      if (schedparam) return print(poolLine(scheduler, ratelimit));
      const domains = await client.call("domain.list", domain === undefined ? {} : { domain });
      if (json) {
        const rows = domains.map(({ name, domid, scheduling }) => ({ name, domid, ...scheduling }));
        print(`${JSON.stringify(rows, undefined, 2)}\n`);
      } else print(domain === undefined ? poolTable(scheduler, domains, ratelimit) : scheduleTable(domains));
    },
  });

export const schedCredit = parametersOf("credit");
export const schedCredit2 = parametersOf("credit2");
