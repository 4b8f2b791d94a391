// xen-ts sched-credit and sched-credit2: the shares of the host's domains. As with xl, the command for the scheduler that the host
// doesn't have finds no CPU pool of its own.

import type { ControlClient, DomainSummary, PoolScheduling, SchedulerName } from "../../index.js";
import { CliError } from "../cli-error.js";
import type { OptionRows } from "../command.js";
import { POOL_NAME, requirePool } from "../cpupool.js";
import { ExitCode } from "../exit-codes.js";
import { hostCommand, print } from "../host-command.js";
import { left, right } from "../printf.js";

interface Credit2Options {
  readonly domain?: string;
  readonly weight?: string;
  readonly cap?: string;
  readonly schedparam?: boolean;
  readonly ratelimit?: string;
  readonly cpupool?: string;
  readonly json?: boolean;
}

interface CreditOptions extends Credit2Options {
  readonly timeslice?: string;
  readonly migrationDelay?: string;
}

const DEFAULTS: PoolScheduling = { timeslice: 30, ratelimit: 1000, migrationDelay: 0 };

function poolLine(scheduler: string, { timeslice, ratelimit, migrationDelay }: PoolScheduling): string {
  const isCredit = scheduler === "credit";
  const words = [
    ...(isCredit ? [`tslice=${timeslice}ms`] : []),
    `ratelimit=${ratelimit}us`,
    ...(isCredit ? [`migration-delay=${migrationDelay}us`] : []),
  ];
  return `Cpupool ${POOL_NAME}: ${words.join(" ")}\n`;
}

export function scheduleTable(domains: readonly DomainSummary[]): string {
  const header = `${left("Name", 33)} ${right("ID", 4)} ${right("Weight", 6)} ${right("Cap", 4)}\n`;
  const rows = domains.map(({ name, domid, scheduling: { weight, cap } }) => {
    return `${left(name, 33)} ${right(domid, 4)} ${right(weight, 6)} ${right(cap, 4)}\n`;
  });
  return [header, ...rows].join("");
}

/** What `sched-credit` and `sched-credit2` print of all domains. */
export function poolTable(scheduler: string, domains: readonly DomainSummary[], pool = DEFAULTS): string {
  return `${poolLine(scheduler, pool)}${scheduleTable(domains)}`;
}

const failed = (text: string) => new CliError(ExitCode.Failed, text, { isPlain: true });

function numberOf(text: string | undefined, what: string, min: number, max: number): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text) || Number(text) > max || Number(text) < min)
    throw failed(`${what} out of range, valid values are within range from ${min} to ${max}`);
  return Number(text);
}

const MAX = 65_535;

/** What may not be given together, in xl's words. */
function check(options: CreditOptions): void {
  const { domain, weight, cap, schedparam, timeslice, ratelimit, migrationDelay, cpupool } = options;
  const ofDomain = [domain, weight, cap].some((value) => value !== undefined);
  if ((cpupool !== undefined || schedparam) && ofDomain)
    throw failed("Specifying a cpupool or schedparam is not allowed with domain options.");
  if (domain === undefined && ofDomain) throw failed("Must specify a domain.");
  if (!schedparam && [timeslice, ratelimit, migrationDelay].some((value) => value !== undefined))
    throw failed("Must specify schedparam to set schedule parameter values.");
  requirePool(cpupool);
}

const given = <T extends object>(values: T) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

const credit2Rows: OptionRows<Credit2Options> = {
  domain: { flags: "-d, --domain <domain>", description: "domain to show, or modify" },
  weight: { flags: "-w, --weight <weight>", description: "weight, 1 to 65535" },
  cap: { flags: "-c, --cap <cap>", description: "percent of a CPU; 0: no cap" },
  schedparam: { flags: "-s, --schedparam", description: "show or set the pool's parameters" },
  ratelimit: {
    flags: "-r, --ratelimit_us <us>",
    description: "with -s: how long a VCPU runs at least, 100 to 500000; 0: no limit",
  },
  cpupool: { flags: "-p, --cpupool <pool>", description: "restrict output to the pool: Pool-0 is all there is" },
  json: { flags: "--json", description: "print JSON" },
};

const creditRows: OptionRows<CreditOptions> = {
  ...credit2Rows,
  timeslice: { flags: "-t, --tslice_ms <ms>", description: "with -s: the time slice, 1 to 1000" },
  migrationDelay: {
    flags: "-m, --migration_delay_us <us>",
    description: "with -s: how long a VCPU that ran stays on its CPU",
  },
};

async function run(client: ControlClient, scheduler: SchedulerName, options: CreditOptions): Promise<void> {
  const { domain, json, schedparam } = options;
  check(options);
  const shares = given({
    weight: numberOf(options.weight, "weight", 1, MAX),
    cap: numberOf(options.cap, "cap", 0, MAX),
  });
  const pool = given({
    timeslice: numberOf(options.timeslice, "Time slice", 1, 1000),
    ratelimit: numberOf(options.ratelimit, "ratelimit", 0, 500_000),
    migrationDelay: numberOf(options.migrationDelay, "vcpu migration delay", 0, 100_000),
  });
  const isChange = Object.keys({ ...shares, ...pool }).length > 0;
  const { xen_scheduler } = await client.call("host.info", {});
  if (xen_scheduler !== scheduler) {
    // As xl lists the pools with that scheduler: none.
    if (isChange || schedparam || domain !== undefined)
      throw new CliError(ExitCode.Failed, `the host's scheduler is ${xen_scheduler}: see sched-${xen_scheduler}`);
  } else if (schedparam) {
    const now = await client.call("host.scheduling", pool);
    if (!isChange) print(poolLine(scheduler, now));
  } else if (domain !== undefined && isChange) await client.call("domain.schedule", { domain, ...shares });
  else {
    const domains = await client.call("domain.list", domain === undefined ? {} : { domain });
    if (json) {
      const rows = domains.map(({ name, domid, scheduling }) => ({ name, domid, ...scheduling }));
      print(`${JSON.stringify(rows, undefined, 2)}\n`);
    } else if (domain !== undefined) print(scheduleTable(domains));
    else print(poolTable(scheduler, domains, await client.call("host.scheduling", {})));
  }
}

const commandOf = <Options extends CreditOptions>(scheduler: SchedulerName, options: OptionRows<Options>) =>
  hostCommand<Options>({
    path: [`sched-${scheduler}`],
    summary: `get/set ${scheduler} scheduler parameters`,
    options,
    run: (client, _operands, given) => run(client, scheduler, given),
  });

export const schedCredit = commandOf("credit", creditRows);
export const schedCredit2 = commandOf("credit2", credit2Rows);
