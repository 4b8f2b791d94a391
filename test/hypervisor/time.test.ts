import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RUNSTATE_blocked, RUNSTATE_running } from "../../src/hypervisor/public/vcpu.js";
import { shared_info, vcpu_time_info, wcSecHiOffset } from "../../src/hypervisor/public/xen.js";
import { Runstate } from "../../src/hypervisor/runstate.js";
import { pvclockScale, SystemTime } from "../../src/hypervisor/time.js";
import { VcpuTimers } from "../../src/hypervisor/vcpu-timers.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";

const WALL = 1_795_225_372_935_000_000n;

function makeTime(tscKhz: number) {
  let ns = 5_000n;
  const clock = { monotonic: () => ns, wall: () => WALL };
  const time = new SystemTime(clock, tscKhz);
  return { time, advance: (by: bigint) => (ns += by) };
}

/** What a guest computes (xen.h, vcpu_time_info). */
function guestTime(
  info: { tsc_timestamp: bigint; system_time: bigint; tsc_to_system_mul: number; tsc_shift: number },
  tsc: bigint,
): bigint {
  let delta = tsc - info.tsc_timestamp;
  delta = info.tsc_shift < 0 ? delta >> BigInt(-info.tsc_shift) : delta << BigInt(info.tsc_shift);
  return info.system_time + ((delta * BigInt(info.tsc_to_system_mul)) >> 32n);
}

describe("pvclock", () => {
  test("2.6 GHz scales by one shift right", () => {
    expect(pvclockScale(2_600_000)).toEqual({ mul: Number((1_000_000_000n << 32n) / 1_300_000_000n), shift: -1 });
  });

  test("what the guest computes from the TSC is system time, to a microsecond in a minute", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 100_000, max: 10_000_000 }),
        fc.bigInt({ min: 0n, max: 60_000_000_000n }),
        (khz, ns) => {
          const { time, advance } = makeTime(khz);
          advance(123_456_789n);
          const memory = new MachineMemory({ frames: 2, engineBytes: 65536 });
          time.writeVcpuTime(memory, 64);
          const info = vcpu_time_info.decode(memory.bytes(64, 32), 64);
          expect(info.version).toBe(2);
          advance(ns);
          const error = Number(guestTime(info, time.tsc()) - time.now());
          expect(Math.abs(error)).toBeLessThan(1000);
        },
      ),
    );
  });

  test("the wall clock is given as of system time 0, and can be set", () => {
    const { time, advance } = makeTime(1_000_000);
    const memory = new MachineMemory({ frames: 4, engineBytes: 65536 });
    time.writeWallclock(memory, 0, 64);
    const read = () =>
      BigInt(memory.readU32(shared_info.offset(64, "wc_sec"))) * 1_000_000_000n +
      (BigInt(memory.readU32(wcSecHiOffset(64))) << 32n) +
      BigInt(memory.readU32(shared_info.offset(64, "wc_nsec")));
    expect(read()).toBe(WALL);
    advance(3_000_000_000n);
    expect(time.wall()).toBe(WALL + 3_000_000_000n);
    time.setWall(1000n, 5, 2_000_000_000n);
    time.writeWallclock(memory, 0, 64);
    expect([read(), time.wall(), memory.readU32(shared_info.offset(64, "wc_version"))]).toEqual([
      998_000_000_005n,
      1001_000_000_005n,
      4,
    ]);
  });
});

describe("timers", () => {
  test("the earliest of single-shot, periodic and poll", () => {
    const timers = new VcpuTimers();
    expect(timers.next()).toBeUndefined();
    timers.setPeriodic(10_000_000n, 0n);
    timers.singleshot = 4_000_000n;
    timers.pollTimeout = 7_000_000n;
    expect(timers.next()).toBe(4_000_000n);
    expect(timers.expire(4_000_000n)).toEqual({ tick: true, pollOver: false });
    expect(timers.next()).toBe(7_000_000n);
    expect(timers.expire(8_000_000n)).toEqual({ tick: false, pollOver: true });
    expect(timers.next()).toBe(10_000_000n);
  });

  test("periods missed make one tick, in step with the period", () => {
    const timers = new VcpuTimers();
    timers.setPeriodic(10n, 0n);
    expect(timers.expire(35n).tick).toBe(true);
    expect(timers.next()).toBe(40n);
  });
});

test("runstate adds up the time spent in each state", () => {
  const runstate = new Runstate(100n);
  runstate.change(RUNSTATE_running, 110n);
  runstate.change(RUNSTATE_blocked, 150n);
  runstate.change(RUNSTATE_running, 160n);
  expect(runstate.cpuTime(165n)).toBe(45n);
  expect([...runstate.times]).toEqual([40n, 0n, 10n, 10n]);
});
