// A Unix socket of this process alone (mode 0600): put in place of one that nobody answers at, never of one in use, and taken away at
// its end unless another process has replaced it meanwhile.

import { chmod, lstat, rename, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { XenError } from "./errors.js";

/** sockaddr_un. */
const MAX_PATH_BYTES = 107;

export class UnixListener {
  readonly path: string;
  readonly #server: Server;
  #inode = 0;

  private constructor(path: string, onConnection: (socket: Socket) => void) {
    this.path = path;
    this.#server = createServer(onConnection);
  }

  /**
   * @param what the socket is for, as in "XenStore"
   * @throws XenError bad-argument: the path is too long, in use, or can't be made
   */
  static async listen(path: string, what: string, onConnection: (socket: Socket) => void): Promise<UnixListener> {
    if (Buffer.byteLength(path) > MAX_PATH_BYTES)
      throw new XenError("bad-argument", `${path}: a socket's path can have ${MAX_PATH_BYTES} bytes`);
    const made = new UnixListener(path, onConnection);
    try {
      await made.#listen(what);
    } catch (error) {
      if (error instanceof XenError) throw error;
      throw new XenError("bad-argument", `${path}: ${(error as Error).message}`, { cause: error });
    }
    return made;
  }

  /** Under a name that nobody knows until the mode is right. */
  async #listen(what: string): Promise<void> {
    const own = `${this.path.slice(0, MAX_PATH_BYTES - 8)}.${process.pid % 1_000_000}`;
    if (await isAnswering(this.path))
      throw new XenError("bad-argument", `${this.path}: another host's ${what} answers there`);
    const present = await lstat(this.path).catch(() => undefined);
    if (present && !present.isSocket()) throw new XenError("bad-argument", `${this.path}: is there and no socket`);
    await rm(own, { force: true });
    await new Promise<void>((resolve, reject) => this.#server.once("error", reject).listen(own, resolve));
    await chmod(own, 0o600);
    this.#inode = (await lstat(own)).ino;
    await rename(own, this.path);
    this.#server.unref();
  }

  /** Accepts no more; connections are their owner's. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const present = await lstat(this.path).catch(() => undefined);
    if (present?.ino === this.#inode) await rm(this.path, { force: true });
    await closed;
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
