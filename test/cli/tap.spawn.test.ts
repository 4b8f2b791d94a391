// TAP devices, in a network namespace that the test makes: nothing of the machine's own network is touched.
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { namespaceObstacle } from "../support/namespace.js";

test("the kernel's stack, bridge and routes on the other side of TAP devices", async ({ skip }) => {
  const reason = await namespaceObstacle();
  if (reason) skip(reason);
  const script = resolve(import.meta.dirname, "../support/tap-script.mjs");
  const { stdout, stderr, status } = spawnSync("unshare", ["-rn", process.execPath, "--expose-gc", script], {
    ...{ encoding: "utf8", timeout: 50_000 },
  });
  expect(status, stderr).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    ...{
      names: ["xents0", "xents1", "xents2", "xents3", "xents4", "xents5"],
      resolved: ["192.0.2.7"],
      bridged: true,
      routed: true,
    },
    ...{ routes: ["10.7.0.77 scope link src 10.7.0.1", "fd00:7::77 dev xents4"], proxies: "1" },
    neighbours: [true, true, true, true, true],
    datagram: "10.7.0.1.10.7.0.77",
    refused: [expect.stringMatching(/^tap: vif-route: ip .*nowhere/), 'tap: vif-route: ip: "bogus" is not an address'],
    ...{ busy: "tap xents0: xents0 is in use", left: false },
  });
});
