// Xen's credit scheduler: each physical CPU has a queue ordered by priority; who wakes with credits left goes first (boost); a CPU that
// has nobody left with credits looks for one in the other queues.

import { DOUBLE_ZERO } from "../../mmu/double.js";
import { type Account, DEFAULT_TIMESLICE, distribute, pay, TICKS_PER_TIMESLICE } from "./accounting.js";
import { Priority, type Runnable, type SchedDomain, type SchedUnit } from "./sched-unit.js";
import { Scheduler } from "./scheduler.js";

/** Distributions of credits that are made up for after a pause. */
const MAX_LATE = 8;

interface PhysicalCpu<T extends Runnable> {
  readonly id: number;
  queue: SchedUnit<T>[];
  current: SchedUnit<T> | undefined;
  nextTick: number;
}

export class CreditScheduler<T extends Runnable> extends Scheduler<T> {
  readonly name = "credit";
  /** A vCPU that ran so recently, ns, is left on its CPU, where its data is in the cache; 0: never. */
  migrationDelay = 0;
  readonly #cpus: PhysicalCpu<T>[];
  readonly #account: Account = { timeslice: DEFAULT_TIMESLICE, balance: 0 };
  #nextAccounting = DOUBLE_ZERO;

  constructor(cpus: number) {
    super(cpus);
    this.#cpus = Array.from({ length: cpus }, (_, id) => ({
      id,
      queue: [],
      current: undefined,
      nextTick: DOUBLE_ZERO,
    }));
  }

  /** Between two distributions of credits, and the longest a vCPU runs while another one waits, ns. */
  get timeslice(): number {
    return this.#account.timeslice;
  }
  set timeslice(ns: number) {
    this.#account.timeslice = ns;
    this.#nextAccounting = DOUBLE_ZERO;
  }

  removeDomain(domain: SchedDomain<T>): void {
    this.domains.delete(domain);
    for (const cpu of this.#cpus) {
      cpu.queue = cpu.queue.filter((unit) => unit.domain !== domain);
      if (cpu.current?.domain === domain) cpu.current = undefined;
    }
  }

  wake(unit: SchedUnit<T>): void {
    if (unit.isQueued || unit.isCurrent || unit.isParked || !unit.vcpu.isRunnable) return;
    if (unit.priority === Priority.Under) unit.priority = Priority.Boost;
    this.#enqueue(this.#cpuFor(unit), unit);
  }

  setAffinity(unit: SchedUnit<T>, hard: number, soft: number): boolean {
    if ((hard & this.allCpus) === 0) return false;
    unit.hardAffinity = hard;
    unit.softAffinity = soft;
    if (unit.isQueued && !unit.mayRunOn(unit.cpu)) {
      const { queue } = this.#cpus[unit.cpu]!;
      queue.splice(queue.indexOf(unit), 1);
      this.#enqueue(this.#cpuFor(unit), unit);
    }
    return true;
  }

  /** The CPU on which it waits least: an idle one that it prefers, one where it may run, its last one. */
  #cpuFor(unit: SchedUnit<T>): PhysicalCpu<T> {
    const last = this.#cpus[unit.cpu]!;
    const isIdle = (cpu: PhysicalCpu<T>) => cpu.current === undefined && cpu.queue.length === 0;
    const order = [last, ...this.#cpus.filter((cpu) => cpu !== last)].filter((cpu) => unit.mayRunOn(cpu.id));
    const preferred = order.filter((cpu) => unit.prefers(cpu.id));
    return preferred.find(isIdle) ?? order.find(isIdle) ?? preferred[0] ?? order[0]!;
  }

  /** @param yields lets one of lower priority pass too */
  #enqueue(cpu: PhysicalCpu<T>, unit: SchedUnit<T>, yields = false): void {
    const { queue } = cpu;
    let at = queue.findIndex(({ priority }) => priority < unit.priority);
    if (at < 0) at = queue.length;
    else if (yields) at++;
    queue.splice(at, 0, unit);
    unit.cpu = cpu.id;
    unit.isQueued = true;
  }

  next(id: number, now: number, yields = false): SchedUnit<T> | undefined {
    if (now >= this.#nextAccounting) this.#distribute(now);
    const cpu = this.#cpus[id]!;
    const { current } = cpu;
    if (current) {
      pay(current, now);
      if (now >= cpu.nextTick) this.#tick(cpu, current, now);
      if (this.#keeps(cpu, current, now, yields)) return current;
      this.#leave(cpu, current, now, yields);
    }
    const chosen = this.#choose(cpu, now);
    if (!chosen) return undefined;
    cpu.current = chosen;
    chosen.isCurrent = true;
    chosen.cpu = id;
    chosen.since = chosen.paidUntil = now;
    return chosen;
  }

  #keeps(cpu: PhysicalCpu<T>, current: SchedUnit<T>, now: number, yields: boolean): boolean {
    if (yields || current.isParked || !current.vcpu.isRunnable || !current.mayRunOn(cpu.id)) return false;
    const ran = now - current.since;
    if (ran < this.ratelimit) return true;
    const first = this.#first(cpu);
    return first === undefined || (ran < this.timeslice && first.priority <= current.priority);
  }

  #leave(cpu: PhysicalCpu<T>, current: SchedUnit<T>, now: number, yields: boolean): void {
    cpu.current = undefined;
    current.leftAt = now;
    current.isCurrent = false;
    if (current.isParked || !current.vcpu.isRunnable) return;
    this.#enqueue(current.mayRunOn(cpu.id) ? cpu : this.#cpuFor(current), current, yields);
  }

  /** The first in the queue, without those that can't run any more. */
  #first({ queue }: PhysicalCpu<T>): SchedUnit<T> | undefined {
    for (;;) {
      const first = queue[0];
      if (first === undefined || (first.vcpu.isRunnable && !first.isParked)) return first;
      queue.shift();
      first.isQueued = false;
    }
  }

  #choose(cpu: PhysicalCpu<T>, now: number): SchedUnit<T> | undefined {
    const own = this.#first(cpu);
    const chosen = own && own.priority > Priority.Over ? own : (this.#steal(cpu, own, now) ?? own);
    if (!chosen) return undefined;
    const { queue } = this.#cpus[chosen.cpu]!;
    queue.splice(queue.indexOf(chosen), 1);
    chosen.isQueued = false;
    return chosen;
  }

  /** One that waits elsewhere and comes before `own`; better one that prefers this CPU. */
  #steal(cpu: PhysicalCpu<T>, own: SchedUnit<T> | undefined, now: number): SchedUnit<T> | undefined {
    let found: SchedUnit<T> | undefined;
    for (const other of this.#cpus) {
      if (other === cpu || !this.#first(other)) continue;
      for (const unit of other.queue) {
        if (own && unit.priority <= own.priority) break;
        if (!unit.mayRunOn(cpu.id) || !unit.vcpu.isRunnable || unit.isParked) continue;
        if (now - unit.leftAt < this.migrationDelay) continue;
        if (unit.prefers(cpu.id)) return unit;
        found ??= unit;
      }
    }
    return found;
  }

  #tick(cpu: PhysicalCpu<T>, current: SchedUnit<T>, now: number): void {
    cpu.nextTick = now + this.timeslice / TICKS_PER_TIMESLICE;
    if (current.priority === Priority.Boost) current.priority = Priority.Under;
    current.isActive = true;
  }

  #distribute(now: number): void {
    const late = Math.min(MAX_LATE, 1 + Math.floor((now - this.#nextAccounting) / this.timeslice));
    for (let i = 0; i < late; i++)
      for (const unit of distribute(this.domains, this.cpus, this.#account)) this.wake(unit);
    this.#nextAccounting = now + this.timeslice;
    for (const { queue } of this.#cpus) queue.sort((a, b) => b.priority - a.priority);
  }

  hasWork(id: number): boolean {
    return this.#cpus.some((cpu) => this.#first(cpu) || (cpu.id !== id && cpu.current?.vcpu.isRunnable));
  }

  get deadline(): number | undefined {
    for (const { units } of this.domains) if (units.some((unit) => unit.isParked)) return this.#nextAccounting;
    return undefined;
  }
}
