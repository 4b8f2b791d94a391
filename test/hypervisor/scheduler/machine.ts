// CPUs that really run at once, and tasks: what schedulers are tested with.

import type { SchedUnit } from "../../../src/hypervisor/scheduler/sched-unit.js";
import type { Scheduler } from "../../../src/hypervisor/scheduler/scheduler.js";

export const MS = 1_000_000;
/** What a turn takes, ns. */
export const GRAIN = 50_000;

export class Task {
  readonly id: number;
  isRunnable = true;
  /** Nanoseconds that it ran. */
  ran = 0;
  yields = false;
  constructor(id: number) {
    this.id = id;
  }
}
export type Unit = SchedUnit<Task>;

/** CPUs that really run at once: each turn takes the same time on all. */
export class Machine<S extends Scheduler<Task>> {
  readonly scheduler: S;
  now = 0;
  #yields: boolean[] = [];

  constructor(scheduler: S) {
    this.scheduler = scheduler;
  }

  domain(vcpus: number, { weight = 256, cap = 0 } = {}): Unit[] {
    const domain = this.scheduler.addDomain();
    Object.assign(domain, { weight, cap });
    return Array.from({ length: vcpus }, (_, id) => {
      const unit = this.scheduler.addVcpu(domain, new Task(id));
      this.scheduler.wake(unit);
      return unit;
    });
  }

  /** Who ran, turn by turn, on CPU 0. */
  run(ns: number, each: () => void = () => {}): Unit[] {
    const order: Unit[] = [];
    for (const end = this.now + ns; this.now < end; ) {
      const chosen: Unit[] = [];
      for (let cpu = 0; cpu < this.scheduler.cpus; cpu++) {
        const unit = this.scheduler.next(cpu, this.now, this.#yields[cpu]);
        if (unit) chosen.push(unit);
        if (cpu === 0 && unit) order.push(unit);
      }
      if (new Set(chosen).size < chosen.length) throw new Error("a vCPU runs on two CPUs");
      this.now += GRAIN;
      for (const unit of chosen) {
        unit.vcpu.ran += GRAIN;
        this.#yields[unit.cpu] = unit.vcpu.yields;
      }
      each();
    }
    return order;
  }
}

/** How long one waits, ns, that wakes a turn after a busy one of another domain was switched to; undefined: more than 20 ms. */
export function waitOfSleeper(machine: Machine<Scheduler<Task>>): number | undefined {
  machine.domain(1);
  const [sleeper] = machine.domain(1);
  sleeper!.vcpu.isRunnable = false;
  machine.run(GRAIN);
  sleeper!.vcpu.isRunnable = true;
  machine.scheduler.wake(sleeper!);
  const turn = machine.run(20 * MS).indexOf(sleeper!);
  return turn < 0 ? undefined : turn * GRAIN;
}

export const share = (units: readonly Unit[]) => units.reduce((sum, { vcpu }) => sum + vcpu.ran, 0);
