// Captures what passes a port into a pcap file (draft-ietf-opsawg-pcap): the variant with nanoseconds, Ethernet link type,
// little-endian. Wireshark and tcpdump read it.

import type { Offload } from "./offload.js";
import { ignoreFrame, MAX_FRAME_SIZE, type PacketPort } from "./packet-port.js";
import { WrappedPort } from "./wrapped-port.js";

const MAGIC_NANOSECONDS = 0xa1b23c4d;
const LINKTYPE_ETHERNET = 1;
const NS_PER_SECOND = 1_000_000_000n;

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

export type CaptureObserver = (frame: Uint8Array) => void;

/** A port that shows what passes it, in both directions, to whoever looks. Use it in place of the port it is made from. */
export class CapturePoint extends WrappedPort {
  readonly #observers = new Set<CaptureObserver>();

  constructor(inner: PacketPort) {
    super(inner);
    inner.onFrame = (frame, offload) => {
      for (const observe of this.#observers) observe(frame);
      this.onFrame(frame, offload);
    };
  }

  send(frame: Uint8Array, offload?: Offload): void {
    for (const observe of this.#observers) observe(frame);
    this.inner.send(frame, offload);
  }

  /** @returns what ends it */
  observe(observer: CaptureObserver): () => void {
    this.#observers.add(observer);
    return () => void this.#observers.delete(observer);
  }

  close(): void {
    this.#observers.clear();
    this.onFrame = ignoreFrame;
    this.inner.close();
  }
}
