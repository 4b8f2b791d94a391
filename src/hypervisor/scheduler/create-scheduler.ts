// A scheduler by its name.

import { CreditScheduler } from "./credit.js";
import { Credit2Scheduler } from "./credit2.js";
import type { Runnable } from "./sched-unit.js";
import type { Scheduler, SchedulerName } from "./scheduler.js";

export function createScheduler<T extends Runnable>(name: SchedulerName, cpus: number): Scheduler<T> {
  return name === "credit2" ? new Credit2Scheduler(cpus) : new CreditScheduler(cpus);
}
