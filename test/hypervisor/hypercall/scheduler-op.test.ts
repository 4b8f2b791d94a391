import { describe, expect, test } from "vitest";
import { getInfo, putInfo, schedulerId } from "../../../src/hypervisor/hypercall/scheduler-op.js";
import { errno } from "../../../src/hypervisor/public/errno.js";
import { CreditScheduler } from "../../../src/hypervisor/scheduler/credit.js";
import { Credit2Scheduler } from "../../../src/hypervisor/scheduler/credit2.js";

describe("Credit2: the union is its rate limit", () => {
  const scheduler = new Credit2Scheduler(1);
  const words = (first: number) => ({ tslice_ms: first, ratelimit_us: 77, vcpu_migr_delay_us: 88 });

  test("set and told", () => {
    expect(schedulerId(scheduler)).toBe(6);
    expect(putInfo(scheduler, words(500))).toBe(0);
    expect(scheduler.ratelimit).toBe(500_000);
    const answer = words(0);
    getInfo(scheduler, answer);
    expect(answer).toEqual(words(500));
  });

  test.each([99, 500_001, 0xffff_ffff])("%i us is refused, and nothing changes", (us) => {
    expect(putInfo(scheduler, words(us))).toBe(-errno.EINVAL);
    expect(scheduler.ratelimit).toBe(500_000);
  });

  test("0 is no limit", () => {
    expect(putInfo(scheduler, words(0))).toBe(0);
    expect(scheduler.ratelimit).toBe(0);
  });
});

test("Credit has all three", () => {
  const scheduler = new CreditScheduler(1);
  expect(schedulerId(scheduler)).toBe(5);
  expect(putInfo(scheduler, { tslice_ms: 5, ratelimit_us: 500, vcpu_migr_delay_us: 70 })).toBe(0);
  const answer = { tslice_ms: 0, ratelimit_us: 0, vcpu_migr_delay_us: 0 };
  getInfo(scheduler, answer);
  expect(answer).toEqual({ tslice_ms: 5, ratelimit_us: 500, vcpu_migr_delay_us: 70 });
});
