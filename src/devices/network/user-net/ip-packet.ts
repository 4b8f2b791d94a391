// What IPv4 and IPv6 packets have in common for who carries them on: addresses, transport checksums, reassembly in bounded memory.

import { foldSum, sumWords } from "../checksum.js";
import type { Timers } from "../timers.js";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../transport.js";

/** IPv4: an unsigned 32-bit number. IPv6: 32 hexadecimal digits in lower case. */
export type IpAddress = number | string;

export interface IpPacket {
  readonly source: IpAddress;
  readonly target: IpAddress;
  readonly protocol: number;
  readonly payload: Uint8Array;
}

export interface IpFragment extends IpPacket {
  readonly identification: number;
  /** Bytes from the start of the whole packet's payload. */
  readonly fragmentOffset: number;
  readonly hasMoreFragments: boolean;
}

function addressSum(address: IpAddress): number {
  if (typeof address === "number") return (address >>> 16) + (address & 0xffff);
  let sum = 0;
  for (let at = 0; at < 32; at += 4) sum += Number.parseInt(address.slice(at, at + 4), 16);
  return sum;
}

/** What TCP, UDP and ICMPv6 checksums cover beside the segment, not folded. */
function pseudoHeaderSum(source: IpAddress, target: IpAddress, protocol: number, length: number): number {
  return addressSum(source) + addressSum(target) + protocol + length;
}

/** Over pseudo-header and segment, with whatever stands in the checksum field. */
export function transportChecksum(source: IpAddress, target: IpAddress, protocol: number, segment: Uint8Array): number {
  return foldSum(sumWords(segment, 0, segment.length, pseudoHeaderSum(source, target, protocol, segment.length)));
}

export function udpDatagram(
  source: IpAddress,
  target: IpAddress,
  sourcePort: number,
  targetPort: number,
  data: Uint8Array,
): Uint8Array {
  const datagram = new Uint8Array(8 + data.length);
  const view = new DataView(datagram.buffer);
  view.setUint16(0, sourcePort);
  view.setUint16(2, targetPort);
  view.setUint16(4, datagram.length);
  datagram.set(data, 8);
  view.setUint16(6, transportChecksum(source, target, PROTOCOL_UDP, datagram) || 0xffff);
  return datagram;
}

/**
 * Fills in a TCP segment's checksum. Returns whether it fits the wire, with `segmentSize` bytes of payload at most; for one that doesn't
 * the sum covers the pseudo-header alone, and whoever cuts the segment fills in the rest.
 */
export function sumTcp(source: IpAddress, target: IpAddress, segment: Uint8Array, segmentSize: number): boolean {
  const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength);
  const headerSize = (segment[12]! >> 4) * 4;
  const isWhole = segment.length - headerSize <= segmentSize;
  const sum = isWhole
    ? transportChecksum(source, target, PROTOCOL_TCP, segment)
    : ~foldSum(pseudoHeaderSum(source, target, PROTOCOL_TCP, segment.length));
  view.setUint16(16, sum);
  return isWhole;
}

/**
 * Whether a TCP or UDP packet has a whole header, the bytes that it says and a right checksum. UDP without one is right over IPv4 (RFC
 * 768), and not over IPv6 (RFC 8200 8.1). @param isOffloaded the checksum is still to be made
 */
export function isTransportRight({ source, target, protocol, payload }: IpPacket, isOffloaded: boolean): boolean {
  if (protocol === PROTOCOL_TCP)
    return payload.length >= 20 && (isOffloaded || transportChecksum(source, target, protocol, payload) === 0);
  if (protocol !== PROTOCOL_UDP || payload.length < 8) return false;
  const length = (payload[4]! << 8) | payload[5]!;
  if (length < 8 || length > payload.length) return false;
  if (isOffloaded) return true;
  if (payload[6] === 0 && payload[7] === 0) return typeof source === "number";
  return transportChecksum(source, target, protocol, payload.subarray(0, length)) === 0;
}

interface Assembly {
  readonly pieces: { readonly start: number; readonly bytes: Uint8Array }[];
  bytes: number;
  /** Known once the last fragment came. */
  total: number | undefined;
  readonly started: number;
}

/** Of IPv4 with the shortest header; for IPv6 a little less than there could be. */
const MAX_PAYLOAD = 65_515;
const MAX_ASSEMBLIES = 16;
const MAX_PIECES = 64;
const ASSEMBLY_TIMEOUT_MS = 30_000;

export class Reassembler {
  readonly #timers: Timers;
  readonly #assemblies = new Map<string, Assembly>();

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** The whole packet when this fragment completes it, or it never was cut. */
  add<P extends IpFragment>(packet: P): P | undefined {
    if (packet.fragmentOffset === 0 && !packet.hasMoreFragments) return packet;
    const key = `${packet.source} ${packet.target} ${packet.protocol} ${packet.identification}`;
    const assembly = this.#find(key);
    const { fragmentOffset: start, payload } = packet;
    const end = start + payload.length;
    const isWrong =
      payload.length === 0 ||
      end > MAX_PAYLOAD ||
      (packet.hasMoreFragments && payload.length % 8 !== 0) ||
      (assembly.total !== undefined && (end > assembly.total || !packet.hasMoreFragments)) ||
      assembly.pieces.length >= MAX_PIECES ||
      // Overlaps serve only to deceive (RFC 5722 forbids them in IPv6).
      assembly.pieces.some((piece) => start < piece.start + piece.bytes.length && piece.start < end) ||
      (!packet.hasMoreFragments && assembly.pieces.some((piece) => piece.start + piece.bytes.length > end));
    if (isWrong) {
      this.#assemblies.delete(key);
      return undefined;
    }
    assembly.pieces.push({ start, bytes: payload.slice() });
    assembly.bytes += payload.length;
    if (!packet.hasMoreFragments) assembly.total = end;
    if (assembly.bytes !== assembly.total) return undefined;
    this.#assemblies.delete(key);
    const whole = new Uint8Array(assembly.total);
    for (const piece of assembly.pieces) whole.set(piece.bytes, piece.start);
    return { ...packet, fragmentOffset: 0, hasMoreFragments: false, payload: whole };
  }

  #find(key: string): Assembly {
    const now = this.#timers.now();
    for (const [old, { started }] of this.#assemblies)
      if (now - started > ASSEMBLY_TIMEOUT_MS) this.#assemblies.delete(old);
    let assembly = this.#assemblies.get(key);
    if (!assembly) {
      if (this.#assemblies.size >= MAX_ASSEMBLIES) this.#assemblies.delete(this.#assemblies.keys().next().value!);
      assembly = { pieces: [], bytes: 0, total: undefined, started: now };
      this.#assemblies.set(key, assembly);
    }
    return assembly;
  }
}
