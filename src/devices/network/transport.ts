// Finds the transport header in an Ethernet frame: IPv4 (RFC 791), IPv6 with extension headers (RFC 8200), one VLAN tag (802.1Q).
// Everything is checked against the frame's length: frames come from guests.

import { foldSum, sumWords } from "./checksum.js";

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_IPV6 = 0x86dd;
export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
/** Hop-by-hop, routing and destination options: each says in its second byte how many 8-byte units follow the first. */
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 60]);
const MAX_EXTENSIONS = 8;

export interface Transport {
  readonly version: 4 | 6;
  /** Offset of the IP header in the frame. */
  readonly network: number;
  /** Offset of the TCP or UDP header. */
  readonly offset: number;
  /** End of the IP packet: what follows is padding of the frame. */
  readonly end: number;
  readonly protocol: number;
}

const word = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;

/** Undefined for what isn't an unfragmented IP packet that lies whole in the frame. */
export function findTransport(frame: Uint8Array): Transport | undefined {
  if (frame.length < 18) return undefined;
  const isTagged = word(frame, 12) === ETHERTYPE_VLAN;
  const network = isTagged ? 18 : 14;
  switch (word(frame, network - 2)) {
    case ETHERTYPE_IPV4:
      return findInIpv4(frame, network);
    case ETHERTYPE_IPV6:
      return findInIpv6(frame, network);
  }
  return undefined;
}

function findInIpv4(frame: Uint8Array, network: number): Transport | undefined {
  if (frame.length < network + 20 || frame[network]! >> 4 !== 4) return undefined;
  const offset = network + (frame[network]! & 15) * 4;
  const end = network + word(frame, network + 2);
  if (offset < network + 20 || end < offset || end > frame.length) return undefined;
  // More fragments, or not the first.
  if (word(frame, network + 6) & 0x3fff) return undefined;
  return { version: 4, network, offset, end, protocol: frame[network + 9]! };
}

function findInIpv6(frame: Uint8Array, network: number): Transport | undefined {
  if (frame.length < network + 40 || frame[network]! >> 4 !== 6) return undefined;
  const end = network + 40 + word(frame, network + 4);
  if (end > frame.length) return undefined;
  let protocol = frame[network + 6]!;
  let offset = network + 40;
  for (let i = 0; i < MAX_EXTENSIONS && EXTENSIONS.has(protocol); i++) {
    if (offset + 8 > end) return undefined;
    protocol = frame[offset]!;
    offset += (frame[offset + 1]! + 1) * 8;
  }
  return offset > end ? undefined : { version: 6, network, offset, end, protocol };
}

/** Offset of the checksum field in the transport header; undefined for other protocols or a header that is cut off. */
function checksumField({ protocol, offset, end }: Transport): number | undefined {
  if (protocol === PROTOCOL_TCP) return end - offset >= 20 ? offset + 16 : undefined;
  if (protocol === PROTOCOL_UDP) return end - offset >= 8 ? offset + 6 : undefined;
  return undefined;
}

/** Fills in the TCP or UDP checksum over pseudo-header, header and data, in place. False when there is none to fill in. */
export function completeChecksum(frame: Uint8Array, transport = findTransport(frame)): boolean {
  const field = transport && checksumField(transport);
  if (field === undefined) return false;
  const { version, network, offset, end, protocol } = transport!;
  const [addresses, addressesEnd] = version === 4 ? [network + 12, network + 20] : [network + 8, network + 40];
  frame[field] = frame[field + 1] = 0;
  const sum = sumWords(frame, addresses, addressesEnd, protocol + (end - offset));
  // Zero means "none" in UDP, and is sent as its equal (RFC 768).
  const value = foldSum(sumWords(frame, offset, end, sum)) || (protocol === PROTOCOL_UDP ? 0xffff : 0);
  frame[field] = value >> 8;
  frame[field + 1] = value & 0xff;
  return true;
}

/** Whether the TCP or UDP checksum is right; a UDP checksum of zero over IPv4 is. */
export function isChecksumRight(frame: Uint8Array, transport: Transport): boolean {
  const field = checksumField(transport);
  if (field === undefined) return false;
  const { version, network, offset, end, protocol } = transport;
  if (protocol === PROTOCOL_UDP && version === 4 && word(frame, field) === 0) return true;
  const [addresses, addressesEnd] = version === 4 ? [network + 12, network + 20] : [network + 8, network + 40];
  return foldSum(sumWords(frame, offset, end, sumWords(frame, addresses, addressesEnd, protocol + end - offset))) === 0;
}
