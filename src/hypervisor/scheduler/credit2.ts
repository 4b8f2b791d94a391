// Xen's second credit scheduler: one queue for all CPUs, ordered by credit. Who runs burns credit, the faster the smaller its domain's
// weight; when the first in the queue has none left, all get the same amount once more. Who sleeps keeps what it has, so it
// comes first when it wakes. A cap is a budget of time that a domain gets anew every period; without it, it's parked.

import type { Runnable, SchedDomain, SchedUnit } from "./sched-unit.js";
import { Scheduler } from "./scheduler.js";

const US = 1000;
/** What all begin with, and get when credits are dealt out again, ns at the largest weight. */
const INITIAL_CREDIT = 10_500 * US;
/** What is kept of the old credit then, at most; and the least that a vCPU runs before an equal one does. */
const MIN_RUN = 500 * US;
/** How much more credit one from another CPU must have. */
const MIGRATION_RESISTANCE = 500 * US;
/** One that yields counts as if it had so much less. */
const YIELD_BIAS = 1000 * US;
/** Between two budgets of a domain with a cap. */
const BUDGET_PERIOD = 10_000 * US;

export class Credit2Scheduler<T extends Runnable> extends Scheduler<T> {
  readonly name = "credit2";
  /** By credit, most first. */
  #queue: SchedUnit<T>[] = [];
  readonly #current: (SchedUnit<T> | undefined)[];
  /** System time of the last call of `next`. */
  #now = 0;

  constructor(cpus: number) {
    super(cpus);
    this.#current = Array.from({ length: cpus }, () => undefined);
  }

  override addVcpu(domain: SchedDomain<T>, vcpu: T): SchedUnit<T> {
    const unit = super.addVcpu(domain, vcpu);
    unit.credit = INITIAL_CREDIT;
    return unit;
  }

  removeDomain(domain: SchedDomain<T>): void {
    this.domains.delete(domain);
    this.#queue = this.#queue.filter((unit) => unit.domain !== domain);
    for (const [cpu, current] of this.#current.entries())
      if (current?.domain === domain) this.#current[cpu] = undefined;
  }

  wake(unit: SchedUnit<T>): void {
    if (unit.isQueued || unit.isCurrent || unit.isParked || !unit.vcpu.isRunnable) return;
    unit.wokenAt = this.#now;
    if (this.#isSpent(unit.domain)) unit.isParked = true;
    else this.#enqueue(unit);
  }

  setAffinity(unit: SchedUnit<T>, hard: number, soft: number): boolean {
    if ((hard & this.allCpus) === 0) return false;
    unit.hardAffinity = hard;
    unit.softAffinity = soft;
    return true;
  }

  next(id: number, now: number, yields = false): SchedUnit<T> | undefined {
    this.#now = now;
    this.#replenish(now);
    const current = this.#current[id];
    if (current) {
      this.#burn(current, now);
      if (this.#isSpent(current.domain)) current.isParked = true;
    }
    const stays = current?.vcpu.isRunnable && !current.isParked && current.mayRunOn(id) ? current : undefined;
    if (stays && !yields && now - stays.since < this.ratelimit) return stays;
    const chosen = this.#candidate(id, stays, now, yields) ?? stays;
    if (chosen && chosen.credit <= 0) this.#reset(chosen.credit, now);
    if (chosen === current) return chosen;
    if (current) this.#leave(id, current, now);
    if (!chosen) return undefined;
    this.#dequeue(chosen);
    this.#current[id] = chosen;
    chosen.isCurrent = true;
    chosen.cpu = id;
    chosen.since = chosen.paidUntil = now;
    return chosen;
  }

  /** The first in the queue that may run on this CPU, if it comes before the one that runs there. */
  #candidate(id: number, stays: SchedUnit<T> | undefined, now: number, yields: boolean): SchedUnit<T> | undefined {
    const credit = stays ? stays.credit - (yields ? YIELD_BIAS : 0) : Number.NEGATIVE_INFINITY;
    for (let i = 0; i < this.#queue.length; ) {
      const unit = this.#queue[i]!;
      if (!this.#isFit(unit)) continue;
      i++;
      if (!unit.mayRunOn(id) || this.#hasBetterIdle(unit, id)) continue;
      if (unit.credit <= credit + (unit.cpu === id ? 0 : MIGRATION_RESISTANCE)) continue;
      const isNews = stays && unit.wokenAt >= stays.since;
      if (stays && !yields && !isNews && now - stays.since < MIN_RUN) return undefined;
      return unit;
    }
    return undefined;
  }

  /** Takes it from the queue when it can't run. */
  #isFit(unit: SchedUnit<T>): boolean {
    const isSpent = this.#isSpent(unit.domain);
    if (unit.vcpu.isRunnable && !isSpent) return true;
    this.#dequeue(unit);
    if (unit.vcpu.isRunnable) unit.isParked = true;
    return false;
  }

  /** A CPU that it prefers to this one has nothing to do, and will take it. */
  #hasBetterIdle(unit: SchedUnit<T>, id: number): boolean {
    return !unit.prefers(id) && this.#current.some((current, cpu) => !current?.vcpu.isRunnable && unit.prefers(cpu));
  }

  #leave(id: number, unit: SchedUnit<T>, now: number): void {
    this.#current[id] = undefined;
    unit.isCurrent = false;
    unit.leftAt = now;
    if (unit.vcpu.isRunnable && !unit.isParked) this.#enqueue(unit);
  }

  #enqueue(unit: SchedUnit<T>): void {
    const at = this.#queue.findIndex(({ credit }) => credit < unit.credit);
    this.#queue.splice(at < 0 ? this.#queue.length : at, 0, unit);
    unit.isQueued = true;
  }

  #dequeue(unit: SchedUnit<T>): void {
    const at = this.#queue.indexOf(unit);
    if (at >= 0) this.#queue.splice(at, 1);
    unit.isQueued = false;
  }

  #burn(unit: SchedUnit<T>, now: number): void {
    const { domain } = unit;
    const ran = now - unit.paidUntil;
    unit.paidUntil = now;
    let largest = domain.weight;
    for (const { weight } of this.domains) largest = Math.max(largest, weight);
    unit.credit -= (ran * largest) / domain.weight;
    if (domain.cap > 0) domain.budget -= ran;
  }

  /** Everybody gets credit again. @param least of who is to run */
  #reset(least: number, now: number): void {
    const times = least < -INITIAL_CREDIT ? 1 + Math.floor(-least / INITIAL_CREDIT) : 1;
    for (const running of this.#current) if (running) this.#burn(running, now);
    for (const { units } of this.domains)
      for (const unit of units) unit.credit = Math.min(unit.credit + times * INITIAL_CREDIT, INITIAL_CREDIT + MIN_RUN);
    this.#queue.sort((a, b) => b.credit - a.credit);
  }

  #isSpent({ cap, budget, replenishAt }: SchedDomain<T>): boolean {
    return cap > 0 && replenishAt !== undefined && budget <= 0;
  }

  /** Domains with a cap get their budgets; debts stay. */
  #replenish(now: number): void {
    for (const domain of this.domains) {
      if (domain.cap === 0) domain.replenishAt = undefined;
      else if (domain.replenishAt === undefined || now >= domain.replenishAt) this.#fill(domain, now);
      else continue;
      if (!this.#isSpent(domain)) this.#release(domain);
    }
  }

  #fill(domain: SchedDomain<T>, now: number): void {
    const full = (domain.cap / 100) * BUDGET_PERIOD;
    const { replenishAt = now } = domain;
    const periods = 1 + Math.floor((now - replenishAt) / BUDGET_PERIOD);
    domain.budget = domain.replenishAt === undefined ? full : Math.min(full, domain.budget + periods * full);
    domain.replenishAt = replenishAt + periods * BUDGET_PERIOD;
  }

  #release({ units }: SchedDomain<T>): void {
    for (const unit of units) {
      if (!unit.isParked) continue;
      unit.isParked = false;
      this.wake(unit);
    }
  }

  hasWork(id: number): boolean {
    return (
      this.#queue.some(({ vcpu }) => vcpu.isRunnable) ||
      this.#current.some((current, cpu) => cpu !== id && current?.vcpu.isRunnable)
    );
  }

  get deadline(): number | undefined {
    let first: number | undefined;
    for (const { units, cap, replenishAt = this.#now } of this.domains) {
      if (!units.some((unit) => unit.isParked)) continue;
      const at = cap === 0 ? this.#now : replenishAt;
      first = first === undefined ? at : Math.min(first, at);
    }
    return first;
  }
}
