// The XenStore's Unix socket, which xenstored has too (io/xs_wire.h over a stream): Debian's xenstore-ls, -read, -write, -watch and
// so on use it with XENSTORED_PATH. Who can open it has dom0's rights, so it is its owner's alone. A client that sends nonsense, or
// doesn't read what it asked for, loses its connection; the others don't notice.

import { chmod, lstat, rename, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { XenStoreServer } from "../hypervisor/xenstore/server.js";
import { WireError } from "../hypervisor/xenstore/wire.js";
import { XenError } from "./errors.js";

const MAX_CLIENTS = 256;
/** Answers that wait for a client: no more is read from it. */
const MAX_UNREAD = 1 << 18;
/** Watch events on top of them: it is disconnected. */
const MAX_UNSENT = 1 << 22;
/** sockaddr_un. */
const MAX_PATH_BYTES = 107;

export class StoreSocket {
  readonly path: string;
  readonly #server: Server;
  readonly #store: XenStoreServer;
  readonly #clients = new Set<Socket>();
  #inode = 0;

  private constructor(path: string, store: XenStoreServer) {
    this.path = path;
    this.#store = store;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** @throws XenError bad-argument: the path is too long, in use by another host, or can't be made */
  static async listen(path: string, store: XenStoreServer): Promise<StoreSocket> {
    if (Buffer.byteLength(path) > MAX_PATH_BYTES)
      throw new XenError("bad-argument", `${path}: a socket's path can have ${MAX_PATH_BYTES} bytes`);
    const made = new StoreSocket(path, store);
    try {
      await made.#listen();
    } catch (error) {
      if (error instanceof XenError) throw error;
      throw new XenError("bad-argument", `${path}: ${(error as Error).message}`, { cause: error });
    }
    return made;
  }

  /** Under a name that nobody knows until the mode is right. */
  async #listen(): Promise<void> {
    const own = `${this.path.slice(0, MAX_PATH_BYTES - 8)}.${process.pid % 1_000_000}`;
    if (await isAnswering(this.path))
      throw new XenError("bad-argument", `${this.path}: another host's XenStore answers there`);
    await rm(own, { force: true });
    await new Promise<void>((resolve, reject) => this.#server.once("error", reject).listen(own, resolve));
    await chmod(own, 0o600);
    this.#inode = (await lstat(own)).ino;
    await rename(own, this.path);
    this.#server.unref();
  }

  get clients(): number {
    return this.#clients.size;
  }

  #accept(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    if (this.#clients.size >= MAX_CLIENTS) return void socket.destroy();
    this.#clients.add(socket.unref());
    const session = this.#store.open((message) => {
      if (socket.destroyed) return;
      socket.write(message);
      if (socket.writableLength > MAX_UNSENT) socket.destroy();
    });
    socket.on("data", (bytes) => {
      try {
        session.receive(bytes);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        socket.destroy();
      }
      if (socket.writableLength > MAX_UNREAD) socket.pause();
    });
    socket.on("drain", () => socket.resume());
    socket.on("close", () => {
      this.#clients.delete(socket);
      session.close();
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#clients) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // Unless another host has taken its place.
    const present = await lstat(this.path).catch(() => undefined);
    if (present?.ino === this.#inode) await rm(this.path, { force: true });
  }
}

function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code === "EAGAIN"));
  });
}
