// A network of a host: a learning bridge in this process, on which guests' interfaces are ports. What else it leads to (NAT, a TAP
// device, another host) is joined to it. It has no address on the machine.

import { Bridge, type BridgeEntry } from "../devices/network/bridge.js";
import { joinPorts, type PacketPort } from "../devices/network/packet-port.js";
import { hostTimers, type Timers } from "../devices/network/timers.js";
import type { NatOptions } from "../devices/network/user-net/nat-options.js";
import { UserNet } from "../devices/network/user-net/user-net.js";
import type { Clock } from "../hypervisor/clock.js";
import { VirtualClock } from "./clocks.js";
import { XenError } from "./errors.js";
import { openPort } from "./open-port.js";
import type { StreamPort, TapPort } from "./vif-config.js";

export interface NetworkOptions {
  /** A gateway that gives out addresses and leads to the world; default: on "xenbr0" only. */
  readonly nat?: boolean | NatOptions;
}

export interface NetworkServices {
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  /** Nanoseconds since 1970. */
  readonly wall: () => bigint;
  /** No sockets of the machine: guests of a deterministic host reach nothing outside of it. */
  readonly isClosed: boolean;
  readonly log: (line: string) => void;
}

const NAME = /^[A-Za-z0-9_.-]{1,15}$/;
export const DEFAULT_NETWORK = "xenbr0";

export class Network {
  readonly name: string;
  readonly #bridge: Bridge;
  readonly #nat: UserNet | undefined;
  readonly #joined: PacketPort[] = [];

  /** Made by XenHost.network. @throws XenError bad-argument */
  constructor(name: string, services: NetworkServices, { nat = name === DEFAULT_NETWORK }: NetworkOptions = {}) {
    if (!NAME.test(name)) throw new XenError("bad-argument", `"${name}" is not a name of a network such as xenbr0`);
    this.name = name;
    this.#bridge = new Bridge({ name, now: () => services.timers.now() });
    if (nat) this.#nat = createUserNet(this.#bridge.addPort("nat"), services, nat === true ? {} : nat, name);
  }

  /** Names of its ports: vif3.0, nat, … */
  get ports(): string[] {
    return this.#bridge.ports;
  }

  /** Hardware addresses that it has seen, and where. */
  get addresses(): BridgeEntry[] {
    return this.#bridge.addresses;
  }

  get statistics(): { readonly forwarded: number; readonly flooded: number } {
    return this.#bridge.statistics;
  }

  /** The gateway, when it has one. */
  get nat(): UserNet | undefined {
    return this.#nat;
  }

  /** A port of one's own: what is sent there, guests receive. */
  addPort(name: string): PacketPort {
    return this.#bridge.addPort(name);
  }

  /** Joins a port of something else: a stream link, a TAP device. It is closed with the host. */
  join(port: PacketPort): void {
    joinPorts(this.#bridge.addPort(port.name), port);
    this.#joined.push(port);
  }

  /**
   * Joins a stream link to another host on this machine, or a TAP device of the operating system. It is closed with the host.
   * @returns its name: "tap0". @throws XenError bad-network
   */
  async connect(to: StreamPort | TapPort): Promise<string> {
    const port = await openPort(to);
    this.join(port);
    return port.name;
  }

  /** From now on nothing passes between a port of `a` and one of `b` (names as in `ports`; a later call replaces this one). */
  partition(a: readonly string[], b: readonly string[]): void {
    const [left, right] = [new Set(a), new Set(b)];
    this.#bridge.isCut = (from, to) => (left.has(from) && right.has(to)) || (right.has(from) && left.has(to));
  }

  /** Ends a partition. */
  heal(): void {
    this.#bridge.isCut = undefined;
  }

  /** For the host. */
  close(): void {
    this.#nat?.close();
    for (const port of this.#joined.splice(0)) port.close();
  }
}

/** @throws XenError bad-argument */
export function createUserNet(
  port: PacketPort,
  services: NetworkServices,
  options: NatOptions,
  owner: string,
): UserNet {
  try {
    const { timers, random, log, isClosed } = services;
    return new UserNet({ port, timers, random, log, options: isClosed ? { ...options, restrict: true } : options });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new XenError("bad-argument", `${owner}: ${error.message}`, { cause: error });
  }
}

/** What networks need of a host's clock. */
export function networkTime(clock: Clock): Pick<NetworkServices, "timers" | "wall"> {
  const now = () => Number(clock.monotonic() / 1000n) / 1000;
  return { timers: clock instanceof VirtualClock ? clock.timers : hostTimers(now), wall: () => clock.wall() };
}
