// From an interface's configuration to what it can be plugged into: checks everything that a user can get wrong, opens sockets
// and devices of the machine.

import type { PacketPort } from "../devices/network/packet-port.js";
import { pairPorts } from "../devices/network/packet-port.js";
import type { UserNet } from "../devices/network/user-net/user-net.js";
import type { Rate } from "../devices/xen/netback/rate-limit.js";
import { XenError } from "./errors.js";
import { parseMac, randomMac } from "./mac-address.js";
import { createUserNet, DEFAULT_NETWORK, type Network, type NetworkServices } from "./network.js";
import { openPort } from "./open-port.js";
import type { VifConfig } from "./vif-config.js";
import { parseRate } from "./vif-rate.js";
import { parseVif } from "./vif-syntax.js";

/** What interfaces need of their host. */
export interface VifServices extends NetworkServices {
  network(name: string): Network;
}

/** What an interface is plugged into. */
interface Place {
  /** For lists: the bridge's name, or "nat", "tap0", "stream:unix:PATH". */
  readonly place: string;
  /** The gateway that leads from there, when there is one. */
  readonly nat: UserNet | undefined;
  /** Once. */
  plug(name: string): PacketPort;
  /** Closes what wasn't plugged in. */
  discard(): void;
}

/** An interface that is ready for its guest. */
export interface OpenedVif extends Place {
  readonly config: VifConfig;
  readonly mac: Uint8Array;
  readonly rate: (Rate & { readonly intervalUs: number }) | undefined;
  /** Ports of the machine that lead to it, in the order of `hostfwd`. */
  readonly forwardPorts: readonly number[];
  /** Ends its port forwards. */
  endForwards(): void;
}

/** @throws XenError: bad-argument, bad-network */
export async function openVif(source: VifConfig | string, services: VifServices): Promise<OpenedVif> {
  const config = typeof source === "string" ? parseConfig(source, services) : source;
  const mac = config.mac === undefined ? randomMac(services.random) : parseMac(config.mac);
  const rate = config.rate === undefined ? undefined : parseRate(config.rate);
  const place = await openPlace(config, services);
  try {
    const { ports: forwardPorts, end: endForwards } = await openForwards(config.hostfwd ?? [], place.nat, mac);
    const discard = () => {
      endForwards();
      place.discard();
    };
    return { ...place, config, mac, rate, forwardPorts, endForwards, discard };
  } catch (error) {
    place.discard();
    throw error;
  }
}

async function openPlace({ port, bridge }: VifConfig, services: VifServices): Promise<Place> {
  if (port === undefined) {
    const network = services.network(bridge ?? DEFAULT_NETWORK);
    return { place: network.name, nat: network.nat, plug: (name) => network.addPort(name), discard: () => {} };
  }
  if (bridge !== undefined) throw new XenError("bad-argument", "vif: either bridge or port, not both");
  if ("send" in port) return { place: port.name, nat: undefined, plug: () => port, discard: () => {} };
  if (port.type === "nat") {
    const [guest, gateway] = pairPorts("nat");
    const nat = createUserNet(gateway, services, port, "vif");
    await nat.forwardsReady().catch((cause: Error) => {
      nat.close();
      throw new XenError("bad-network", `vif: hostfwd: ${cause.message}`, { cause });
    });
    const plugged = closesWith(guest, () => nat.close());
    return { place: "nat", nat, plug: () => plugged, discard: () => nat.close() };
  }
  const opened = await openPort(port);
  return { place: opened.name, nat: undefined, plug: () => opened, discard: () => opened.close() };
}

async function openForwards(
  forwards: readonly string[],
  nat: UserNet | undefined,
  mac: Uint8Array,
): Promise<{ readonly ports: readonly number[]; readonly end: () => void }> {
  const opened: { readonly port: number; close(): void }[] = [];
  const end = () => {
    for (const forward of opened) forward.close();
  };
  if (forwards.length > 0 && !nat) throw new XenError("bad-argument", "vif: hostfwd needs a network with NAT");
  try {
    for (const forward of forwards) opened.push(await nat!.forward(forward, mac));
    return { ports: opened.map(({ port }) => port), end };
  } catch (error) {
    end();
    if (error instanceof RangeError) throw new XenError("bad-argument", `vif: ${error.message}`, { cause: error });
    if (error instanceof Error && "syscall" in error)
      throw new XenError("bad-network", `vif: hostfwd: ${error.message}`, { cause: error });
    throw error;
  }
}

function parseConfig(text: string, { log }: VifServices): VifConfig {
  const { config, notes } = parseVif(text);
  for (const note of notes) log(`vif: ${note}`);
  return config;
}

function closesWith(port: PacketPort, onClose: () => void): PacketPort {
  const close = port.close.bind(port);
  port.close = () => {
    onClose();
    close();
  };
  return port;
}

/** All or none. */
export async function openVifs(sources: readonly (VifConfig | string)[], services: VifServices): Promise<OpenedVif[]> {
  const opened: OpenedVif[] = [];
  try {
    for (const source of sources) opened.push(await openVif(source, services));
    return opened;
  } catch (error) {
    for (const vif of opened) vif.discard();
    throw error;
  }
}
