// IPv6 packets of user-mode networking (RFC 8200): addresses as text (RFC 4291 2.2, 5952), parsing with every length checked, extension
// headers, building. Addresses are 32 hexadecimal digits in lower case.

import { isIPv6 } from "node:net";
import type { IpFragment } from "./ip-packet.js";

export interface Ipv6Packet extends IpFragment {
  readonly source: string;
  readonly target: string;
  readonly hopLimit: number;
}

export const PROTOCOL_ICMP6 = 58;
export const IPV6_HEADER_SIZE = 40;
const FRAGMENT_HEADER_SIZE = 8;
const [HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION] = [0, 43, 44, 60] as const;
const MAX_EXTENSIONS = 8;
const HOP_LIMIT = 64;

/** "fec0::2", also with a zone and with an IPv4 address at its end. @throws RangeError for what isn't an address */
export function parseIpv6Address(text: string): string {
  if (!isIPv6(text)) throw new RangeError(`${text}: not an IPv6 address`);
  const [head = "", tail] = text.replace(/%.*/, "").split("::");
  const words = (part: string) =>
    part
      .split(":")
      .filter((word) => word !== "")
      .flatMap((word) => {
        if (!word.includes(".")) return [Number.parseInt(word, 16)];
        const [a = 0, b = 0, c = 0, d = 0] = word.split(".").map(Number);
        return [a * 256 + b, c * 256 + d];
      });
  const [front, back] = [words(head), tail === undefined ? [] : words(tail)];
  const zeros = Array<number>(8 - front.length - back.length).fill(0);
  return [...front, ...zeros, ...back].map((word) => word.toString(16).padStart(4, "0")).join("");
}

/** The longest run of zeros becomes "::". */
export function formatIpv6Address(address: string): string {
  const words = (address.match(/.{4}/g) ?? []).map((word) => Number.parseInt(word, 16).toString(16));
  const runs = [...words.join(":").matchAll(/(?<![^:])0(?::0)+(?![^:])/g)];
  const longest = runs.reduce((best, [run]) => (run.length > best.length ? run : best), "");
  const text = words.join(":");
  if (longest === "") return text;
  const at = runs.find(([run]) => run === longest)!.index;
  return `${text.slice(0, at).replace(/:$/, "")}::${text.slice(at + longest.length).replace(/^:/, "")}`;
}

export function ipv6Bytes(address: string): Uint8Array {
  return Uint8Array.from(Buffer.from(address, "hex"));
}

export function readIpv6Address(bytes: Uint8Array, at: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, 16).toString("hex");
}

/** Undefined when a header is broken or leads on a way of its own (source routes). */
export function parseIpv6(bytes: Uint8Array): Ipv6Packet | undefined {
  if (bytes.length < IPV6_HEADER_SIZE || bytes[0]! >> 4 !== 6) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = IPV6_HEADER_SIZE + view.getUint16(4);
  if (end > bytes.length) return undefined;
  let protocol = bytes[6]!;
  let at = IPV6_HEADER_SIZE;
  const fragment = { identification: 0, fragmentOffset: 0, hasMoreFragments: false };
  for (let i = 0; i < MAX_EXTENSIONS; i++) {
    const isOptions = protocol === HOP_BY_HOP || protocol === DESTINATION;
    if (!isOptions && protocol !== ROUTING && protocol !== FRAGMENT) break;
    if (at + 8 > end) return undefined;
    // Segments left to visit.
    if (protocol === ROUTING && bytes[at + 3] !== 0) return undefined;
    const isFragment = protocol === FRAGMENT;
    protocol = bytes[at]!;
    if (isFragment) {
      const field = view.getUint16(at + 2);
      fragment.fragmentOffset = field & 0xfff8;
      fragment.hasMoreFragments = (field & 1) !== 0;
      fragment.identification = view.getUint32(at + 4);
      at += FRAGMENT_HEADER_SIZE;
      // What follows belongs to the whole.
      if (fragment.fragmentOffset > 0 || fragment.hasMoreFragments) break;
    } else at += (bytes[at + 1]! + 1) * 8;
  }
  if (at > end) return undefined;
  return {
    ...{ source: readIpv6Address(bytes, 8), target: readIpv6Address(bytes, 24), protocol, hopLimit: bytes[7]! },
    ...fragment,
    payload: bytes.subarray(at, end),
  };
}

type Outgoing = Pick<Ipv6Packet, "source" | "target" | "protocol" | "payload">;

/** A whole packet. */
export function buildIpv6({ source, target, protocol, payload }: Outgoing, hopLimit = HOP_LIMIT): Uint8Array {
  const packet = new Uint8Array(IPV6_HEADER_SIZE + payload.length);
  const view = new DataView(packet.buffer);
  view.setUint8(0, 0x60);
  view.setUint16(4, payload.length);
  view.setUint8(6, protocol);
  view.setUint8(7, hopLimit);
  packet.set(ipv6Bytes(source), 8);
  packet.set(ipv6Bytes(target), 24);
  packet.set(payload, IPV6_HEADER_SIZE);
  return packet;
}

/** The packet as a link of this MTU takes it: whole, or in fragments. */
export function fragmentIpv6(packet: Outgoing & { readonly identification: number }, mtu: number): Uint8Array[] {
  const { payload, protocol, identification } = packet;
  if (IPV6_HEADER_SIZE + payload.length <= mtu) return [buildIpv6(packet)];
  const step = Math.floor((mtu - IPV6_HEADER_SIZE - FRAGMENT_HEADER_SIZE) / 8) * 8;
  const fragments: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += step) {
    const part = payload.subarray(at, at + step);
    const piece = new Uint8Array(FRAGMENT_HEADER_SIZE + part.length);
    const view = new DataView(piece.buffer);
    view.setUint8(0, protocol);
    view.setUint16(2, at | (at + step < payload.length ? 1 : 0));
    view.setUint32(4, identification);
    piece.set(part, FRAGMENT_HEADER_SIZE);
    fragments.push(buildIpv6({ ...packet, protocol: FRAGMENT, payload: piece }));
  }
  return fragments;
}
