// What schedulers know of a vCPU and of its domain. Plain state: credit.ts or credit2.ts moves it, accounting.ts counts credit.ts's.

import { DOUBLE_ZERO } from "../../mmu/double.js";

/** Higher runs first. Boost: just woken, with credits left; Over: has used up its share. */
export const Priority = { Over: -2, Under: -1, Boost: 0 } as const;
export type Priority = (typeof Priority)[keyof typeof Priority];

/** Physical CPUs that a host may have: sets of them are 32-bit masks. */
export const MAX_CPUS = 32;
/** Affinity to all CPUs, as many as there are. */
export const ALL_CPUS = 0xffff_ffff;

export const DEFAULT_WEIGHT = 256;
export const MAX_WEIGHT = 65_535;

/** Who is scheduled: a vCPU. */
export interface Runnable {
  readonly id: number;
  /** Up, not blocked, and its domain runs. */
  readonly isRunnable: boolean;
}

export class SchedDomain<T extends Runnable> {
  /** Share in competition with other domains, 1 to 65535. */
  weight = DEFAULT_WEIGHT;
  /** Most it gets, per cent of one CPU; 0: no limit. */
  cap = 0;
  /** Credit2: time left under the cap, ns, and when there is more; undefined: without a cap. */
  budget = 0;
  replenishAt: number | undefined;
  readonly units: SchedUnit<T>[] = [];
}

export class SchedUnit<T extends Runnable> {
  readonly vcpu: T;
  readonly domain: SchedDomain<T>;
  /** Credit: 10 for a millisecond. Credit2: nanoseconds at the largest weight. */
  credit = 0;
  priority: Priority = Priority.Under;
  /** Where it runs, waits or ran last. */
  cpu = 0;
  /** Masks of CPUs: where it may run, and where it should. */
  hardAffinity = ALL_CPUS;
  softAffinity = ALL_CPUS;
  isQueued = false;
  /** It is some CPU's current one. */
  isCurrent = false;
  /** Earns credits. */
  isActive = false;
  /** Over its domain's cap: waits until it has earned enough. */
  isParked = false;
  /** System time, ns: since when it is current; until when that has been paid for. */
  since = DOUBLE_ZERO;
  paidUntil = DOUBLE_ZERO;
  /** Credit2: when it became runnable last. */
  wokenAt = Number.NEGATIVE_INFINITY;
  /** When it was current last. */
  leftAt = Number.NEGATIVE_INFINITY;

  constructor(vcpu: T, domain: SchedDomain<T>) {
    this.vcpu = vcpu;
    this.domain = domain;
  }

  mayRunOn(cpu: number): boolean {
    return (this.hardAffinity & (1 << cpu)) !== 0;
  }

  prefers(cpu: number): boolean {
    return (this.hardAffinity & this.softAffinity & (1 << cpu)) !== 0;
  }
}
