// The router that guests find behind a port of user-mode networking: it answers ARP (RFC 826) and echo requests (RFC 792), gives out
// addresses, and hands TCP and UDP to whoever carries them on. It knows no sockets of the machine. Nothing that a guest sends
// throws; what is kept of guests is bounded.

import { internetChecksum } from "../checksum.js";
import { ignoreFrame, type PacketPort, sendThrough } from "../packet-port.js";
import type { Timers } from "../timers.js";
import {
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  PROTOCOL_ICMP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from "../transport.js";
import { DhcpServer } from "./dhcp.js";
import { isTransportRight, Reassembler, sumTcp, udpDatagram } from "./ip-packet.js";
import { buildIpv4, fragmentIpv4, type Ipv4Packet, parseIpv4, putIpv4Header } from "./ipv4.js";
import { parseSubnet } from "./nat-options.js";

export interface GatewayOptions {
  /** Where the guests are; closed with the gateway. */
  readonly port: PacketPort;
  readonly timers: Timers;
  /** Default "10.0.2.0/24". The gateway is its address 2, the name server 3. */
  readonly network?: string | undefined;
  /** Handed to guests. */
  readonly hostname?: string | undefined;
  readonly domain?: string | undefined;
  /** Packets for elsewhere and for the gateway's own addresses. @returns false: nobody is there */
  readonly onTcp?: (packet: Ipv4Packet) => boolean;
  readonly onUdp?: (packet: Ipv4Packet) => boolean;
  /** Frames with IPv6 packets, for us or for many. */
  readonly onIpv6?: (frame: Uint8Array, isOffloaded: boolean) => void;
}

const GATEWAY_HOST = 2;
const DNS_HOST = 3;
const FIRST_GUEST_HOST = 15;
const LEASE_SECONDS = 86_400;
const MTU = 1500;
const MAX_NEIGHBOURS = 256;
const BROADCAST_IP = 0xffffffff;
const DHCP_SERVER_PORT = 67;
const DHCP_CLIENT_PORT = 68;
const ECHO_REPLY = 0;
const UNREACHABLE = 3;
const ECHO_REQUEST = 8;
/** What waits for the answer to an ARP request. */
const MAX_UNRESOLVED = 32;
const OFFLOAD_HEADERS = 14 + 20;
/** Codes of "unreachable". */
const PORT = 3;
const PROHIBITED = 13;

export class Gateway {
  readonly #port: PacketPort;
  readonly address: number;
  readonly dnsAddress: number;
  readonly #mask: number;
  readonly mac: Uint8Array;
  readonly #reassembler: Reassembler;
  readonly dhcp: DhcpServer;
  #identification = 0;
  /** Hardware address by IP address, in order of last sight. */
  readonly #neighbours = new Map<number, Uint8Array>();
  /** What is to be sent once an address is known: the last of each. */
  readonly #unresolved = new Map<number, () => void>();
  readonly #onTcp: (packet: Ipv4Packet) => boolean;
  readonly #onUdp: (packet: Ipv4Packet) => boolean;
  readonly #onIpv6: (frame: Uint8Array, isOffloaded: boolean) => void;

  /** @throws RangeError for a network that has no room */
  constructor({ port, timers, network = "10.0.2.0/24", hostname, domain, onTcp, onUdp, onIpv6 }: GatewayOptions) {
    const { address, prefixLength } = parseSubnet(network);
    this.#mask = (0xffffffff << (32 - prefixLength)) >>> 0;
    const base = (address & this.#mask) >>> 0;
    this.#onTcp = onTcp ?? (() => false);
    this.#onUdp = onUdp ?? (() => false);
    this.#onIpv6 = onIpv6 ?? (() => {});
    this.address = base + GATEWAY_HOST;
    this.dnsAddress = base + DNS_HOST;
    const view = new DataView(new ArrayBuffer(6));
    // Locally administered, and told apart by network.
    view.setUint16(0, 0x5255);
    view.setUint32(2, this.address);
    this.mac = new Uint8Array(view.buffer);
    this.#reassembler = new Reassembler(timers);
    this.dhcp = new DhcpServer({
      ...{ server: this.address, router: this.address, dns: this.dnsAddress, mask: this.#mask, hostname, domain },
      ...{ first: base + FIRST_GUEST_HOST, leaseSeconds: LEASE_SECONDS, mtu: MTU },
      count: Math.min(2 ** (32 - prefixLength) - FIRST_GUEST_HOST - 1, 240),
    });
    this.#port = port;
    port.wantsOffload = true;
    port.onFrame = (frame, offload) => this.#receive(frame, offload !== undefined);
  }

  isOurs(address: number): boolean {
    return address === this.address || address === this.dnsAddress;
  }

  isInside(address: number): boolean {
    return (address & this.#mask) >>> 0 === (this.address & this.#mask) >>> 0;
  }

  #receive(frame: Uint8Array, isOffloaded: boolean): void {
    if (frame.length < 34 || frame[6]! & 1) return;
    // For us, or for all.
    if (!(frame[0]! & 1) && this.mac.some((byte, i) => frame[i] !== byte)) return;
    const type = (frame[12]! << 8) | frame[13]!;
    if (type === ETHERTYPE_ARP) this.#receiveArp(frame);
    if (type === ETHERTYPE_IPV6) this.#onIpv6(frame, isOffloaded);
    if (type !== ETHERTYPE_IPV4) return;
    const fragment = parseIpv4(frame.subarray(14));
    if (!fragment) return;
    this.#learn(fragment.source, frame.subarray(6, 12));
    const packet = this.#reassembler.add(fragment);
    if (packet) this.#receiveIpv4(packet, isOffloaded);
  }

  #learn(address: number, mac: Uint8Array): void {
    if (!this.isInside(address) || this.isOurs(address)) return;
    this.#neighbours.delete(address);
    if (this.#neighbours.size >= MAX_NEIGHBOURS) this.#neighbours.delete(this.#neighbours.keys().next().value!);
    this.#neighbours.set(address, mac.slice());
    const waiting = this.#unresolved.get(address);
    if (!waiting) return;
    this.#unresolved.delete(address);
    waiting();
  }

  /** The address of the guest with this hardware address, as leased or as seen. */
  addressOf(mac: Uint8Array): number | undefined {
    for (const [address, known] of this.#neighbours) if (known.every((byte, i) => byte === mac[i])) return address;
    return this.dhcp.leases.get(Buffer.from(mac).toString("hex"));
  }

  /** The guest that has this address, by its hardware address, 12 hexadecimal digits. */
  guestOf(address: number): string | undefined {
    const mac = this.#neighbours.get(address);
    return mac && Buffer.from(mac).toString("hex");
  }

  /** The guest that was given an address first. */
  get firstGuest(): number | undefined {
    return this.dhcp.leases.values().next().value ?? this.#neighbours.keys().next().value;
  }

  #receiveArp(frame: Uint8Array): void {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    if (frame.length < 42 || view.getUint32(14) !== 0x00010800 || view.getUint16(18) !== 0x0604) return;
    this.#learn(view.getUint32(28), frame.subarray(22, 28));
    if (view.getUint16(20) !== 1 || !this.isOurs(view.getUint32(38))) return;
    const reply = new Uint8Array(42);
    const out = new DataView(reply.buffer);
    reply.set(frame.subarray(6, 12), 0);
    reply.set(this.mac, 6);
    out.setUint16(12, ETHERTYPE_ARP);
    out.setUint32(14, 0x00010800);
    out.setUint32(18, 0x06040002);
    reply.set(this.mac, 22);
    out.setUint32(28, view.getUint32(38));
    reply.set(frame.subarray(22, 32), 32);
    this.#port.send(reply);
  }

  #receiveIpv4(packet: Ipv4Packet, isOffloaded: boolean): void {
    const { target, protocol, payload } = packet;
    const isBroadcast = target === BROADCAST_IP || target === (this.address | ~this.#mask) >>> 0;
    if (protocol === PROTOCOL_UDP && (isBroadcast || target === this.address) && this.#receiveDhcp(payload)) return;
    // Nothing is said about what was sent to many, or by nobody (RFC 1122 3.2.2), or by us.
    if (isBroadcast || target >>> 28 === 14 || !this.#neighbours.has(packet.source)) return;
    if (this.isInside(target) && !this.isOurs(target)) return;
    if (protocol === PROTOCOL_ICMP) return void this.#receiveIcmp(packet);
    if ((protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP) && !isTransportRight(packet, isOffloaded)) return;
    const isTaken = protocol === PROTOCOL_TCP ? this.#onTcp(packet) : protocol === PROTOCOL_UDP && this.#onUdp(packet);
    if (!isTaken) this.refuse(packet, this.isOurs(target) ? PORT : PROHIBITED);
  }

  /** @returns whether it was for the DHCP server */
  #receiveDhcp(datagram: Uint8Array): boolean {
    if (datagram.length < 8) return false;
    const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
    const length = view.getUint16(4);
    if (view.getUint16(2) !== DHCP_SERVER_PORT || length < 8 || length > datagram.length) return false;
    const answer = this.dhcp.answer(datagram.subarray(8, length));
    if (!answer) return true;
    this.sendUdp(BROADCAST_IP, this.address, DHCP_SERVER_PORT, DHCP_CLIENT_PORT, answer);
    return true;
  }

  sendUdp(to: number, from: number, sourcePort: number, targetPort: number, data: Uint8Array): void {
    this.#send(to, from, PROTOCOL_UDP, udpDatagram(from, to, sourcePort, targetPort, data));
  }

  /**
   * @param segment without its checksum, as `buildTcp` makes it: with room for headers before it. @param segmentSize payload that fits
   * the wire: longer segments go out to be cut
   */
  sendTcp(to: number, from: number, segment: Uint8Array, segmentSize: number): void {
    if (sumTcp(from, to, segment, segmentSize)) return void this.#send(to, from, PROTOCOL_TCP, segment);
    const mac = this.#neighbours.get(to);
    if (!mac) return;
    const frame = new Uint8Array(
      segment.buffer,
      segment.byteOffset - OFFLOAD_HEADERS,
      OFFLOAD_HEADERS + segment.length,
    );
    this.#putHeader(frame, mac);
    putIpv4Header(frame.subarray(14), from, to, PROTOCOL_TCP);
    sendThrough(this.#port, frame, { kind: "tcp4", segmentSize });
  }

  #receiveIcmp(packet: Ipv4Packet): void {
    const { payload, source, target } = packet;
    if (payload.length < 8 || payload[0] !== ECHO_REQUEST || internetChecksum(payload) !== 0) return;
    if (!this.isOurs(target)) return void this.refuse(packet, PROHIBITED);
    const reply = payload.slice();
    reply[0] = ECHO_REPLY;
    this.#sendIcmp(source, target, reply);
  }

  /** Tells its sender that a packet goes nowhere. @param code of RFC 792's "destination unreachable" */
  refuse(packet: Ipv4Packet, code: number): void {
    const { source, target, protocol, payload } = packet;
    const message = new Uint8Array(8 + 28);
    message[0] = UNREACHABLE;
    message[1] = code;
    // The header as it came and the first 8 bytes after it.
    message.set(buildIpv4(source, target, protocol, payload.subarray(0, 8)), 8);
    new DataView(message.buffer).setUint16(10, 20 + payload.length);
    this.#sendIcmp(source, this.address, message);
  }

  #sendIcmp(to: number, from: number, message: Uint8Array): void {
    const view = new DataView(message.buffer);
    view.setUint16(2, 0);
    view.setUint16(2, internetChecksum(message));
    this.#send(to, from, PROTOCOL_ICMP, message);
  }

  #send(to: number, from: number, protocol: number, payload: Uint8Array): void {
    const mac = to === BROADCAST_IP ? new Uint8Array(6).fill(0xff) : this.#neighbours.get(to);
    if (!mac) return void this.#resolve(to, () => this.#send(to, from, protocol, payload));
    this.#identification = (this.#identification + 1) & 0xffff;
    const packet = { source: from, target: to, protocol, identification: this.#identification, payload };
    for (const piece of fragmentIpv4(packet, MTU)) {
      const frame = new Uint8Array(14 + piece.length);
      this.#putHeader(frame, mac);
      frame.set(piece, 14);
      this.#port.send(frame);
    }
  }

  #putHeader(frame: Uint8Array, mac: Uint8Array): void {
    frame.set(mac);
    frame.set(this.mac, 6);
    frame[12] = ETHERTYPE_IPV4 >> 8;
    frame[13] = ETHERTYPE_IPV4 & 0xff;
  }

  /** Asks who has an address of the network; what is to be sent there waits. */
  #resolve(address: number, send: () => void): void {
    if (!this.isInside(address)) return;
    if (this.#unresolved.size >= MAX_UNRESOLVED && !this.#unresolved.has(address))
      this.#unresolved.delete(this.#unresolved.keys().next().value!);
    this.#unresolved.set(address, send);
    const request = new Uint8Array(42).fill(0xff, 0, 6);
    const view = new DataView(request.buffer);
    request.set(this.mac, 6);
    view.setUint16(12, ETHERTYPE_ARP);
    view.setUint32(14, 0x00010800);
    view.setUint32(18, 0x06040001);
    request.set(this.mac, 22);
    view.setUint32(28, this.address);
    view.setUint32(38, address);
    this.#port.send(request);
  }

  close(): void {
    this.#port.onFrame = ignoreFrame;
    this.#port.close();
    this.#unresolved.clear();
  }
}
