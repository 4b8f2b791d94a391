// Guests behind TAP devices, in a network namespace that the test makes: Xen's routed mode (vif-route), and a bridge of the kernel.
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { testImage } from "../support/image.js";
import { namespaceObstacle } from "../support/namespace.js";

test("guests routed by the machine as by vif-route, and bridged by it", async ({ skip }) => {
  const reason = await namespaceObstacle();
  if (reason) return skip(reason);
  const { kernel, initrd } = await testImage("bookworm");
  const script = resolve(import.meta.dirname, "../support/routed-guests.mjs");
  const child = spawn("unshare", ["-rn", process.execPath, script, kernel, initrd], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [output, errors] = ["", ""];
  child.stdout.on("data", (text) => (output += text));
  child.stderr.on("data", (text) => (errors += text));
  const status = await new Promise((done) => child.once("exit", done));
  expect(status, errors).toBe(0);
  expect(JSON.parse(output)).toEqual({
    ...{ places: ["routed77", "routed78"], routes: "10.9.0.77 scope link src 10.9.0.1" },
    six: ["2", "2", "2"],
    proxies: [
      "fd00:9::77 dev outer proxy",
      "fd00:9::77 dev routed78 proxy",
      "fd00:9::78 dev outer proxy",
      "fd00:9::78 dev routed77 proxy",
    ],
    ...{ machine: "2", other: "2", isProxied: true, bridged: "2", learned: true, left: false },
    refused: expect.stringMatching(/^tap: vif-route: ip .*nowhere/),
  });
});
