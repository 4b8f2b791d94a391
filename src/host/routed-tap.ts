// What Xen's script vif-route does to an interface, done to a TAP device: it has the machine's own addresses, each address of the guest is
// routed to it, and the machine answers ARP for whom it leads to. For IPv6 it answers neighbour solicitations (RFC 4861 7.2.8) on the
// device towards the world and on those of other guests, address by address, since Linux has no rule for all. What isn't the device's
// own goes when it is closed. Needs root and iproute2.

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
  readonly dst?: string;
  readonly addr_info?: readonly { readonly family: string; readonly local: string; readonly scope: string }[];
}

type Family = "-4" | "-6";

const read = async (...words: string[]): Promise<readonly Entry[]> => JSON.parse((await ip("-j", ...words)) || "[]");

/** The device towards the world: by default the one that the default route leads through. */
async function outerDevice(family: Family, given: string | undefined): Promise<string> {
  const through = given ?? (await read(family, "route", "show", "default"))[0]?.dev;
  if (through === undefined)
    throw new TapError("vif-route: the machine has no default route: gatewaydev= names whose address it gives");
  return through;
}

/** The machine's address on a device, not one of the link alone. */
async function machineAddress(family: Family, device: string): Promise<string | undefined> {
  const entries = await read(family, "addr", "show", "dev", device);
  const wanted = family === "-4" ? "inet" : "inet6";
  return entries
    .flatMap(({ addr_info = [] }) => addr_info)
    .find((each) => each.family === wanted && each.scope !== "link")?.local;
}

const set = (path: string) =>
  writeFile(`/proc/sys/net/${path}`, "1").catch((cause: Error) => {
    throw new TapError(`vif-route: ${cause.message}`, { cause });
  });

async function route4(device: string, addresses: readonly string[], gatewayDevice: string | undefined): Promise<void> {
  const outer = await outerDevice("-4", gatewayDevice);
  const own = await machineAddress("-4", outer);
  if (own === undefined) throw new TapError(`vif-route: ${outer} has no IPv4 address`);
  await ip("addr", "add", `${own}/32`, "dev", device);
  await set(`ipv4/conf/${device}/proxy_arp`);
  for (const address of addresses) await ip("route", "add", address, "dev", device, "src", own);
}

/** An entry for an address whose neighbour the machine is on a device. */
const proxy = (action: "replace" | "del", address: string, device: string) =>
  ip("-6", "neigh", action, "proxy", address, "dev", device);

async function route6(
  device: string,
  addresses: readonly string[],
  gatewayDevice: string | undefined,
): Promise<() => Promise<void>> {
  const outer = await outerDevice("-6", gatewayDevice);
  const own = await machineAddress("-6", outer);
  if (own !== undefined) await ip("-6", "addr", "add", `${own}/128`, "dev", device, "nodad");
  for (const name of [device, outer]) await set(`ipv6/conf/${name}/proxy_ndp`);
  // Who is proxied towards the world is another guest: its device, and this one, get to know each other's addresses.
  const others = (await read("-6", "neigh", "show", "proxy", "dev", outer)).flatMap(({ dst }) => dst ?? []);
  const places = new Set([outer]);
  for (const other of others.filter((each) => !addresses.includes(each))) {
    const [route] = await read("-6", "route", "show", other);
    if (!route?.dev || route.dev === device) continue;
    await proxy("replace", other, device);
    places.add(route.dev);
  }
  for (const address of addresses) {
    await ip("-6", "route", "add", address, "dev", device);
    for (const place of places) await proxy("replace", address, place);
  }
  return async () => {
    // Guests that came later have entries for these addresses too. Meanwhile their devices, or all of the namespace, may go.
    const entries = await read("-6", "neigh", "show", "proxy").catch(() => []);
    const own = entries.filter(({ dst, dev }) => dev !== undefined && addresses.includes(dst!));
    await Promise.allSettled(own.map(({ dst, dev }) => proxy("del", dst!, dev!)));
  };
}

/**
 * @param device a TAP device that is there
 * @returns what takes back what doesn't go with the device
 * @throws TapError
 */
export async function routeTap(device: string, { addresses, gatewayDevice }: TapRoute): Promise<() => Promise<void>> {
  for (const address of addresses)
    if (isIP(address) === 0) throw new TapError(`vif-route: ip: "${address}" is not an address`);
  if (addresses.length === 0) throw new TapError("vif-route: ip= is missing: no address to route to the guest");
  const [v4, v6] = [4, 6].map((version) => addresses.filter((address) => isIP(address) === version));
  await ip("link", "set", device, "up");
  if (v4!.length > 0) await route4(device, v4!, gatewayDevice);
  return v6!.length > 0 ? await route6(device, v6!, gatewayDevice) : () => Promise.resolve();
}
