// What holds whichever scheduler a host has.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createScheduler } from "../../../src/hypervisor/scheduler/create-scheduler.js";
import { SCHEDULERS } from "../../../src/hypervisor/scheduler/scheduler.js";
import { GRAIN, Machine, MS, share, type Task } from "./machine.js";

describe.each(SCHEDULERS)("%s", (name) => {
  const machineOf = (cpus: number) => new Machine(createScheduler<Task>(name, cpus));

  describe("shares of busy domains", () => {
    it("two with weights 256 and 512 get 1 : 2", () => {
      const machine = machineOf(1);
      const [a, b] = [machine.domain(1), machine.domain(1, { weight: 512 })];
      machine.run(3000 * MS);
      expect(share(b) / share(a)).toBeCloseTo(2, 1);
    });

    it("a domain's vCPUs count each, and extreme weights hold", () => {
      const machine = machineOf(2);
      const [a, b] = [machine.domain(4, { weight: 100 }), machine.domain(2, { weight: 1000 })];
      machine.run(6000 * MS);
      // b's two could use more than both CPUs' fair share of 1000*2 : 100*4.
      const part = share(b) / (share(a) + share(b));
      expect(part).toBeGreaterThan(0.79);
      expect(part).toBeLessThan(0.88);
    });

    it("a cap holds, whether others want the CPU or not", () => {
      const machine = machineOf(1);
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
      const machine = machineOf(4);
      const units = machine.domain(3, { cap: 200 });
      machine.run(3000 * MS);
      expect(share(units) / (3000 * MS)).toBeGreaterThan(1.85);
      expect(share(units) / (3000 * MS)).toBeLessThan(2.15);
    });

    it("what an idle domain leaves goes to the others", () => {
      const machine = machineOf(1);
      const [busy, idle] = [machine.domain(1), machine.domain(1, { weight: 512 })];
      idle[0]!.vcpu.isRunnable = false;
      machine.run(1000 * MS);
      expect(share(busy)).toBe(1000 * MS);
    });
  });

  describe("CPUs", () => {
    it("an idle one takes what waits elsewhere, unless it is pinned", () => {
      const machine = machineOf(2);
      const units = machine.domain(2);
      for (const unit of units) machine.scheduler.setAffinity(unit, 0b01, 0xffff_ffff);
      machine.run(100 * MS);
      expect(units.map(({ cpu }) => cpu)).toEqual([0, 0]);
      expect(share(units)).toBe(100 * MS);
      machine.scheduler.setAffinity(units[1]!, 0b11, 0b10);
      machine.run(100 * MS);
      expect(share(units)).toBeGreaterThanOrEqual(300 * MS - GRAIN);
      expect(machine.scheduler.setAffinity(units[0]!, 0b100, 0b111)).toBe(false);
    });

    it("two pinned to one CPU share it, the third has its own", () => {
      const machine = machineOf(2);
      const [a, b, c] = machine.domain(3);
      for (const unit of [a!, b!]) machine.scheduler.setAffinity(unit, 0b01, 0xffff_ffff);
      machine.scheduler.setAffinity(c!, 0b10, 0xffff_ffff);
      machine.run(600 * MS);
      expect(c!.vcpu.ran).toBe(600 * MS);
      expect(a!.vcpu.ran / (600 * MS)).toBeCloseTo(0.5, 1);
    });

    it("a removed domain is nowhere any more", () => {
      const machine = machineOf(1);
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
        const machine = machineOf(3);
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
});
