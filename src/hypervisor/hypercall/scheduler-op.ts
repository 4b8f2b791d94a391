// What sysctl's scheduler_op sets and tells: parameters that hold for all domains, of the scheduler that the host has (sysctl.h).

import { XEN_SCHEDULER_CREDIT, XEN_SCHEDULER_CREDIT2 } from "../public/domctl.js";
import { errno } from "../public/errno.js";
import * as S from "../public/sysctl.js";
import { CreditScheduler } from "../scheduler/credit.js";
import type { Runnable } from "../scheduler/sched-unit.js";
import type { Scheduler } from "../scheduler/scheduler.js";

const NS_PER_US = 1000;
const NS_PER_MS = 1_000_000;

/** The scheduler's number in domctl and sysctl. */
export function schedulerId({ name }: Scheduler<Runnable>): number {
  return name === "credit2" ? XEN_SCHEDULER_CREDIT2 : XEN_SCHEDULER_CREDIT;
}

const isWithin = (value: number, min: number, max: number) => value >= min && value <= max;
const isRatelimit = (us: number) =>
  us === 0 || isWithin(us, S.XEN_SYSCTL_SCHED_RATELIMIT_MIN, S.XEN_SYSCTL_SCHED_RATELIMIT_MAX);

/** The argument's union. */
interface Parameters {
  tslice_ms: number;
  ratelimit_us: number;
  vcpu_migr_delay_us: number;
}

/** @returns 0 or an error number */
export function putInfo(scheduler: Scheduler<Runnable>, argument: Parameters): number {
  if (!(scheduler instanceof CreditScheduler)) {
    const ratelimit = argument.tslice_ms;
    if (!isRatelimit(ratelimit)) return -errno.EINVAL;
    scheduler.ratelimit = ratelimit * NS_PER_US;
    return 0;
  }
  const { tslice_ms, ratelimit_us, vcpu_migr_delay_us } = argument;
  if (!isWithin(tslice_ms, S.XEN_SYSCTL_CSCHED_TSLICE_MIN, S.XEN_SYSCTL_CSCHED_TSLICE_MAX)) return -errno.EINVAL;
  if (!isRatelimit(ratelimit_us) || ratelimit_us > tslice_ms * 1000) return -errno.EINVAL;
  if (vcpu_migr_delay_us > S.XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US) return -errno.EINVAL;
  scheduler.timeslice = tslice_ms * NS_PER_MS;
  scheduler.ratelimit = ratelimit_us * NS_PER_US;
  scheduler.migrationDelay = vcpu_migr_delay_us * NS_PER_US;
  return 0;
}

export function getInfo(scheduler: Scheduler<Runnable>, argument: Parameters): void {
  const ratelimit = scheduler.ratelimit / NS_PER_US;
  if (!(scheduler instanceof CreditScheduler)) {
    argument.tslice_ms = ratelimit;
    return;
  }
  argument.tslice_ms = scheduler.timeslice / NS_PER_MS;
  argument.ratelimit_us = ratelimit;
  argument.vcpu_migr_delay_us = scheduler.migrationDelay / NS_PER_US;
}
