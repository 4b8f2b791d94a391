// User-mode networking: a port behind which guests find a router that leads to the world by sockets of this process, with no rights
// needed. TCP, UDP and names go through; echo requests are answered by the gateway only.

import type { PacketPort } from "../packet-port.js";
import type { Timers } from "../timers.js";
import { DnsForwarder } from "./dns-forwarder.js";
import { Gateway } from "./gateway.js";
import { machineServers, parseServer } from "./host-names.js";
import { formatAddress, type Ipv4Packet } from "./ipv4.js";
import { type NatOptions, parseHostForward } from "./nat-options.js";
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
const MAX_CONNECTIONS = 256;
const MAX_MAPPINGS = 256;

export interface UserNetStatistics {
  readonly tcpConnections: number;
  readonly tcpRefused: number;
  readonly udpMappings: number;
  readonly dnsQueries: number;
}

export class UserNet {
  readonly #gateway: Gateway;
  readonly #tcp: TcpProxy;
  readonly #udp: UdpProxy;
  readonly #dns: DnsForwarder;
  readonly #servers: () => readonly Destination[];
  #ports: readonly number[] = [];

  /** @throws RangeError for options that make no sense */
  constructor({ port, timers, random, log, options }: UserNetOptions) {
    const {
      network,
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
    this.#gateway = new Gateway({
      ...{ port, timers, network, hostname, domain },
      onTcp: (packet) => this.#tcp.receive(packet),
      onUdp: (packet) => this.#receiveUdp(packet),
    });
    const gateway = this.#gateway.address;
    const route = (target: number, targetPort: number): Destination | undefined => {
      if (target === this.#gateway.dnsAddress)
        return targetPort === DNS_PORT && !restrict ? this.#servers()[0] : undefined;
      const host = routeTo(target, { gateway, restrict, hostLoopback });
      return host === undefined ? undefined : { host, port: targetPort };
    };
    this.#tcp = new TcpProxy({
      ...{ timers, random, route, gateway, maxConnections: MAX_CONNECTIONS },
      send: (to, from, segment, segmentSize) => this.#gateway.sendTcp(to, from, segment, segmentSize),
    });
    this.#udp = new UdpProxy({
      ...{ timers, route, gateway, maxMappings: MAX_MAPPINGS },
      send: (to, from, sourcePort, targetPort, data) => this.#gateway.sendUdp(to, from, sourcePort, targetPort, data),
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

  /** Addresses given out, by hardware address (12 hexadecimal digits). */
  get leases(): ReadonlyMap<string, string> {
    return new Map([...this.#gateway.dhcp.leases].map(([mac, address]) => [mac, formatAddress(address)]));
  }

  get statistics(): UserNetStatistics {
    return {
      tcpConnections: this.#tcp.connections,
      tcpRefused: this.#tcp.refused,
      udpMappings: this.#udp.mappings,
      dnsQueries: this.#dns.pending,
    };
  }

  #receiveUdp(packet: Ipv4Packet): boolean {
    const { source, target, payload } = packet;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const [sourcePort, port, length] = [view.getUint16(0), view.getUint16(2), view.getUint16(4)];
    if (target !== this.#gateway.dnsAddress) return this.#udp.receive(packet);
    if (port !== DNS_PORT) return false;
    this.#dns.answer(payload.subarray(8, length), (answer) =>
      this.#gateway.sendUdp(source, target, DNS_PORT, sourcePort, answer),
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
    this.#gateway.close();
  }
}
