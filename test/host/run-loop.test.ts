import { afterEach, expect, test } from "vitest";
import { VirtualClock } from "../../src/host/clocks.js";
import { RunLoop } from "../../src/host/run-loop.js";
import { makeDomain, makeHost } from "../hypervisor/hypervisor-fixture.js";

let loop: RunLoop | undefined;
afterEach(() => loop?.stop());

test("a host that has slept for a while isn't busy any more: nothing that runs then is worth compiling", async () => {
  const { hypervisor } = makeHost();
  const loads: boolean[] = [];
  loop = new RunLoop({
    ...{ hypervisor, run: () => 0, afterTurn: () => {} },
    onLoad: (isBusy) => loads.push(isBusy),
    onError: (error) => expect.unreachable(String(error)),
  });
  loop.start();
  expect(loads).toEqual([true]);
  // It sleeps a second at most, having nothing to do.
  await expect.poll(() => loads.at(-1), { timeout: 20_000 }).toBe(false);
});

test("in virtual time each turn of a guest is followed by one of the event loop: scripts act at the same instruction each time", async () => {
  const host = makeHost();
  const { hypervisor } = host;
  makeDomain(host, false);
  let turns = 0;
  loop = new RunLoop({
    ...{ hypervisor, virtualClock: new VirtualClock(), afterTurn: () => {} },
    run: () => {
      turns++;
      return 1000;
    },
    onError: (error) => expect.unreachable(String(error)),
  });
  loop.start();
  const seen = [turns];
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    seen.push(turns);
  }
  expect(seen).toEqual([1, 2, 3, 4]);
});

test("who is woken runs when the event loop has brought what else there is: the rest of a socket's data", async () => {
  const host = makeHost();
  const { hypervisor } = host;
  const { vcpu } = makeDomain(host, false);
  vcpu.block();
  const done: string[] = [];
  loop = new RunLoop({
    ...{ hypervisor, afterTurn: () => {} },
    run: () => {
      done.push("guest");
      vcpu.block();
      return 1000;
    },
    onError: (error) => expect.unreachable(String(error)),
  });
  loop.start();
  // As callbacks of one poll for sockets: promises settle in between.
  vcpu.wake();
  for (let i = 0; i < 10; i++) await Promise.resolve();
  done.push("data");
  await expect.poll(() => done).toEqual(["data", "guest"]);
});

test("a turn that follows others of the same stretch gets what is left of it: four milliseconds in all, not for each", async () => {
  const host = makeHost();
  const { hypervisor } = host;
  makeDomain(host, false);
  let stretch = 0;
  let [first, last] = [0, 0];
  const later: { readonly longestMs: number; readonly left: number }[] = [];
  loop = new RunLoop({
    ...{ hypervisor, afterTurn: () => {} },
    onLoad: () => {
      stretch++;
      first = 0;
    },
    run: (_, __, longestMs) => {
      const start = performance.now();
      if (first === 0) first = start;
      else later.push({ longestMs, left: 4 - (last - first) });
      while (performance.now() - start < 1.5) {}
      last = performance.now();
      return 1000;
    },
    onError: (error) => expect.unreachable(String(error)),
  });
  loop.start();
  await expect.poll(() => Math.min(stretch, later.length), { timeout: 20_000 }).toBeGreaterThan(5);
  for (const { longestMs, left } of later) {
    expect(longestMs).toBeGreaterThanOrEqual(1);
    expect(longestMs).toBeLessThanOrEqual(Math.max(1, left));
  }
});
