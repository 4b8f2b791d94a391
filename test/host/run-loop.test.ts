import { afterEach, expect, test } from "vitest";
import { RunLoop } from "../../src/host/run-loop.js";
import { makeHost } from "../hypervisor/hypervisor-fixture.js";

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
