// The XenStore's Unix socket, which xenstored has too (io/xs_wire.h over a stream): Debian's xenstore-ls, -read, -write, -watch and
// so on use it with XENSTORED_PATH. Who can open it has dom0's rights, so it is its owner's alone. A client that sends nonsense, or
// doesn't read what it asked for, loses its connection; the others don't notice.

import type { Socket } from "node:net";
import type { XenStoreServer } from "../hypervisor/xenstore/server.js";
import { WireError } from "../hypervisor/xenstore/wire.js";
import { UnixListener } from "./unix-listener.js";

const MAX_CLIENTS = 256;
/** Answers that wait for a client: no more is read from it. */
const MAX_UNREAD = 1 << 18;
/** Watch events on top of them: it is disconnected. */
const MAX_UNSENT = 1 << 22;

export class StoreSocket {
  readonly path: string;
  readonly #store: XenStoreServer;
  readonly #clients = new Set<Socket>();
  #listener: UnixListener | undefined;

  private constructor(path: string, store: XenStoreServer) {
    this.path = path;
    this.#store = store;
  }

  /** @throws XenError bad-argument: the path is too long, in use by another host, or can't be made */
  static async listen(path: string, store: XenStoreServer): Promise<StoreSocket> {
    const made = new StoreSocket(path, store);
    made.#listener = await UnixListener.listen(path, "XenStore", (socket) => made.#accept(socket));
    return made;
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
    await this.#listener?.close();
  }
}
