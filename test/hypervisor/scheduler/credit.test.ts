import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CreditScheduler } from "../../../src/hypervisor/scheduler/credit.js";
import { Priority, type SchedUnit } from "../../../src/hypervisor/scheduler/sched-unit.js";

const MS = 1_000_000;
/** What a turn takes, ns. */
const GRAIN = 50_000;

class Task {
  readonly id: number;
  isRunnable = true;
  /** Nanoseconds that it ran. */
  ran = 0;
  yields = false;
  constructor(id: number) {
    this.id = id;
  }
}
type Unit = SchedUnit<Task>;

/** CPUs that really run at once: each turn takes the same time on all. */
class Machine {
  readonly scheduler: CreditScheduler<Task>;
  now = 0;
  #yields: boolean[] = [];

  constructor(cpus: number) {
    this.scheduler = new CreditScheduler(cpus);
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

const share = (units: readonly Unit[]) => units.reduce((sum, { vcpu }) => sum + vcpu.ran, 0);

describe("shares of busy domains", () => {
  it("two with weights 256 and 512 get 1 : 2", () => {
    const machine = new Machine(1);
    const [a, b] = [machine.domain(1), machine.domain(1, { weight: 512 })];
    machine.run(3000 * MS);
    expect(share(b) / share(a)).toBeCloseTo(2, 1);
  });

  it("a domain's vCPUs count each, and extreme weights hold", () => {
    const machine = new Machine(2);
    const [a, b] = [machine.domain(4, { weight: 100 }), machine.domain(2, { weight: 1000 })];
    machine.run(6000 * MS);
    // b's two could use more than both CPUs' fair share of 1000*2 : 100*4.
    const part = share(b) / (share(a) + share(b));
    expect(part).toBeGreaterThan(0.79);
    expect(part).toBeLessThan(0.88);
  });

  it("a cap holds, whether others want the CPU or not", () => {
    const machine = new Machine(1);
    const alone = machine.domain(1, { cap: 50 });
    machine.run(3000 * MS);
    expect(share(alone) / (3000 * MS)).toBeCloseTo(0.5, 1);
    const other = machine.domain(1);
    const before = share(alone);
    machine.run(3000 * MS);
    expect((share(alone) - before) / (3000 * MS)).toBeLessThan(0.54);
    expect((share(alone) - before + share(other)) / (3000 * MS)).toBeCloseTo(1, 2);
  });

  it("a cap of two CPUs lets three busy vCPUs have two CPUs' worth", () => {
    const machine = new Machine(4);
    const units = machine.domain(3, { cap: 200 });
    machine.run(3000 * MS);
    expect(share(units) / (3000 * MS)).toBeGreaterThan(1.85);
    expect(share(units) / (3000 * MS)).toBeLessThan(2.15);
  });

  it("what an idle domain leaves goes to the others", () => {
    const machine = new Machine(1);
    const [busy, idle] = [machine.domain(1), machine.domain(1, { weight: 512 })];
    idle[0]!.vcpu.isRunnable = false;
    machine.run(1000 * MS);
    expect(share(busy)).toBe(1000 * MS);
  });
});

describe("who comes first", () => {
  it("one that wakes with credits left runs after the rate limit, not after the time slice", () => {
    const machine = new Machine(1);
    machine.domain(1);
    const [sleeper] = machine.domain(1);
    sleeper!.vcpu.isRunnable = false;
    machine.run(500 * MS);
    sleeper!.vcpu.isRunnable = true;
    machine.scheduler.wake(sleeper!);
    expect(sleeper!.priority).toBe(Priority.Boost);
    const order = machine.run(3 * MS);
    expect(order).toContain(sleeper);
    expect(order.indexOf(sleeper!) * GRAIN).toBeLessThanOrEqual(MS);
  });

  it("the rate limit keeps a vCPU that was just switched to, without it the boosted one comes at once", () => {
    for (const [ratelimit, most] of [
      [5 * MS, 5 * MS],
      [0, GRAIN],
    ] as const) {
      const machine = new Machine(1);
      machine.scheduler.ratelimit = ratelimit;
      machine.domain(1);
      const [sleeper] = machine.domain(1);
      sleeper!.vcpu.isRunnable = false;
      machine.run(GRAIN);
      sleeper!.vcpu.isRunnable = true;
      machine.scheduler.wake(sleeper!);
      const order = machine.run(20 * MS);
      const waited = order.indexOf(sleeper!) * GRAIN;
      expect(waited).toBeLessThanOrEqual(most);
      expect(waited).toBeGreaterThanOrEqual(ratelimit === 0 ? 0 : 4 * MS);
    }
  });

  it("equals take turns of a time slice", () => {
    const machine = new Machine(1);
    machine.domain(1);
    machine.domain(1);
    const order = machine.run(600 * MS);
    const switches = order.filter((unit, i) => i > 0 && unit !== order[i - 1]).length;
    expect(switches).toBeGreaterThanOrEqual(15);
    expect(switches).toBeLessThanOrEqual(60);
  });

  it("a shorter time slice makes more turns, and shares hold", () => {
    const machine = new Machine(1);
    machine.scheduler.timeslice = 5 * MS;
    const [a, b] = [machine.domain(1), machine.domain(1, { weight: 512 })];
    const order = machine.run(600 * MS);
    const switches = order.filter((unit, i) => i > 0 && unit !== order[i - 1]).length;
    expect(switches).toBeGreaterThanOrEqual(80);
    expect(share(b) / share(a)).toBeCloseTo(2, 0);
  });

  it("one that yields lets a vCPU of lower priority pass", () => {
    const machine = new Machine(1);
    const [spinner, holder] = machine.domain(2);
    spinner!.vcpu.yields = true;
    spinner!.credit = 300;
    holder!.credit = -300;
    holder!.priority = Priority.Over;
    const order = machine.run(10 * GRAIN);
    expect(order.filter((unit) => unit === holder).length).toBeGreaterThanOrEqual(5);
  });
});

describe("CPUs", () => {
  it("an idle one takes what waits elsewhere, unless it is pinned", () => {
    const machine = new Machine(2);
    const units = machine.domain(2);
    for (const unit of units) machine.scheduler.setAffinity(unit, 0b01, 0xffff_ffff);
    machine.run(100 * MS);
    expect(units.map(({ cpu }) => cpu)).toEqual([0, 0]);
    expect(share(units)).toBe(100 * MS);
    machine.scheduler.setAffinity(units[1]!, 0b11, 0b10);
    machine.run(100 * MS);
    expect(share(units)).toBe(300 * MS);
    expect(machine.scheduler.setAffinity(units[0]!, 0b100, 0b111)).toBe(false);
  });

  it("two pinned to one CPU share it, the third has its own", () => {
    const machine = new Machine(2);
    const [a, b, c] = machine.domain(3);
    for (const unit of [a!, b!]) machine.scheduler.setAffinity(unit, 0b01, 0xffff_ffff);
    machine.scheduler.setAffinity(c!, 0b10, 0xffff_ffff);
    machine.run(600 * MS);
    expect(c!.vcpu.ran).toBe(600 * MS);
    expect(a!.vcpu.ran / (600 * MS)).toBeCloseTo(0.5, 1);
  });

  it("one that ran just now stays where it is for the migration delay", () => {
    const ranWithin5ms = (delay: number) => {
      const machine = new Machine(2);
      machine.scheduler.migrationDelay = delay;
      const units = machine.domain(2);
      for (const unit of units) machine.scheduler.setAffinity(unit, 0b01, 0xffff_ffff);
      machine.run(100 * MS);
      for (const unit of units) machine.scheduler.setAffinity(unit, 0b11, 0xffff_ffff);
      machine.run(5 * MS);
      return share(units) - 100 * MS;
    };
    expect(ranWithin5ms(0)).toBe(10 * MS);
    expect(ranWithin5ms(100 * MS)).toBe(5 * MS);
  });

  it("a removed domain is nowhere any more", () => {
    const machine = new Machine(1);
    const [a] = machine.domain(1);
    const [b] = machine.domain(1);
    machine.run(5 * MS);
    for (const unit of [a!, b!]) machine.scheduler.removeDomain(unit.domain);
    expect(machine.run(5 * MS)).toEqual([]);
    expect(machine.scheduler.hasWork(0)).toBe(false);
  });
});

it("whatever sleeps, wakes, yields and is pinned: nobody runs who can't, no CPU idles while somebody may run there, none starves", () => {
  const step = fc.record({
    unit: fc.nat(7),
    what: fc.constantFrom("sleep", "wake", "yield", "pin"),
    mask: fc.integer({ min: 1, max: 7 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const machine = new Machine(3);
      const units = [...machine.domain(4), ...machine.domain(2, { weight: 700 }), ...machine.domain(2, { cap: 60 })];
      for (const { unit: index, what, mask } of steps) {
        const unit = units[index]!;
        if (what === "sleep") unit.vcpu.isRunnable = false;
        if (what === "yield") unit.vcpu.yields = !unit.vcpu.yields;
        if (what === "pin") machine.scheduler.setAffinity(unit, mask, 7);
        if (what === "wake") {
          unit.vcpu.isRunnable = true;
          machine.scheduler.wake(unit);
        }
        const before = units.map(({ vcpu }) => vcpu.ran);
        machine.run(GRAIN * 4);
        for (const [i, one] of units.entries()) if (!one.vcpu.isRunnable) expect(one.vcpu.ran).toBe(before[i]);
        const lost = units.filter((one) => one.vcpu.isRunnable && !one.isCurrent && !one.isParked && !one.isQueued);
        expect(lost).toEqual([]);
      }
      const uncapped = units.slice(0, 6);
      for (const { vcpu } of uncapped) vcpu.ran = 0;
      machine.run(2000 * MS);
      for (const one of uncapped) if (one.vcpu.isRunnable) expect(one.vcpu.ran).toBeGreaterThan(0);
    }),
    { numRuns: 15 },
  );
});
