// What all schedulers have in common: CPUs, domains, and who is asked what. Times are system time in nanoseconds, given by the caller.
// One host thread runs all CPUs in turns (host/run-loop.ts), so each of n busy CPUs has 1/n of the thread's speed.
// Invariant: a unit is in one queue at most, and not in one while it is current.

import { type Runnable, SchedDomain, SchedUnit } from "./sched-unit.js";

/** Names as Xen's boot parameter `sched` and xl have them. */
export const SCHEDULERS = ["credit", "credit2"] as const;
export type SchedulerName = (typeof SCHEDULERS)[number];

const DEFAULT_RATELIMIT = 1_000_000;

export abstract class Scheduler<T extends Runnable> {
  abstract readonly name: SchedulerName;
  /** How long a vCPU runs at least before another one takes its place, ns; 0: no such limit. */
  ratelimit = DEFAULT_RATELIMIT;
  readonly cpus: number;
  protected readonly domains = new Set<SchedDomain<T>>();

  constructor(cpus: number) {
    this.cpus = cpus;
  }

  /** The mask of all CPUs. */
  get allCpus(): number {
    return this.cpus === 32 ? -1 : (1 << this.cpus) - 1;
  }

  addDomain(): SchedDomain<T> {
    const domain = new SchedDomain<T>();
    this.domains.add(domain);
    return domain;
  }

  addVcpu(domain: SchedDomain<T>, vcpu: T): SchedUnit<T> {
    const unit = new SchedUnit(vcpu, domain);
    unit.cpu = vcpu.id % this.cpus;
    domain.units.push(unit);
    return unit;
  }

  abstract removeDomain(domain: SchedDomain<T>): void;

  /** It became runnable. */
  abstract wake(unit: SchedUnit<T>): void;

  /** @returns false when that leaves no CPU to run on. */
  abstract setAffinity(unit: SchedUnit<T>, hard: number, soft: number): boolean;

  /**
   * Who runs on a CPU from now on, until this is asked again; undefined: nobody can.
   * @param yields the current one gave way (SCHEDOP_yield, a spinning lock)
   */
  abstract next(id: number, now: number, yields?: boolean): SchedUnit<T> | undefined;

  /** Whether anybody but a CPU's current one wants to run. */
  abstract hasWork(id: number): boolean;

  /** When a unit that is over its cap may run again, or undefined. */
  abstract get deadline(): number | undefined;
}
