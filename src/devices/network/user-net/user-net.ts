// User-mode networking: a port behind which guests find a router that leads to the world by sockets of this process, with no rights
// needed. TCP, UDP and names go through; echo requests are answered by the gateway only.

import { type PacketPort, sendThrough } from "../packet-port.js";
import type { Timers } from "../timers.js";
import { DnsForwarder } from "./dns-forwarder.js";
import { Gateway } from "./gateway.js";
import { Gateway6 } from "./gateway6.js";
import { NewFlows } from "./guest-shares.js";
import { machineServers, parseServer } from "./host-names.js";
import type { IpAddress, IpPacket } from "./ip-packet.js";
import { formatAddress } from "./ipv4.js";
import { formatIpv6Address } from "./ipv6.js";
import { DEFAULT_IPV6, type NatOptions, parseHostForward, parseSubnet6 } from "./nat-options.js";
import { routeTo } from "./routes.js";
import { type Destination, TcpProxy } from "./tcp-proxy.js";
import { UdpProxy } from "./udp-proxy.js";

export interface UserNetOptions {
  /** Where the guests are; closed with the network. */
  readonly port: PacketPort;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: (line: string) => void;
  readonly options: NatOptions;
}

const DNS_PORT = 53;

export interface UserNetStatistics {
  readonly tcpConnections: number;
  readonly tcpRefused: number;
  /** Connections and mappings that a guest opened too fast: their first packets were dropped. */
  readonly throttled: number;
  readonly udpMappings: number;
  readonly dnsQueries: number;
}

export class UserNet {
  readonly #gateway: Gateway;
  readonly #gateway6: Gateway6 | undefined;
  readonly #newFlows: NewFlows;
  readonly #tcp: TcpProxy;
  readonly #udp: UdpProxy;
  readonly #dns: DnsForwarder;
  readonly #servers: () => readonly Destination[];
  #ports: readonly number[] = [];

  /** @throws RangeError for options that make no sense */
  constructor({ port, timers, random, log, options }: UserNetOptions) {
    const {
      network,
      ipv6 = DEFAULT_IPV6,
      restrict = false,
      hostLoopback = false,
      dns,
      hosts = {},
      hostname,
      domain,
      hostfwd = [],
    } = options;
    const servers = dns?.map(parseServer);
    this.#servers = servers ? () => servers : machineServers;
    const forwards = hostfwd.map(parseHostForward);
    this.#dns = new DnsForwarder({ timers, random, servers: this.#servers, hosts, restrict });
    this.#newFlows = new NewFlows(timers);
    const prefix = ipv6 === false ? undefined : parseSubnet6(ipv6);
    const onTcp = (packet: IpPacket) => this.#tcp.receive(packet);
    const onUdp = (packet: IpPacket) => this.#receiveUdp(packet);
    this.#gateway = new Gateway({
      ...{ port, timers, network, hostname, domain, onTcp, onUdp },
      onIpv6: (frame, isOffloaded) => this.#gateway6?.receive(frame, isOffloaded),
    });
    const { mac, address: gateway } = this.#gateway;
    if (prefix !== undefined)
      this.#gateway6 = new Gateway6({
        ...{ timers, mac, prefix, onTcp, onUdp },
        send: (frame, offload) => sendThrough(port, frame, offload),
      });
    const gateway6 = this.#gateway6?.address;
    const route = (target: IpAddress, targetPort: number): Destination | undefined => {
      if (this.#isNameServer(target)) return targetPort === DNS_PORT && !restrict ? this.#servers()[0] : undefined;
      const host = routeTo(target, { gateway, gateway6, restrict, hostLoopback });
      return host === undefined ? undefined : { host, port: targetPort };
    };
    const flows = {
      ...{ timers, route, newFlows: this.#newFlows },
      gatewayOf: (guest: IpAddress) => (typeof guest === "number" ? gateway : (gateway6 ?? gateway)),
      ownerOf: (guest: IpAddress) => this.#ownerOf(guest),
    };
    this.#tcp = new TcpProxy({
      ...flows,
      random,
      send: (to, from, segment, segmentSize) => this.#sendTcp(to, from, segment, segmentSize),
    });
    this.#udp = new UdpProxy({
      ...flows,
      send: (to, from, sourcePort, targetPort, data) => this.#sendUdp(to, from, sourcePort, targetPort, data),
    });
    this.#ready = Promise.all(forwards.map((_, i) => this.#listen(hostfwd[i]!, undefined))).then(
      (opened) => void (this.#ports = opened.map((forward) => forward.port)),
    );
    this.#ready.catch((error: unknown) => log(`nat: ${error instanceof Error ? error.message : String(error)}`));
  }

  readonly #ready: Promise<void>;

  /** Done when the forwards of its options listen. @returns their ports on the machine. @throws what listening met */
  async forwardsReady(): Promise<readonly number[]> {
    await this.#ready;
    return this.#ports;
  }

  /** "10.0.2.2" */
  get gateway(): string {
    return formatAddress(this.#gateway.address);
  }

  /** "fec0::2"; undefined: no IPv6. */
  get gateway6(): string | undefined {
    return this.#gateway6 && formatIpv6Address(this.#gateway6.address);
  }

  /** Addresses given out, by hardware address (12 hexadecimal digits). */
  get leases(): ReadonlyMap<string, string> {
    return new Map([...this.#gateway.dhcp.leases].map(([mac, address]) => [mac, formatAddress(address)]));
  }

  get statistics(): UserNetStatistics {
    return {
      tcpConnections: this.#tcp.connections,
      tcpRefused: this.#tcp.refused,
      throttled: this.#newFlows.refused,
      udpMappings: this.#udp.mappings,
      dnsQueries: this.#dns.pending,
    };
  }

  #isNameServer(address: IpAddress): boolean {
    return address === this.#gateway.dnsAddress || address === this.#gateway6?.dnsAddress;
  }

  #ownerOf(guest: IpAddress): string {
    const mac = typeof guest === "number" ? this.#gateway.guestOf(guest) : this.#gateway6?.guestOf(guest);
    return mac ?? String(guest);
  }

  /** Both addresses are of one kind. */
  #sendTcp(to: IpAddress, from: IpAddress, segment: Uint8Array, segmentSize: number): void {
    if (typeof to === "string") this.#gateway6?.sendTcp(to, String(from), segment, segmentSize);
    else this.#gateway.sendTcp(to, Number(from), segment, segmentSize);
  }

  #sendUdp(to: IpAddress, from: IpAddress, sourcePort: number, targetPort: number, data: Uint8Array): void {
    if (typeof to === "string") this.#gateway6?.sendUdp(to, String(from), sourcePort, targetPort, data);
    else this.#gateway.sendUdp(to, Number(from), sourcePort, targetPort, data);
  }

  #receiveUdp(packet: IpPacket): boolean {
    const { source, target, payload } = packet;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const [sourcePort, port, length] = [view.getUint16(0), view.getUint16(2), view.getUint16(4)];
    if (!this.#isNameServer(target)) return this.#udp.receive(packet);
    if (port !== DNS_PORT) return false;
    this.#dns.answer(this.#ownerOf(source), payload.subarray(8, length), (answer) =>
      this.#sendUdp(source, target, DNS_PORT, sourcePort, answer),
    );
    return true;
  }

  /**
   * Leads a port of the machine to a guest.
   * @param text "tcp:127.0.0.1:8080-:80" @param mac of the guest; default: the first guest
   * @returns the port of the machine, and what ends it. @throws RangeError; what listening met
   */
  async forward(text: string, mac?: Uint8Array): Promise<{ readonly port: number; close(): void }> {
    return this.#listen(text, mac);
  }

  #listen(text: string, mac: Uint8Array | undefined): Promise<{ readonly port: number; close(): void }> {
    const { protocol, hostAddress, hostPort, guestAddress, guestPort } = parseHostForward(text);
    const guest = () => guestAddress ?? (mac ? this.#gateway.addressOf(mac) : this.#gateway.firstGuest);
    const proxy = protocol === "tcp" ? this.#tcp : this.#udp;
    return proxy.forward({ host: hostAddress, port: hostPort }, guestPort, guest);
  }

  close(): void {
    this.#tcp.close();
    this.#udp.close();
    this.#dns.close();
    this.#gateway6?.close();
    this.#gateway.close();
  }
}
