// The router as IPv6 guests find it, beside the one of gateway.ts: it advertises itself and a prefix, answers neighbour solicitations, echo
// requests (RFC 4443) and questions for the name server, and hands TCP and UDP to whoever carries them on. Nothing that a guest sends
// throws; what is kept of guests is bounded.

import type { Offload } from "../offload.js";
import type { Timers } from "../timers.js";
import { ETHERTYPE_IPV6, PROTOCOL_TCP, PROTOCOL_UDP } from "../transport.js";
import { answerDhcp6 } from "./dhcp6.js";
import { isTransportRight, Reassembler, sumTcp, transportChecksum, udpDatagram } from "./ip-packet.js";
import {
  buildIpv6,
  fragmentIpv6,
  type Ipv6Packet,
  ipv6Bytes,
  PROTOCOL_ICMP6,
  parseIpv6,
  parseIpv6Address,
  readIpv6Address,
} from "./ipv6.js";
import {
  ND,
  ND_HOP_LIMIT,
  neighbourAdvertisement,
  neighbourSolicitation,
  routerAdvertisement,
} from "./neighbour-discovery.js";

export interface Gateway6Options {
  /** To the guests. */
  readonly send: (frame: Uint8Array, offload?: Offload) => void;
  readonly timers: Timers;
  /** Ours. */
  readonly mac: Uint8Array;
  /** 16 hexadecimal digits: the first half of all addresses. The gateway is its address 2, the name server 3. */
  readonly prefix: string;
  /** Packets for elsewhere and for the gateway's own addresses. @returns false: nobody is there */
  readonly onTcp: (packet: Ipv6Packet) => boolean;
  readonly onUdp: (packet: Ipv6Packet) => boolean;
}

const MTU = 1500;
/** The longest packet that all links take: no error message is longer. */
const MIN_MTU = 1280;
const MAX_NEIGHBOURS = 256;
const MAX_UNRESOLVED = 32;
const HEADERS = 14 + 40;
const UNSPECIFIED = "0".repeat(32);
const ALL_NODES = parseIpv6Address("ff02::1");
const DHCP_SERVERS = parseIpv6Address("ff02::1:2");
const LINK_LOCAL = parseIpv6Address("fe80::2");
const LINK_LOCAL_PREFIX = /^fe[89ab]/;
const SOLICITED_NODE = "ff0200000000000000000001ff";
const [DHCP_CLIENT_PORT, DHCP_SERVER_PORT] = [546, 547] as const;
const [UNREACHABLE, ECHO_REQUEST, ECHO_REPLY] = [1, 128, 129] as const;
/** Codes of "unreachable". */
const [PROHIBITED, PORT] = [1, 4] as const;
/** So often all who once asked for a router hear of it again: what they keep of it runs out (RFC 4861 6.2.4). */
const ADVERTISE_EVERY_MS = 600_000;

export class Gateway6 {
  readonly #options: Gateway6Options;
  readonly address: string;
  readonly dnsAddress: string;
  readonly #reassembler: Reassembler;
  /** Hardware address by IP address, in order of last sight. */
  readonly #neighbours = new Map<string, Uint8Array>();
  readonly #unresolved = new Map<string, () => void>();
  #identification = 0;
  #stopAdvertising: (() => void) | undefined;

  constructor(options: Gateway6Options) {
    this.#options = options;
    this.address = `${options.prefix}0000000000000002`;
    this.dnsAddress = `${options.prefix}0000000000000003`;
    this.#reassembler = new Reassembler(options.timers);
  }

  #isOurs(address: string): boolean {
    return address === this.address || address === this.dnsAddress || address === LINK_LOCAL;
  }

  #isInside(address: string): boolean {
    return address.startsWith(this.#options.prefix) || LINK_LOCAL_PREFIX.test(address);
  }

  /** The guest that has this address, by its hardware address, 12 hexadecimal digits. */
  guestOf(address: string): string | undefined {
    const mac = this.#neighbours.get(address);
    return mac && Buffer.from(mac).toString("hex");
  }

  /** @param frame of an IPv6 packet, for us or for many. @param isOffloaded its checksum is still to be made */
  receive(frame: Uint8Array, isOffloaded: boolean): void {
    const fragment = parseIpv6(frame.subarray(14));
    if (!fragment) return;
    this.#learn(fragment.source, frame.subarray(6, 12));
    const packet = this.#reassembler.add(fragment);
    if (packet) this.#receivePacket(packet, isOffloaded);
  }

  #learn(address: string, mac: Uint8Array): void {
    if (!this.#isInside(address) || this.#isOurs(address)) return;
    this.#neighbours.delete(address);
    if (this.#neighbours.size >= MAX_NEIGHBOURS) this.#neighbours.delete(this.#neighbours.keys().next().value!);
    this.#neighbours.set(address, mac.slice());
    const waiting = this.#unresolved.get(address);
    this.#unresolved.delete(address);
    waiting?.();
  }

  #receivePacket(packet: Ipv6Packet, isOffloaded: boolean): void {
    const { source, target, protocol } = packet;
    if (source.startsWith("ff")) return;
    if (protocol === PROTOCOL_ICMP6) return void this.#receiveIcmp(packet);
    const isTransport = protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP;
    if (isTransport && !isTransportRight(packet, isOffloaded)) return;
    if (protocol === PROTOCOL_UDP && this.#receiveDhcp(packet)) return;
    if (target.startsWith("ff") || !this.#neighbours.has(source)) return;
    if (this.#isInside(target) && !this.#isOurs(target)) return;
    if (!isTransport) return void this.#refuse(packet, PROHIBITED);
    const isTaken = protocol === PROTOCOL_TCP ? this.#options.onTcp(packet) : this.#options.onUdp(packet);
    if (!isTaken) this.#refuse(packet, this.#isOurs(target) ? PORT : PROHIBITED);
  }

  /** @returns whether it was for the DHCP server */
  #receiveDhcp({ source, target, payload }: Ipv6Packet): boolean {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    if (view.getUint16(2) !== DHCP_SERVER_PORT || (target !== DHCP_SERVERS && !this.#isOurs(target))) return false;
    const message = payload.subarray(8, view.getUint16(4));
    const answer = answerDhcp6(message, this.#options.mac, ipv6Bytes(this.dnsAddress));
    if (answer) this.sendUdp(source, LINK_LOCAL, DHCP_SERVER_PORT, DHCP_CLIENT_PORT, answer);
    return true;
  }

  // --- ICMPv6 ---

  #receiveIcmp(packet: Ipv6Packet): void {
    const { source, target, payload, hopLimit } = packet;
    if (payload.length < 8 || transportChecksum(source, target, PROTOCOL_ICMP6, payload) !== 0) return;
    const isLocal = hopLimit === ND_HOP_LIMIT && payload[1] === 0;
    switch (payload[0]) {
      case ND.routerSolicitation:
        if (isLocal) this.#advertise();
        return;
      case ND.solicitation:
        if (isLocal && payload.length >= 24) this.#answerSolicitation(source, readIpv6Address(payload, 8));
        return;
      case ND.advertisement:
        // Its sender was learned; that it speaks for others isn't believed.
        return;
      case ECHO_REQUEST: {
        if (target.startsWith("ff") || !this.#neighbours.has(source)) return;
        if (!this.#isOurs(target)) {
          if (!this.#isInside(target)) this.#refuse(packet, PROHIBITED);
          return;
        }
        const reply = payload.slice();
        reply[0] = ECHO_REPLY;
        return void this.#sendIcmp(source, target, reply);
      }
    }
  }

  #answerSolicitation(source: string, target: string): void {
    if (!this.#isOurs(target)) return;
    // Who has no address yet asks whether it may take this one (RFC 4862 5.4): all are told that it may not.
    const isAnswer = source !== UNSPECIFIED;
    const message = neighbourAdvertisement(ipv6Bytes(target), this.#options.mac, isAnswer);
    this.#sendIcmp(isAnswer ? source : ALL_NODES, target, message, ND_HOP_LIMIT);
  }

  #advertise(): void {
    const { mac, prefix, timers } = this.#options;
    this.#stopAdvertising?.();
    this.#stopAdvertising = timers.after(ADVERTISE_EVERY_MS, () => this.#advertise());
    const message = routerAdvertisement({
      ...{ mac, mtu: MTU, prefixLength: 64, nameServer: ipv6Bytes(this.dnsAddress) },
      prefix: ipv6Bytes(prefix.padEnd(32, "0")),
    });
    this.#sendIcmp(ALL_NODES, LINK_LOCAL, message, ND_HOP_LIMIT);
  }

  /** Tells its sender that a packet goes nowhere. @param code of RFC 4443's "destination unreachable" */
  #refuse(packet: Ipv6Packet, code: number): void {
    const whole = buildIpv6(packet, packet.hopLimit);
    const message = new Uint8Array(8 + Math.min(whole.length, MIN_MTU - 48));
    message[0] = UNREACHABLE;
    message[1] = code;
    message.set(whole.subarray(0, message.length - 8), 8);
    this.#sendIcmp(packet.source, this.address, message);
  }

  #sendIcmp(to: string, from: string, message: Uint8Array, hopLimit?: number): void {
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    view.setUint16(2, 0);
    view.setUint16(2, transportChecksum(from, to, PROTOCOL_ICMP6, message));
    this.#send(to, from, PROTOCOL_ICMP6, message, hopLimit);
  }

  // --- to guests ---

  sendUdp(to: string, from: string, sourcePort: number, targetPort: number, data: Uint8Array): void {
    this.#send(to, from, PROTOCOL_UDP, udpDatagram(from, to, sourcePort, targetPort, data));
  }

  /** @param segment without its checksum. @param segmentSize payload that fits the wire: longer segments go out to be cut */
  sendTcp(to: string, from: string, segment: Uint8Array, segmentSize: number): void {
    if (sumTcp(from, to, segment, segmentSize)) return void this.#send(to, from, PROTOCOL_TCP, segment);
    const mac = this.#neighbours.get(to);
    if (!mac) return;
    const packet = buildIpv6({ source: from, target: to, protocol: PROTOCOL_TCP, payload: segment });
    this.#options.send(this.#frame(mac, packet), { kind: "tcp6", segmentSize });
  }

  #send(to: string, from: string, protocol: number, payload: Uint8Array, hopLimit?: number): void {
    // RFC 2464 7
    const group = Uint8Array.of(0x33, 0x33, ...Buffer.from(to.slice(24), "hex"));
    const mac = to.startsWith("ff") ? group : this.#neighbours.get(to);
    if (!mac) return void this.#resolve(to, () => this.#send(to, from, protocol, payload, hopLimit));
    const packet = { source: from, target: to, protocol, payload };
    if (hopLimit !== undefined) return void this.#options.send(this.#frame(mac, buildIpv6(packet, hopLimit)));
    this.#identification = (this.#identification + 1) >>> 0;
    for (const piece of fragmentIpv6({ ...packet, identification: this.#identification }, MTU))
      this.#options.send(this.#frame(mac, piece));
  }

  #frame(mac: Uint8Array, packet: Uint8Array): Uint8Array {
    const frame = new Uint8Array(HEADERS - 40 + packet.length);
    frame.set(mac);
    frame.set(this.#options.mac, 6);
    frame[12] = ETHERTYPE_IPV6 >> 8;
    frame[13] = ETHERTYPE_IPV6 & 0xff;
    frame.set(packet, 14);
    return frame;
  }

  /** Asks who has an address of the network; what is to be sent there waits. */
  #resolve(address: string, send: () => void): void {
    if (!this.#isInside(address)) return;
    if (this.#unresolved.size >= MAX_UNRESOLVED && !this.#unresolved.has(address))
      this.#unresolved.delete(this.#unresolved.keys().next().value!);
    this.#unresolved.set(address, send);
    const message = neighbourSolicitation(ipv6Bytes(address), this.#options.mac);
    this.#sendIcmp(`${SOLICITED_NODE}${address.slice(26)}`, LINK_LOCAL, message, ND_HOP_LIMIT);
  }

  close(): void {
    this.#unresolved.clear();
    this.#stopAdvertising?.();
  }
}
