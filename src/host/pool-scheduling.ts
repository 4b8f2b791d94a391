// What `xl sched-credit -s` sets: parameters of the credit scheduler that hold for all domains, within Xen's limits (sysctl.h).

import * as S from "../hypervisor/public/sysctl.js";
import type { CreditScheduler } from "../hypervisor/scheduler/credit.js";
import type { Runnable } from "../hypervisor/scheduler/sched-unit.js";
import { XenError } from "./errors.js";

export interface PoolScheduling {
  /** Longest that a vCPU runs while another one waits, milliseconds, 1 to 1000; default 30. */
  readonly timeslice: number;
  /** Microseconds that it runs at least before another one takes its place, 100 to 500,000, at most a time slice; 0: no limit. Default 1000. */
  readonly ratelimit: number;
  /** Microseconds after running in which it isn't moved to another CPU, up to 100,000; default 0. */
  readonly migrationDelay: number;
}

const NS_PER_US = 1000;
const NS_PER_MS = 1_000_000;

export function poolScheduling(scheduler: CreditScheduler<Runnable>): PoolScheduling {
  return {
    timeslice: scheduler.timeslice / NS_PER_MS,
    ratelimit: scheduler.ratelimit / NS_PER_US,
    migrationDelay: scheduler.migrationDelay / NS_PER_US,
  };
}

/** What isn't given stays; all or nothing is changed. @throws XenError bad-argument */
export function setPoolScheduling(scheduler: CreditScheduler<Runnable>, parameters: Partial<PoolScheduling>): void {
  const { timeslice, ratelimit, migrationDelay } = { ...poolScheduling(scheduler), ...parameters };
  check("Time slice", timeslice, S.XEN_SYSCTL_CSCHED_TSLICE_MIN, S.XEN_SYSCTL_CSCHED_TSLICE_MAX);
  if (ratelimit !== 0)
    check("Ratelimit", ratelimit, S.XEN_SYSCTL_SCHED_RATELIMIT_MIN, S.XEN_SYSCTL_SCHED_RATELIMIT_MAX);
  check("vcpu migration delay", migrationDelay, 0, S.XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US);
  if (ratelimit > timeslice * 1000) throw new XenError("bad-argument", "Ratelimit cannot be greater than timeslice");
  scheduler.timeslice = timeslice * NS_PER_MS;
  scheduler.ratelimit = ratelimit * NS_PER_US;
  scheduler.migrationDelay = migrationDelay * NS_PER_US;
}

function check(what: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw new XenError("bad-argument", `${what} out of range, valid range is from ${min} to ${max}`);
}
