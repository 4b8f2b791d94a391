import { describe, expect, it } from "vitest";
import { Credit2Scheduler } from "../../../src/hypervisor/scheduler/credit2.js";
import { GRAIN, Machine, MS, share, type Task, waitOfSleeper } from "./machine.js";

const machineOf = (cpus: number) => new Machine(new Credit2Scheduler<Task>(cpus));

describe("who comes first", () => {
  it.each([
    ["after the rate limit", 5 * MS],
    ["at once without one", 0],
  ])("one that slept kept its credit and runs %s", (_what, ratelimit) => {
    const machine = machineOf(1);
    machine.scheduler.ratelimit = ratelimit;
    expect(waitOfSleeper(machine)).toBe(Math.max(0, ratelimit - GRAIN));
  });

  it("a sleeper can't save up: after a long sleep it runs no longer in a row than the credits of one round", () => {
    const machine = machineOf(1);
    machine.domain(1);
    const [sleeper] = machine.domain(1);
    sleeper!.vcpu.isRunnable = false;
    machine.run(5000 * MS);
    sleeper!.vcpu.isRunnable = true;
    machine.scheduler.wake(sleeper!);
    const order = machine.run(100 * MS);
    const first = order.indexOf(sleeper!);
    const row = order.slice(first).findIndex((unit) => unit !== sleeper);
    expect(row * GRAIN).toBeLessThanOrEqual(12 * MS);
  });

  it("equals take turns, and with a longer rate limit longer ones", () => {
    const switches = (ratelimit: number) => {
      const machine = machineOf(1);
      machine.scheduler.ratelimit = ratelimit;
      machine.domain(1);
      machine.domain(1);
      const order = machine.run(600 * MS);
      return order.filter((unit, i) => i > 0 && unit !== order[i - 1]).length;
    };
    expect(switches(1 * MS)).toBeGreaterThan(100);
    expect(switches(0)).toBeLessThanOrEqual(1200);
    expect(switches(20 * MS)).toBeLessThanOrEqual(30);
  });

  it("one that yields lets another pass that has a little less credit", () => {
    const machine = machineOf(1);
    const [spinner, holder] = machine.domain(2);
    spinner!.vcpu.yields = true;
    machine.run(GRAIN);
    const first = machine.run(GRAIN)[0];
    expect(first).toBe(holder);
    expect(share([spinner!])).toBe(GRAIN);
  });
});

describe("caps", () => {
  it("a domain over its cap is parked until its next budget, and its debt is paid", () => {
    const machine = machineOf(1);
    const [unit] = machine.domain(1, { cap: 20 });
    machine.run(9 * MS);
    expect(unit!.isParked).toBe(true);
    expect(unit!.vcpu.ran).toBe(2 * MS);
    expect(machine.scheduler.deadline).toBe(10 * MS);
    machine.run(9 * MS);
    expect(unit!.vcpu.ran).toBe(4 * MS);
  });

  it("a cap that is lifted frees who was parked", () => {
    const machine = machineOf(1);
    const [unit] = machine.domain(1, { cap: 1 });
    machine.run(5 * MS);
    expect(unit!.isParked).toBe(true);
    unit!.domain.cap = 0;
    const before = unit!.vcpu.ran;
    machine.run(5 * MS);
    expect(unit!.vcpu.ran - before).toBe(5 * MS);
  });

  it("vCPUs of one domain share the budget", () => {
    const machine = machineOf(4);
    const units = machine.domain(4, { cap: 100 });
    machine.run(1000 * MS);
    expect(share(units) / (1000 * MS)).toBeCloseTo(1, 1);
  });
});

it("a CPU leaves who prefers an idle one to that one", () => {
  const machine = machineOf(2);
  const [unit] = machine.domain(1);
  machine.scheduler.setAffinity(unit!, 0b11, 0b10);
  machine.run(10 * MS);
  expect(unit!.cpu).toBe(1);
});
