// Segmentation and checksum offload in software: a TCP packet of up to 64 KiB becomes segments that fit the wire, as a network card with TSO
// makes them. Sequence numbers go on, FIN and PSH are the last segment's, CWR the first's (RFC 3168 6.1.2), IPv4
// identifications count up.

import { internetChecksum } from "./checksum.js";
import { completeChecksum, findTransport, PROTOCOL_TCP } from "./transport.js";

/** A TCP packet longer than the wire takes, to be cut into segments of so much payload. */
export interface Segmentation {
  readonly kind: "tcp4" | "tcp6";
  /** Bytes of TCP payload in each segment. */
  readonly segmentSize: number;
}

/** What the sender left to others. "checksum": only the TCP or UDP checksum's rest. */
export type Offload = Segmentation | { readonly kind: "checksum" };
export const CHECKSUM_ONLY: Offload = { kind: "checksum" };

const FLAGS = 13;
const FIN_PSH = 0x09;
const CWR = 0x80;
/** Fewer bytes of payload per segment would turn one packet into thousands. */
const MIN_SEGMENT_SIZE = 128;

/** Frames for who takes no offload. [] when the frame isn't what `offload` says. */
export function finishFrame(frame: Uint8Array, offload: Offload): Uint8Array[] {
  if (offload.kind !== "checksum") return cutSegments(frame, offload);
  const copy = frame.slice();
  completeChecksum(copy);
  return [copy];
}

/** The segments, with all checksums; [] when the frame isn't such a packet. */
export function cutSegments(frame: Uint8Array, { kind, segmentSize }: Segmentation): Uint8Array[] {
  const transport = findTransport(frame);
  if (!transport || transport.protocol !== PROTOCOL_TCP || transport.version !== (kind === "tcp4" ? 4 : 6)) return [];
  const { network, offset, end } = transport;
  if (end - offset < 20 || segmentSize < MIN_SEGMENT_SIZE) return [];
  const payload = offset + (frame[offset + 12]! >> 4) * 4;
  if (payload < offset + 20 || payload > end) return [];
  const source = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const sequence = source.getUint32(offset + 4);
  const identification = source.getUint16(network + 4);
  const segments: Uint8Array[] = [];
  for (let at = payload, index = 0; at < end || index === 0; at += segmentSize, index++) {
    const data = frame.subarray(at, Math.min(at + segmentSize, end));
    const segment = new Uint8Array(payload + data.length);
    segment.set(frame.subarray(0, payload));
    segment.set(data, payload);
    const view = new DataView(segment.buffer);
    if (kind === "tcp4") {
      view.setUint16(network + 2, segment.length - network);
      view.setUint16(network + 4, (identification + index) & 0xffff);
      view.setUint16(network + 10, 0);
      view.setUint16(network + 10, internetChecksum(segment, network, offset));
    } else view.setUint16(network + 4, segment.length - network - 40);
    view.setUint32(offset + 4, (sequence + at - payload) >>> 0);
    if (at + segmentSize < end) segment[offset + FLAGS]! &= ~FIN_PSH;
    if (index > 0) segment[offset + FLAGS]! &= ~CWR;
    completeChecksum(segment);
    segments.push(segment);
  }
  return segments;
}
