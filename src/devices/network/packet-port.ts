// The socket between everything that carries Ethernet frames: vifs, bridges, user-mode networking, TAP devices, links between
// hosts. One side sends, the other is called back. A frame starts with the destination address, has no frame check sequence, and
// must not change after it was sent: receivers keep it without copying.

import { finishFrame, type Offload } from "./offload.js";

export type FrameHandler = (frame: Uint8Array, offload?: Offload) => void;

export interface PacketPort {
  /** For messages. */
  readonly name: string;
  /** Whether `send` takes frames with an offload. The TCP checksum field of such a frame holds the
   * sum of the pseudo-header: whoever cuts it or computes it fills in the rest. */
  readonly takesOffload: boolean;
  /** Set by a receiver that can handle offload; for others frames are cut before. */
  wantsOffload: boolean;
  /** Never throws and never waits: what can't be carried is lost, as on a wire. No effect after `close`. */
  send(frame: Uint8Array, offload?: Offload): void;
  /** Called for each frame that arrives. Set by the receiver; must not throw. */
  onFrame: FrameHandler;
  /** Nothing is sent or received any more. Closing twice does no harm. */
  close(): void;
}

/** Shorter ones hold no Ethernet header. */
export const ETHERNET_HEADER_SIZE = 14;
/** The largest frame anything here carries: 64 KiB of IP packet with its header and a VLAN tag. */
export const MAX_FRAME_SIZE = 65_535 + 18;

export function isFrameSize(length: number): boolean {
  return length >= ETHERNET_HEADER_SIZE && length <= MAX_FRAME_SIZE;
}

export const ignoreFrame: FrameHandler = () => {};

/** Calls the receiver of `port`, with segments when it can't take the whole. */
export function handOver(port: PacketPort, frame: Uint8Array, offload: Offload | undefined): void {
  if (!offload || port.wantsOffload) port.onFrame(frame, offload);
  else for (const segment of finishFrame(frame, offload)) port.onFrame(segment);
}

/** Sends through `port`, cut when it can't take the whole. */
export function sendThrough(port: PacketPort, frame: Uint8Array, offload: Offload | undefined): void {
  if (!offload || port.takesOffload) port.send(frame, offload);
  else for (const segment of finishFrame(frame, offload)) port.send(segment);
}

class PairedPort implements PacketPort {
  readonly name: string;
  readonly takesOffload = true;
  wantsOffload = false;
  onFrame: FrameHandler = ignoreFrame;
  peer: PairedPort | undefined;

  constructor(name: string) {
    this.name = name;
  }

  send(frame: Uint8Array, offload?: Offload): void {
    if (this.peer && isFrameSize(frame.length)) handOver(this.peer, frame, offload);
  }

  close(): void {
    if (this.peer) this.peer.peer = undefined;
    this.peer = undefined;
    this.onFrame = ignoreFrame;
  }
}

/** Two ends of a wire: what one sends, the other receives within the same call. */
export function pairPorts(name: string): [PacketPort, PacketPort] {
  const [a, b] = [new PairedPort(`${name}-a`), new PairedPort(`${name}-b`)];
  a.peer = b;
  b.peer = a;
  return [a, b];
}

/** Joins two ports that others handed out, such as a port of a bridge and a TAP device. */
export function joinPorts(a: PacketPort, b: PacketPort): void {
  a.wantsOffload = b.wantsOffload = true;
  a.onFrame = (frame, offload) => sendThrough(b, frame, offload);
  b.onFrame = (frame, offload) => sendThrough(a, frame, offload);
}
