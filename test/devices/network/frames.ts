// Frames that the network tests send: built here from the RFCs, apart from the code under test.

import { internetChecksum } from "../../../src/devices/network/checksum.js";
import { completeChecksum } from "../../../src/devices/network/transport.js";

export const MAC_A = Uint8Array.of(0x00, 0x16, 0x3e, 0, 0, 0x0a);
export const MAC_B = Uint8Array.of(0x00, 0x16, 0x3e, 0, 0, 0x0b);
export const BROADCAST = new Uint8Array(6).fill(0xff);

export const address = (text: string): Uint8Array => Uint8Array.from(text.split(".").map(Number));

export function ethernet(to: Uint8Array, from: Uint8Array, type: number, payload: Uint8Array): Uint8Array {
  return Uint8Array.from([...to, ...from, type >> 8, type & 0xff, ...payload]);
}

export interface Ipv4Fields {
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  readonly payload: Uint8Array;
  readonly fragment?: number;
  readonly id?: number;
}

export function ipv4({ from, to, protocol, payload, fragment = 0, id = 7 }: Ipv4Fields): Uint8Array {
  const packet = new Uint8Array(20 + payload.length);
  const view = new DataView(packet.buffer);
  packet[0] = 0x45;
  view.setUint16(2, packet.length);
  view.setUint16(4, id);
  view.setUint16(6, fragment);
  packet[8] = 64;
  packet[9] = protocol;
  packet.set(address(from), 12);
  packet.set(address(to), 16);
  view.setUint16(10, internetChecksum(packet, 0, 20));
  packet.set(payload, 20);
  return packet;
}

export function udp(sourcePort: number, targetPort: number, payload: Uint8Array): Uint8Array {
  const datagram = new Uint8Array(8 + payload.length);
  const view = new DataView(datagram.buffer);
  view.setUint16(0, sourcePort);
  view.setUint16(2, targetPort);
  view.setUint16(4, datagram.length);
  datagram.set(payload, 8);
  return datagram;
}

export interface TcpFields {
  readonly sourcePort: number;
  readonly targetPort: number;
  readonly sequence: number;
  readonly acknowledgment?: number;
  readonly flags: number;
  readonly window?: number;
  readonly options?: Uint8Array;
  readonly payload?: Uint8Array;
}

export function tcp(fields: TcpFields): Uint8Array {
  const { options = new Uint8Array(0), payload = new Uint8Array(0) } = fields;
  const segment = new Uint8Array(20 + options.length + payload.length);
  const view = new DataView(segment.buffer);
  view.setUint16(0, fields.sourcePort);
  view.setUint16(2, fields.targetPort);
  view.setUint32(4, fields.sequence >>> 0);
  view.setUint32(8, (fields.acknowledgment ?? 0) >>> 0);
  segment[12] = ((20 + options.length) / 4) << 4;
  segment[13] = fields.flags;
  view.setUint16(14, fields.window ?? 65535);
  segment.set(options, 20);
  segment.set(payload, 20 + options.length);
  return segment;
}

/** An IPv4 packet in a frame, its transport checksum filled in. */
export function ipFrame(to: Uint8Array, from: Uint8Array, fields: Ipv4Fields): Uint8Array {
  const frame = ethernet(to, from, 0x0800, ipv4(fields));
  if (fields.fragment === undefined) completeChecksum(frame);
  return frame;
}

export const text = (value: string): Uint8Array => new TextEncoder().encode(value);
