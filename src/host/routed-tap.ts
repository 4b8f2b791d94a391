// What Xen's script vif-route does to an interface, done to a TAP device: it has the machine's own address, each address of the guest is
// routed to it, and the machine answers ARP for whom it leads to. All of it goes with the device. Needs root and iproute2.

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { TapError } from "./tap.js";
import type { TapRoute } from "./vif-config.js";

function ip(...words: string[]): Promise<string> {
  return new Promise((resolve, reject) =>
    execFile("ip", words, (cause, stdout, stderr) => {
      if (!cause) return resolve(stdout);
      const what = `ip ${words.join(" ")}: ${stderr.trim() || cause.message}`;
      const message = cause.code === "ENOENT" ? "needs the command ip (iproute2)" : what;
      reject(new TapError(`vif-route: ${message}`, { cause }));
    }),
  );
}

interface Entry {
  readonly dev?: string;
  readonly addr_info?: readonly { readonly family: string; readonly local: string; readonly scope: string }[];
}

const read = async (...words: string[]): Promise<readonly Entry[]> => JSON.parse((await ip("-j", ...words)) || "[]");

/** The machine's address on a device, by default the one that the default route leads through. */
async function machineAddress(device: string | undefined): Promise<string> {
  const through = device ?? (await read("-4", "route", "show", "default"))[0]?.dev;
  if (through === undefined)
    throw new TapError("vif-route: the machine has no default route: gatewaydev= names whose address it gives");
  const entries = await read("-4", "addr", "show", "dev", through);
  const found = entries.flatMap(({ addr_info = [] }) => addr_info).find(({ family }) => family === "inet");
  if (!found) throw new TapError(`vif-route: ${through} has no IPv4 address`);
  return found.local;
}

/** @param device a TAP device that is there. @throws TapError */
export async function routeTap(device: string, { addresses, gatewayDevice }: TapRoute): Promise<void> {
  for (const address of addresses)
    if (isIP(address) === 0) throw new TapError(`vif-route: ip: "${address}" is not an address`);
  if (addresses.length === 0) throw new TapError("vif-route: ip= is missing: no address to route to the guest");
  const own = await machineAddress(gatewayDevice);
  await ip("addr", "add", `${own}/32`, "dev", device);
  await ip("link", "set", device, "up");
  await writeFile(`/proc/sys/net/ipv4/conf/${device}/proxy_arp`, "1").catch((cause: Error) => {
    throw new TapError(`vif-route: ${cause.message}`, { cause });
  });
  for (const address of addresses)
    if (isIP(address) === 4) await ip("route", "add", address, "dev", device, "src", own);
    else await ip("-6", "route", "add", address, "dev", device);
}
