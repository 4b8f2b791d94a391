// Captures what passes a port into a pcap file (draft-ietf-opsawg-pcap): the variant with nanoseconds, Ethernet link type,
// little-endian. Wireshark and tcpdump read it.

import { MAX_FRAME_SIZE, type PacketPort } from "./packet-port.js";

const MAGIC_NANOSECONDS = 0xa1b23c4d;
const LINKTYPE_ETHERNET = 1;
const NS_PER_SECOND = 1_000_000_000n;

export interface PcapSink {
  /** Takes all of it, at once or later. Must not throw. */
  write(bytes: Uint8Array): void;
}

/** The file's header. */
export function pcapHeader(snapLength = MAX_FRAME_SIZE): Uint8Array {
  const header = new DataView(new ArrayBuffer(24));
  header.setUint32(0, MAGIC_NANOSECONDS, true);
  header.setUint16(4, 2, true);
  header.setUint16(6, 4, true);
  header.setUint32(16, snapLength, true);
  header.setUint32(20, LINKTYPE_ETHERNET, true);
  return new Uint8Array(header.buffer);
}

/** One packet. @param wall nanoseconds since 1970 */
export function pcapRecord(frame: Uint8Array, wall: bigint, snapLength = MAX_FRAME_SIZE): Uint8Array {
  const captured = Math.min(frame.length, snapLength);
  const record = new Uint8Array(16 + captured);
  const view = new DataView(record.buffer);
  view.setUint32(0, Number((wall / NS_PER_SECOND) & 0xffffffffn), true);
  view.setUint32(4, Number(wall % NS_PER_SECOND), true);
  view.setUint32(8, captured, true);
  view.setUint32(12, frame.length, true);
  record.set(frame.subarray(0, captured), 16);
  return record;
}

export interface CaptureOptions {
  readonly sink: PcapSink;
  /** Nanoseconds since 1970. */
  readonly wall: () => bigint;
  /** Bytes kept of each frame. */
  readonly snapLength?: number;
}

/** The same port, with both directions written to `sink`. Use it in place of `port` from then on. */
export function capturePort(port: PacketPort, { sink, wall, snapLength = MAX_FRAME_SIZE }: CaptureOptions): PacketPort {
  sink.write(pcapHeader(snapLength));
  const record = (frame: Uint8Array) => sink.write(pcapRecord(frame, wall(), snapLength));
  return {
    name: port.name,
    takesOffload: port.takesOffload,
    get wantsOffload() {
      return port.wantsOffload;
    },
    set wantsOffload(wants) {
      port.wantsOffload = wants;
    },
    send(frame, offload) {
      record(frame);
      port.send(frame, offload);
    },
    get onFrame() {
      return port.onFrame;
    },
    set onFrame(handler) {
      port.onFrame = (frame, offload) => {
        record(frame);
        handler(frame, offload);
      };
    },
    close: () => port.close(),
  };
}
