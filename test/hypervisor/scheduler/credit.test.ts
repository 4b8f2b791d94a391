import { describe, expect, it } from "vitest";
import { CreditScheduler } from "../../../src/hypervisor/scheduler/credit.js";
import { Priority } from "../../../src/hypervisor/scheduler/sched-unit.js";
import { GRAIN, Machine, MS, share, type Task, waitOfSleeper } from "./machine.js";

const machineOf = (cpus: number) => new Machine(new CreditScheduler<Task>(cpus));

describe("who comes first", () => {
  it("one that wakes with credits left runs after the rate limit, not after the time slice", () => {
    const machine = machineOf(1);
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
      const machine = machineOf(1);
      machine.scheduler.ratelimit = ratelimit;
      const waited = waitOfSleeper(machine);
      expect(waited).toBeLessThanOrEqual(most);
      expect(waited).toBeGreaterThanOrEqual(ratelimit === 0 ? 0 : 4 * MS);
    }
  });

  it("equals take turns of a time slice", () => {
    const machine = machineOf(1);
    machine.domain(1);
    machine.domain(1);
    const order = machine.run(600 * MS);
    const switches = order.filter((unit, i) => i > 0 && unit !== order[i - 1]).length;
    expect(switches).toBeGreaterThanOrEqual(15);
    expect(switches).toBeLessThanOrEqual(60);
  });

  it("a shorter time slice makes more turns, and shares hold", () => {
    const machine = machineOf(1);
    machine.scheduler.timeslice = 5 * MS;
    const [a, b] = [machine.domain(1), machine.domain(1, { weight: 512 })];
    const order = machine.run(600 * MS);
    const switches = order.filter((unit, i) => i > 0 && unit !== order[i - 1]).length;
    expect(switches).toBeGreaterThanOrEqual(80);
    expect(share(b) / share(a)).toBeCloseTo(2, 0);
  });

  it("one that yields lets a vCPU of lower priority pass", () => {
    const machine = machineOf(1);
    const [spinner, holder] = machine.domain(2);
    spinner!.vcpu.yields = true;
    spinner!.credit = 300;
    holder!.credit = -300;
    holder!.priority = Priority.Over;
    const order = machine.run(10 * GRAIN);
    expect(order.filter((unit) => unit === holder).length).toBeGreaterThanOrEqual(5);
  });
});

it("one that ran just now stays where it is for the migration delay", () => {
  const ranWithin5ms = (delay: number) => {
    const machine = machineOf(2);
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
