// Captures what passes a port into a pcap file (draft-ietf-opsawg-pcap): the variant with nanoseconds, Ethernet link type,
// little-endian. Wireshark and tcpdump read it.

import type { Offload } from "./offload.js";
import { type FrameHandler, ignoreFrame, MAX_FRAME_SIZE, type PacketPort } from "./packet-port.js";

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
export class CapturePoint implements PacketPort {
  readonly #inner: PacketPort;
  readonly #observers = new Set<CaptureObserver>();
  #handler: FrameHandler = ignoreFrame;

  constructor(inner: PacketPort) {
    this.#inner = inner;
    inner.onFrame = (frame, offload) => {
      for (const observe of this.#observers) observe(frame);
      this.#handler(frame, offload);
    };
  }

  get name(): string {
    return this.#inner.name;
  }

  get takesOffload(): boolean {
    return this.#inner.takesOffload;
  }

  get wantsOffload(): boolean {
    return this.#inner.wantsOffload;
  }

  set wantsOffload(wants: boolean) {
    this.#inner.wantsOffload = wants;
  }

  get onFrame(): FrameHandler {
    return this.#handler;
  }

  set onFrame(handler: FrameHandler) {
    this.#handler = handler;
  }

  send(frame: Uint8Array, offload?: Offload): void {
    for (const observe of this.#observers) observe(frame);
    this.#inner.send(frame, offload);
  }

  /** @returns what ends it */
  observe(observer: CaptureObserver): () => void {
    this.#observers.add(observer);
    return () => void this.#observers.delete(observer);
  }

  close(): void {
    this.#observers.clear();
    this.#handler = ignoreFrame;
    this.#inner.close();
  }
}
