// A link over a Unix stream socket: each frame after its length in 4 bytes, big-endian, as QEMU (`-netdev stream`), passt and
// gvproxy speak it. The other side isn't trusted: a length that no frame has ends the link.

import { connect, createServer, type Server, type Socket } from "node:net";
import type { Offload } from "./offload.js";
import { type FrameHandler, ignoreFrame, isFrameSize, MAX_FRAME_SIZE, type PacketPort } from "./packet-port.js";

/** What waits in the socket before frames are lost, bytes. */
const MAX_QUEUED = 4 * 1024 * 1024;

export class StreamLink implements PacketPort {
  readonly name: string;
  readonly takesOffload = false;
  wantsOffload = false;
  onFrame: FrameHandler = ignoreFrame;
  readonly #socket: Socket;
  #received: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  #dropped = 0;
  #finish: (reason: string) => void = () => {};
  /** Done when the link has ended, with the reason. */
  readonly ended = new Promise<string>((resolve) => (this.#finish = resolve));

  constructor(name: string, socket: Socket) {
    this.name = name;
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("error", (error) => this.#finish(error.message));
    socket.on("close", () => this.#finish("closed"));
  }

  /** Frames lost because the other side didn't read. */
  get dropped(): number {
    return this.#dropped;
  }

  send(frame: Uint8Array, _offload?: Offload): void {
    if (this.#socket.destroyed || !this.#socket.writable || !isFrameSize(frame.length)) return;
    if (this.#socket.writableLength > MAX_QUEUED) {
      this.#dropped++;
      return;
    }
    const message = Buffer.allocUnsafe(4 + frame.length);
    message.writeUInt32BE(frame.length);
    message.set(frame, 4);
    this.#socket.write(message);
  }

  #take(chunk: Buffer): void {
    let rest = this.#received.length > 0 ? Buffer.concat([this.#received, chunk]) : chunk;
    while (rest.length >= 4) {
      const length = rest.readUInt32BE();
      if (length > MAX_FRAME_SIZE) {
        this.#finish(`the other side announced a frame of ${length} bytes`);
        return void this.#socket.destroy();
      }
      if (rest.length < 4 + length) break;
      if (isFrameSize(length)) this.onFrame(Uint8Array.from(rest.subarray(4, 4 + length)));
      rest = rest.subarray(4 + length);
    }
    this.#received = rest;
  }

  close(): void {
    this.onFrame = ignoreFrame;
    this.#socket.destroy();
  }
}

/** Joins a link that listens at `path`. @throws what the connection attempt met */
export function connectStreamLink(path: string): Promise<StreamLink> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(new StreamLink(`stream:unix:${path}`, socket));
    });
  });
}

/** Waits at `path` for others; each that comes is handed out. @returns what ends the waiting. @throws when `path` is in use */
export function listenStreamLink(path: string, onLink: (link: StreamLink) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => onLink(new StreamLink(`stream:unix:${path}`, socket)));
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve(server);
    });
  });
}

/** The waiting end as a port: whoever connects last has the link, and frames are lost while nobody does. */
export class ListeningPort implements PacketPort {
  readonly name: string;
  readonly takesOffload = false;
  wantsOffload = false;
  onFrame: FrameHandler = ignoreFrame;
  #link: StreamLink | undefined;
  #server: Server | undefined;

  private constructor(path: string) {
    this.name = `stream:unix:${path}`;
  }

  /** @throws when `path` is in use */
  static async open(path: string): Promise<ListeningPort> {
    const port = new ListeningPort(path);
    port.#server = await listenStreamLink(path, (link) => port.#accept(link));
    port.#server.unref();
    return port;
  }

  #accept(link: StreamLink): void {
    this.#link?.close();
    this.#link = link;
    link.onFrame = (frame) => this.onFrame(frame);
  }

  send(frame: Uint8Array): void {
    this.#link?.send(frame);
  }

  close(): void {
    this.onFrame = ignoreFrame;
    this.#server?.close();
    this.#link?.close();
    this.#link = undefined;
  }
}
