// What `xl sched-credit -s` and `xl sched-credit2 -s` set: parameters of the scheduler that hold for all domains, within Xen's limits
// (sysctl.h).

import * as S from "../hypervisor/public/sysctl.js";
import { CreditScheduler } from "../hypervisor/scheduler/credit.js";
import type { Runnable } from "../hypervisor/scheduler/sched-unit.js";
import type { Scheduler } from "../hypervisor/scheduler/scheduler.js";
import { XenError } from "./errors.js";

export interface PoolScheduling {
  /** Credit alone: longest that a vCPU runs while another one waits, milliseconds, 1 to 1000; default 30. */
  readonly timeslice?: number;
  /** Microseconds that it runs at least before another one takes its place, 100 to 500,000, at most a time slice; 0: no limit. Default 1000. */
  readonly ratelimit: number;
  /** Credit alone: microseconds after running in which it isn't moved to another CPU, up to 100,000; default 0. */
  readonly migrationDelay?: number;
}

const NS_PER_US = 1000;
const NS_PER_MS = 1_000_000;

export function poolScheduling(scheduler: Scheduler<Runnable>): PoolScheduling {
  const ratelimit = scheduler.ratelimit / NS_PER_US;
  if (!(scheduler instanceof CreditScheduler)) return { ratelimit };
  return {
    timeslice: scheduler.timeslice / NS_PER_MS,
    ratelimit,
    migrationDelay: scheduler.migrationDelay / NS_PER_US,
  };
}

/** What isn't given stays; all or nothing is changed. @throws XenError bad-argument, unsupported: the host's scheduler has no such parameter */
export function setPoolScheduling(scheduler: Scheduler<Runnable>, parameters: Partial<PoolScheduling>): void {
  const { timeslice, ratelimit, migrationDelay } = { ...poolScheduling(scheduler), ...parameters };
  if (ratelimit !== 0)
    check("Ratelimit", ratelimit, S.XEN_SYSCTL_SCHED_RATELIMIT_MIN, S.XEN_SYSCTL_SCHED_RATELIMIT_MAX);
  if (scheduler instanceof CreditScheduler) setCredit(scheduler, timeslice!, ratelimit, migrationDelay!);
  else if (timeslice !== undefined || migrationDelay !== undefined)
    throw new XenError("unsupported", `the ${scheduler.name} scheduler has no time slice and no migration delay`);
  scheduler.ratelimit = ratelimit * NS_PER_US;
}

function setCredit(scheduler: CreditScheduler<Runnable>, timeslice: number, ratelimit: number, delay: number): void {
  check("Time slice", timeslice, S.XEN_SYSCTL_CSCHED_TSLICE_MIN, S.XEN_SYSCTL_CSCHED_TSLICE_MAX);
  check("vcpu migration delay", delay, 0, S.XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US);
  if (ratelimit > timeslice * 1000) throw new XenError("bad-argument", "Ratelimit cannot be greater than timeslice");
  scheduler.timeslice = timeslice * NS_PER_MS;
  scheduler.migrationDelay = delay * NS_PER_US;
}

function check(what: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw new XenError("bad-argument", `${what} out of range, valid range is from ${min} to ${max}`);
}
