// The gateway of user-mode networking as far as it needs no sockets of the host: a port on which guests find a router that answers
// ARP (RFC 826) and echo requests (RFC 792), and gives out addresses. What goes beyond it is answered as unreachable.
// Nothing that a guest sends throws; what is kept of guests is bounded.

import { internetChecksum } from "../checksum.js";
import type { PacketPort } from "../packet-port.js";
import type { Timers } from "../timers.js";
import { completeChecksum, ETHERTYPE_ARP, ETHERTYPE_IPV4, PROTOCOL_ICMP, PROTOCOL_UDP } from "../transport.js";
import { DhcpServer } from "./dhcp.js";
import { buildIpv4, fragmentIpv4, type Ipv4Packet, parseAddress, parseIpv4, Reassembler } from "./ipv4.js";

export interface GatewayOptions {
  /** Where the guests are. Stays the caller's. */
  readonly port: PacketPort;
  readonly timers: Timers;
  /** Network and gateway; default 10.0.2.0/24, 10.0.2.2. The name server is the address after the gateway's. */
  readonly network?: string;
  readonly prefixLength?: number;
  /** Handed to guests. */
  readonly hostname?: string;
  readonly domain?: string;
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
/** Codes of "unreachable". */
const PORT = 3;
const PROHIBITED = 13;

export class Gateway {
  readonly #port: PacketPort;
  readonly address: number;
  readonly dnsAddress: number;
  readonly #mask: number;
  readonly #mac: Uint8Array;
  readonly #reassembler: Reassembler;
  readonly dhcp: DhcpServer;
  #identification = 0;
  /** Hardware address by IP address, in order of last sight. */
  readonly #neighbours = new Map<number, Uint8Array>();

  /** @throws RangeError for a network that has no room */
  constructor({ port, timers, network = "10.0.2.0", prefixLength = 24, hostname, domain }: GatewayOptions) {
    if (!(prefixLength >= 8 && prefixLength <= 27))
      throw new RangeError(`/${prefixLength}: the prefix must be 8 to 27`);
    this.#mask = (0xffffffff << (32 - prefixLength)) >>> 0;
    const base = (parseAddress(network) & this.#mask) >>> 0;
    this.address = base + GATEWAY_HOST;
    this.dnsAddress = base + DNS_HOST;
    const view = new DataView(new ArrayBuffer(6));
    // Locally administered, and told apart by network.
    view.setUint16(0, 0x5255);
    view.setUint32(2, this.address);
    this.#mac = new Uint8Array(view.buffer);
    this.#reassembler = new Reassembler(timers);
    this.dhcp = new DhcpServer({
      ...{ server: this.address, router: this.address, dns: this.dnsAddress, mask: this.#mask, hostname, domain },
      ...{ first: base + FIRST_GUEST_HOST, leaseSeconds: LEASE_SECONDS, mtu: MTU },
      count: Math.min(2 ** (32 - prefixLength) - FIRST_GUEST_HOST - 1, 240),
    });
    this.#port = port;
    port.onFrame = (frame) => this.#receive(frame);
  }

  #isOurs(address: number): boolean {
    return address === this.address || address === this.dnsAddress;
  }

  #isInside(address: number): boolean {
    return (address & this.#mask) >>> 0 === (this.address & this.#mask) >>> 0;
  }

  #receive(frame: Uint8Array): void {
    if (frame.length < 34 || frame[6]! & 1) return;
    // For us, or for all.
    if (!(frame[0]! & 1) && this.#mac.some((byte, i) => frame[i] !== byte)) return;
    const type = (frame[12]! << 8) | frame[13]!;
    if (type === ETHERTYPE_ARP) this.#receiveArp(frame);
    if (type !== ETHERTYPE_IPV4) return;
    const fragment = parseIpv4(frame.subarray(14));
    if (!fragment) return;
    this.#learn(fragment.source, frame.subarray(6, 12));
    const packet = this.#reassembler.add(fragment);
    if (packet) this.#receiveIpv4(packet);
  }

  #learn(address: number, mac: Uint8Array): void {
    if (!this.#isInside(address) || this.#isOurs(address)) return;
    this.#neighbours.delete(address);
    if (this.#neighbours.size >= MAX_NEIGHBOURS) this.#neighbours.delete(this.#neighbours.keys().next().value!);
    this.#neighbours.set(address, mac.slice());
  }

  #receiveArp(frame: Uint8Array): void {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    if (frame.length < 42 || view.getUint32(14) !== 0x00010800 || view.getUint16(18) !== 0x0604) return;
    this.#learn(view.getUint32(28), frame.subarray(22, 28));
    if (view.getUint16(20) !== 1 || !this.#isOurs(view.getUint32(38))) return;
    const reply = new Uint8Array(42);
    const out = new DataView(reply.buffer);
    reply.set(frame.subarray(6, 12), 0);
    reply.set(this.#mac, 6);
    out.setUint16(12, ETHERTYPE_ARP);
    out.setUint32(14, 0x00010800);
    out.setUint32(18, 0x06040002);
    reply.set(this.#mac, 22);
    out.setUint32(28, view.getUint32(38));
    reply.set(frame.subarray(22, 32), 32);
    this.#port.send(reply);
  }

  #receiveIpv4(packet: Ipv4Packet): void {
    const { target, protocol, payload } = packet;
    const isBroadcast = target === BROADCAST_IP || target === (this.address | ~this.#mask) >>> 0;
    if (protocol === PROTOCOL_UDP && (isBroadcast || target === this.address) && this.#receiveDhcp(payload)) return;
    // Nothing is said about what was sent to many, or by nobody (RFC 1122 3.2.2).
    if (isBroadcast || target >>> 28 === 14 || !this.#neighbours.has(packet.source)) return;
    if (protocol === PROTOCOL_ICMP) this.#receiveIcmp(packet);
    else if (!this.#isInside(target) || this.#isOurs(target))
      this.#refuse(packet, this.#isOurs(target) ? PORT : PROHIBITED);
  }

  /** @returns whether it was for the DHCP server */
  #receiveDhcp(datagram: Uint8Array): boolean {
    if (datagram.length < 8) return false;
    const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
    const length = view.getUint16(4);
    if (view.getUint16(2) !== DHCP_SERVER_PORT || length < 8 || length > datagram.length) return false;
    const answer = this.dhcp.answer(datagram.subarray(8, length));
    if (!answer) return true;
    const reply = new Uint8Array(8 + answer.length);
    const out = new DataView(reply.buffer);
    out.setUint16(0, DHCP_SERVER_PORT);
    out.setUint16(2, DHCP_CLIENT_PORT);
    out.setUint16(4, reply.length);
    reply.set(answer, 8);
    this.#send(BROADCAST_IP, this.address, PROTOCOL_UDP, reply);
    return true;
  }

  #receiveIcmp(packet: Ipv4Packet): void {
    const { payload, source, target } = packet;
    if (payload.length < 8 || payload[0] !== ECHO_REQUEST || internetChecksum(payload) !== 0) return;
    if (!this.#isOurs(target)) {
      if (!this.#isInside(target)) this.#refuse(packet, PROHIBITED);
      return;
    }
    const reply = payload.slice();
    reply[0] = ECHO_REPLY;
    this.#sendIcmp(source, target, reply);
  }

  #refuse(packet: Ipv4Packet, code: number): void {
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
    if (!mac) return;
    this.#identification = (this.#identification + 1) & 0xffff;
    const packet = { source: from, target: to, protocol, identification: this.#identification, payload };
    for (const piece of fragmentIpv4(packet, MTU)) {
      const frame = new Uint8Array(14 + piece.length);
      frame.set(mac);
      frame.set(this.#mac, 6);
      new DataView(frame.buffer).setUint16(12, ETHERTYPE_IPV4);
      frame.set(piece, 14);
      // What is sent by UDP here is never longer than one packet.
      if (protocol === PROTOCOL_UDP) completeChecksum(frame);
      this.#port.send(frame);
    }
  }
}
