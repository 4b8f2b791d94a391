// A port that stands in the place of another and sees what passes it: whoever uses it finds the other's properties.

import type { Offload } from "./offload.js";
import { type FrameHandler, ignoreFrame, type PacketPort } from "./packet-port.js";

export abstract class WrappedPort implements PacketPort {
  protected readonly inner: PacketPort;
  /** Who uses this port. */
  onFrame: FrameHandler = ignoreFrame;

  constructor(inner: PacketPort) {
    this.inner = inner;
  }

  get name(): string {
    return this.inner.name;
  }

  get takesOffload(): boolean {
    return this.inner.takesOffload;
  }

  get wantsOffload(): boolean {
    return this.inner.wantsOffload;
  }

  set wantsOffload(wants: boolean) {
    this.inner.wantsOffload = wants;
  }

  abstract send(frame: Uint8Array, offload?: Offload): void;
  abstract close(): void;
}
