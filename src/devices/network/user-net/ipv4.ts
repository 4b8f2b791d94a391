// IPv4 packets of user-mode networking (RFC 791): parsing with every length checked, building. Addresses are unsigned 32-bit numbers.

import { internetChecksum } from "../checksum.js";
import type { IpFragment } from "./ip-packet.js";

export interface Ipv4Packet extends IpFragment {
  readonly source: number;
  readonly target: number;
}

const HEADER_SIZE = 20;
const TIME_TO_LIVE = 64;

/** @throws RangeError for what isn't a dotted address */
export function parseAddress(text: string): number {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (!parts || parts.some((part) => part > 255)) throw new RangeError(`${text}: not an IPv4 address`);
  return parts.reduce((address, part) => address * 256 + part, 0);
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}

/** Undefined when the header is broken or its checksum wrong. */
export function parseIpv4(bytes: Uint8Array): Ipv4Packet | undefined {
  if (bytes.length < HEADER_SIZE || bytes[0]! >> 4 !== 4) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerSize = (bytes[0]! & 15) * 4;
  const total = view.getUint16(2);
  if (headerSize < HEADER_SIZE || total < headerSize || total > bytes.length) return undefined;
  if (internetChecksum(bytes, 0, headerSize) !== 0) return undefined;
  const fragment = view.getUint16(6);
  return {
    source: view.getUint32(12),
    target: view.getUint32(16),
    protocol: bytes[9]!,
    identification: view.getUint16(4),
    fragmentOffset: (fragment & 0x1fff) * 8,
    hasMoreFragments: (fragment & 0x2000) !== 0,
    payload: bytes.subarray(headerSize, total),
  };
}

/** A packet, whole unless it's said to be a fragment (`fragment` as in the header). */
export function buildIpv4(
  source: number,
  target: number,
  protocol: number,
  payload: Uint8Array,
  identification = 0,
  fragment = 0,
): Uint8Array {
  const packet = new Uint8Array(HEADER_SIZE + payload.length);
  putIpv4Header(packet, source, target, protocol, identification, fragment);
  packet.set(payload, HEADER_SIZE);
  return packet;
}

/** The packet as a link of this MTU takes it: whole, or in fragments. */
export function fragmentIpv4(
  { source, target, protocol, identification, payload }: Omit<Ipv4Packet, "fragmentOffset" | "hasMoreFragments">,
  mtu: number,
): Uint8Array[] {
  if (HEADER_SIZE + payload.length <= mtu) return [buildIpv4(source, target, protocol, payload)];
  const step = Math.floor((mtu - HEADER_SIZE) / 8) * 8;
  const fragments: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += step) {
    const more = at + step < payload.length ? 0x2000 : 0;
    fragments.push(
      buildIpv4(source, target, protocol, payload.subarray(at, at + step), identification, more | (at / 8)),
    );
  }
  return fragments;
}

/** Puts the header before the payload that stands in `packet`. */
export function putIpv4Header(
  packet: Uint8Array,
  source: number,
  target: number,
  protocol: number,
  identification = 0,
  fragment = 0,
): void {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  view.setUint8(0, 0x45);
  view.setUint16(2, packet.length);
  view.setUint16(4, identification);
  view.setUint16(6, fragment);
  view.setUint8(8, TIME_TO_LIVE);
  view.setUint8(9, protocol);
  view.setUint32(12, source);
  view.setUint32(16, target);
  view.setUint16(10, 0);
  view.setUint16(10, internetChecksum(packet, 0, HEADER_SIZE));
}
