// UDP of guests carried on by sockets of the machine: one socket for each port of a guest, whoever it talks to (RFC 4787, "endpoint-
// independent mapping"); let in is only what comes from where the guest has sent to. Mappings end after two minutes of silence, and
// the one that was silent longest goes when there are too many, of its guest or in all.

import { createSocket, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { Timers } from "../timers.js";
import { GuestCounts, LIMITS, type NewFlows } from "./guest-shares.js";
import type { IpAddress, IpPacket } from "./ip-packet.js";
import { parseIpv6Address } from "./ipv6.js";
import type { Destination } from "./tcp-proxy.js";

export interface UdpProxyOptions {
  readonly timers: Timers;
  readonly send: (to: IpAddress, from: IpAddress, sourcePort: number, targetPort: number, data: Uint8Array) => void;
  /** Undefined: forbidden. */
  readonly route: (target: IpAddress, port: number) => Destination | undefined;
  /** As those of TcpProxy. */
  readonly gatewayOf: (guest: IpAddress) => IpAddress;
  readonly ownerOf: (guest: IpAddress) => string;
  readonly newFlows: NewFlows;
}

/** A guest's port. */
interface Mapping {
  readonly owner: string;
  readonly guest: IpAddress;
  readonly guestPort: number;
  readonly socket: Socket;
  /** Whom the guest has sent to, "host port" → as it calls them. */
  readonly peers: Map<string, { readonly address: IpAddress; readonly port: number }>;
  used: number;
}

interface Forwarding {
  readonly socket: Socket;
  readonly guestPort: number;
  readonly guest: () => IpAddress | undefined;
  /** Port of the gateway that stands for a peer, and back. */
  readonly portOf: Map<string, number>;
}

const IDLE_MS = 120_000;
const MAX_PEERS = 64;
const MAX_FORWARD_PEERS = 1024;
const FIRST_PORT = 49_152;
const PORTS = 16_384;

export class UdpProxy {
  readonly #options: UdpProxyOptions;
  /** In order of last use. */
  readonly #mappings = new Map<string, Mapping>();
  readonly #counts = new GuestCounts();
  readonly #forwards = new Set<Forwarding>();
  /** Ports of the gateway behind which a peer of a forward is. */
  readonly #peers = new Map<number, { readonly forward: Forwarding; readonly host: string; readonly port: number }>();
  #nextPort = 0;
  #stopSweep: (() => void) | undefined;

  constructor(options: UdpProxyOptions) {
    this.#options = options;
  }

  get mappings(): number {
    return this.#mappings.size;
  }

  /** From a guest. @returns false when nobody is there */
  receive({ source, target, payload }: IpPacket): boolean {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const [guestPort, port, length] = [view.getUint16(0), view.getUint16(2), view.getUint16(4)];
    const data = payload.subarray(8, length);
    const peer = target === this.#options.gatewayOf(source) ? this.#peers.get(port) : undefined;
    if (peer && peer.forward.guestPort === guestPort && peer.forward.guest() === source) {
      peer.forward.socket.send(data, peer.port, peer.host);
      return true;
    }
    const destination = port > 0 ? this.#options.route(target, port) : undefined;
    if (!destination) return false;
    const mapping = this.#mappingOf(source, guestPort);
    if (!mapping) return true;
    const key = `${sameText(destination.host)} ${destination.port}`;
    mapping.peers.delete(key);
    if (mapping.peers.size >= MAX_PEERS) mapping.peers.delete(mapping.peers.keys().next().value!);
    mapping.peers.set(key, { address: target, port });
    mapping.socket.send(data, destination.port, destination.host, () => {});
    return true;
  }

  /** Undefined: the guest opens too many too fast. */
  #mappingOf(guest: IpAddress, guestPort: number): Mapping | undefined {
    const key = `${guest}:${guestPort}`;
    const known = this.#mappings.get(key);
    const used = this.#options.timers.now();
    if (known) {
      known.used = used;
      this.#mappings.delete(key);
      this.#mappings.set(key, known);
      return known;
    }
    const owner = this.#options.ownerOf(guest);
    if (!this.#options.newFlows.take(owner)) return undefined;
    this.#makeRoom(owner);
    const socket = createSocket(typeof guest === "number" ? "udp4" : "udp6");
    socket.unref();
    const mapping: Mapping = { owner, guest, guestPort, socket, peers: new Map(), used };
    socket.on("message", (data, { address, port }) => {
      const peer = mapping.peers.get(`${sameText(address)} ${port}`);
      if (peer) this.#options.send(guest, peer.address, peer.port, guestPort, data);
    });
    socket.on("error", () => this.#end(key));
    this.#mappings.set(key, mapping);
    this.#counts.add(owner, 1);
    this.#stopSweep ??= this.#options.timers.after(IDLE_MS / 4, () => this.#sweep());
    return mapping;
  }

  #makeRoom(owner: string): void {
    if (this.#counts.of(owner) >= LIMITS.mappings) {
      for (const [key, mapping] of this.#mappings) {
        if (mapping.owner !== owner) continue;
        this.#end(key);
        break;
      }
    } else if (this.#mappings.size >= LIMITS.allMappings) this.#end(this.#mappings.keys().next().value!);
  }

  #sweep(): void {
    const now = this.#options.timers.now();
    for (const [key, { used }] of this.#mappings) {
      if (now - used < IDLE_MS) break;
      this.#end(key);
    }
    this.#stopSweep =
      this.#mappings.size > 0 ? this.#options.timers.after(IDLE_MS / 4, () => this.#sweep()) : undefined;
  }

  #end(key: string): void {
    const mapping = this.#mappings.get(key);
    if (!mapping || !this.#mappings.delete(key)) return;
    this.#counts.add(mapping.owner, -1);
    mapping.socket.close();
  }

  /** As TcpProxy.forward. */
  forward(
    { host, port }: Destination,
    guestPort: number,
    guest: () => IpAddress | undefined,
  ): Promise<{ readonly port: number; close(): void }> {
    const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
    socket.unref();
    const forward: Forwarding = { socket, guestPort, guest, portOf: new Map() };
    socket.on("message", (data, { address, port: from }) => {
      const to = guest();
      if (to === undefined) return;
      const gatewayPort = this.#portOf(forward, address, from);
      this.#options.send(to, this.#options.gatewayOf(to), gatewayPort, guestPort, data);
    });
    const close = () => {
      if (!this.#forwards.delete(forward)) return;
      for (const gatewayPort of forward.portOf.values()) this.#peers.delete(gatewayPort);
      socket.close();
    };
    return new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(port, host, () => {
        socket.off("error", reject);
        socket.on("error", close);
        this.#forwards.add(forward);
        resolve({ port: socket.address().port, close });
      });
    });
  }

  #portOf(forward: Forwarding, host: string, port: number): number {
    const key = `${host} ${port}`;
    const known = forward.portOf.get(key);
    if (known !== undefined) return known;
    if (forward.portOf.size >= MAX_FORWARD_PEERS) {
      const [oldest, oldPort] = forward.portOf.entries().next().value!;
      forward.portOf.delete(oldest);
      this.#peers.delete(oldPort);
    }
    let gatewayPort: number;
    do gatewayPort = FIRST_PORT + (this.#nextPort++ % PORTS);
    while (this.#peers.has(gatewayPort));
    forward.portOf.set(key, gatewayPort);
    this.#peers.set(gatewayPort, { forward, host, port });
    return gatewayPort;
  }

  close(): void {
    this.#stopSweep?.();
    for (const key of [...this.#mappings.keys()]) this.#end(key);
    for (const { socket } of this.#forwards) socket.close();
    this.#forwards.clear();
    this.#peers.clear();
  }
}

/** An address may be written in several ways: one of them. */
function sameText(host: string): string {
  return isIPv6(host) ? parseIpv6Address(host) : host;
}
