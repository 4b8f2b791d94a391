// TAP devices, in a network namespace that the test makes: nothing of the machine's own network is touched.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";

/** Why it can't be tested here; undefined: it can. */
async function obstacle(): Promise<string | undefined> {
  if (process.platform !== "linux") return "TAP devices are Linux's";
  if (!existsSync("/dev/net/tun")) return "there is no /dev/net/tun";
  if (spawnSync("ip", ["-V"]).status !== 0) return "the command ip is missing";
  const probe = "ip tuntap add dev probe0 mode tap && ip link add probe1 type bridge";
  const { status, stderr } = spawnSync("unshare", ["-rn", "sh", "-c", probe], { encoding: "utf8" });
  if (status !== 0) return `a network namespace with devices isn't permitted: ${stderr?.trim()}`;
  return import("koffi").then(
    () => undefined,
    () => "the optional package koffi isn't installed",
  );
}

test("the kernel's stack, bridge and routes on the other side of TAP devices", async ({ skip }) => {
  const reason = await obstacle();
  if (reason) skip(reason);
  const script = resolve(import.meta.dirname, "../support/tap-script.mjs");
  const { stdout, stderr, status } = spawnSync("unshare", ["-rn", process.execPath, script], {
    ...{ encoding: "utf8", timeout: 50_000 },
  });
  expect(status, stderr).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    ...{ names: ["xents0", "xents1", "xents2", "xents3"], resolved: ["192.0.2.7"], bridged: true, routed: true },
    ...{ busy: "tap xents0: xents0 is in use", left: false },
  });
});
