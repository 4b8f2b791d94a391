// Whether TAP devices can be tested here, in network namespaces that tests make: nothing of the machine's own network is touched.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** Why they can't; undefined: they can. */
export async function namespaceObstacle(): Promise<string | undefined> {
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
