// IPv4 packets of user-mode networking (RFC 791, 826, 792): parsing with every length checked, building, reassembly in bounded
// memory. Addresses are unsigned 32-bit numbers.

import { foldSum, internetChecksum, sumWords } from "../checksum.js";
import type { Timers } from "../timers.js";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../transport.js";

export interface Ipv4Packet {
  readonly source: number;
  readonly target: number;
  readonly protocol: number;
  readonly identification: number;
  /** Bytes from the start of the whole packet's payload. */
  readonly fragmentOffset: number;
  readonly hasMoreFragments: boolean;
  readonly payload: Uint8Array;
}

const HEADER_SIZE = 20;
const MAX_PAYLOAD = 65_535 - HEADER_SIZE;
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

/** A whole packet. */
export function buildIpv4(source: number, target: number, protocol: number, payload: Uint8Array): Uint8Array {
  return build(source, target, protocol, payload, 0, 0);
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
    fragments.push(build(source, target, protocol, payload.subarray(at, at + step), identification, more | (at / 8)));
  }
  return fragments;
}

function build(
  source: number,
  target: number,
  protocol: number,
  payload: Uint8Array,
  identification: number,
  fragment: number,
): Uint8Array {
  const packet = new Uint8Array(HEADER_SIZE + payload.length);
  const view = new DataView(packet.buffer);
  view.setUint8(0, 0x45);
  view.setUint16(2, packet.length);
  view.setUint16(4, identification);
  view.setUint16(6, fragment);
  view.setUint8(8, TIME_TO_LIVE);
  view.setUint8(9, protocol);
  view.setUint32(12, source);
  view.setUint32(16, target);
  view.setUint16(10, internetChecksum(packet, 0, HEADER_SIZE));
  packet.set(payload, HEADER_SIZE);
  return packet;
}

/** What TCP and UDP checksums cover beside the segment, not folded. */
export function pseudoHeaderSum(source: number, target: number, protocol: number, length: number): number {
  return (source >>> 16) + (source & 0xffff) + (target >>> 16) + (target & 0xffff) + protocol + length;
}

/** Over pseudo-header and segment, with whatever stands in the checksum field. */
export function transportChecksum(source: number, target: number, protocol: number, segment: Uint8Array): number {
  return foldSum(sumWords(segment, 0, segment.length, pseudoHeaderSum(source, target, protocol, segment.length)));
}

/** Of a TCP or UDP packet; UDP without a checksum is right (RFC 768). */
export function isTransportChecksumRight({ source, target, protocol, payload }: Ipv4Packet): boolean {
  if (protocol === PROTOCOL_TCP)
    return payload.length >= 20 && transportChecksum(source, target, protocol, payload) === 0;
  if (protocol !== PROTOCOL_UDP || payload.length < 8) return false;
  const length = (payload[4]! << 8) | payload[5]!;
  if (length < 8 || length > payload.length) return false;
  if (payload[6] === 0 && payload[7] === 0) return true;
  return transportChecksum(source, target, protocol, payload.subarray(0, length)) === 0;
}

interface Assembly {
  readonly pieces: { readonly start: number; readonly bytes: Uint8Array }[];
  bytes: number;
  /** Known once the last fragment came. */
  total: number | undefined;
  readonly started: number;
}

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
  add(packet: Ipv4Packet): Ipv4Packet | undefined {
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
