// A client of a XenStore over its Unix socket: ours, or a real xenstored's. Paths are absolute, or relative to /local/domain/0;
// values are UTF-8 text.

import { connect, type Socket } from "node:net";
import * as W from "../hypervisor/public/io/xs_wire.js";
import { encodeMessage, type Message, MessageReader, splitStrings, textOf } from "../hypervisor/xenstore/wire.js";
import { XenError } from "./errors.js";

/** The store said no: `errno` is its word, such as ENOENT or EACCES. */
export class XenStoreError extends XenError {
  readonly errno: string;

  constructor(errno: string, message: string) {
    super("xenstore", message);
    this.name = "XenStoreError";
    this.errno = errno;
  }
}

interface Waiting {
  readonly resolve: (message: Message) => void;
  readonly reject: (error: Error) => void;
}

/** Reads and changes, directly or in a transaction. */
export class XenStoreView {
  readonly #request: (type: number, payload: Buffer, transaction: number) => Promise<Message>;
  protected readonly transactionId: number;

  constructor(
    request: (type: number, payload: Buffer, transaction: number) => Promise<Message>,
    transactionId: number,
  ) {
    this.#request = request;
    this.transactionId = transactionId;
  }

  protected async ask(type: number, words: readonly string[], tail = Buffer.alloc(0)): Promise<Message> {
    const payload = Buffer.concat([Buffer.from(words.map((word) => `${word}\0`).join("")), tail]);
    if (payload.length > W.XENSTORE_PAYLOAD_MAX) throw new XenStoreError("E2BIG", `${words[0]}: too long`);
    const reply = await this.#request(type, payload, this.transactionId);
    if (reply.type !== W.XS_ERROR) return reply;
    const errno = textOf(reply.payload).replace(/\0.*$/s, "");
    throw new XenStoreError(errno, `${words[0]}: ${REASONS[errno] ?? errno}`);
  }

  /** @throws XenStoreError ENOENT, EACCES */
  async read(path: string): Promise<string> {
    return Buffer.from(await this.readBytes(path)).toString();
  }

  /** @throws XenStoreError ENOENT, EACCES */
  async readBytes(path: string): Promise<Uint8Array> {
    return (await this.ask(W.XS_READ, [path])).payload;
  }

  async write(path: string, value: string | Uint8Array): Promise<void> {
    await this.ask(W.XS_WRITE, [path], Buffer.from(value));
  }

  async mkdir(path: string): Promise<void> {
    await this.ask(W.XS_MKDIR, [path]);
  }

  /** And all below. */
  async remove(path: string): Promise<void> {
    await this.ask(W.XS_RM, [path]);
  }

  /** Names of the nodes right below. */
  async directory(path: string): Promise<string[]> {
    try {
      return splitStrings((await this.ask(W.XS_DIRECTORY, [path])).payload).strings;
    } catch (error) {
      if (!(error instanceof XenStoreError && error.errno === "E2BIG")) throw error;
      return this.#longDirectory(path);
    }
  }

  /** In parts; from the start again when the names change meanwhile. */
  async #longDirectory(path: string): Promise<string[]> {
    let names: string[] = [];
    let generation = "";
    for (let offset = 0; ; ) {
      const { payload } = await this.ask(W.XS_DIRECTORY_PART, [path, String(offset)]);
      const [current = "", ...part] = splitStrings(payload).strings;
      if (offset > 0 && current !== generation) {
        names = [];
        offset = 0;
        continue;
      }
      generation = current;
      const isLast = part.at(-1) === "";
      for (const name of part) if (name !== "") names.push(name);
      if (isLast || part.length === 0) return names;
      offset += part.reduce((sum, name) => sum + name.length + 1, 0);
    }
  }

  async exists(path: string): Promise<boolean> {
    try {
      await this.ask(W.XS_READ, [path]);
      return true;
    } catch (error) {
      if (error instanceof XenStoreError && error.errno === "ENOENT") return false;
      throw error;
    }
  }

  /** As xenstore writes them: "n0", "r3"; the first names the owner. */
  async permissions(path: string): Promise<string[]> {
    return splitStrings((await this.ask(W.XS_GET_PERMS, [path])).payload).strings;
  }

  async setPermissions(path: string, permissions: readonly string[]): Promise<void> {
    await this.ask(W.XS_SET_PERMS, [path, ...permissions]);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such node",
  EACCES: "permission denied",
  EINVAL: "not a path of XenStore, or not a permission",
  EEXIST: "exists already",
  ENOSPC: "quota exceeded",
  E2BIG: "too long",
};

export class XenStoreClient extends XenStoreView {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #watches = new Map<string, (path: string) => void>();
  readonly #reader = new MessageReader();
  #nextId = 1;
  #nextToken = 1;
  #ended: Error | undefined;
  #fail: (error: Error) => void = () => {};
  /** Rejects when the connection ends. */
  readonly closed = new Promise<never>((_, reject) => (this.#fail = reject));

  private constructor(socket: Socket, path: string) {
    super((type, payload, transaction) => this.#send(type, payload, transaction), 0);
    this.#socket = socket;
    this.closed.catch(() => {});
    socket.on("data", (bytes) => {
      try {
        for (const message of this.#reader.readAll(bytes)) this.#receive(message);
      } catch (error) {
        this.#end(error as Error);
      }
    });
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new XenError("xenstore", `${path}: the XenStore closed the connection`)));
  }

  /** @throws XenError xenstore: nobody answers there */
  static connect(path: string): Promise<XenStoreClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once("error", ({ code, message }: NodeJS.ErrnoException) => {
        const isAbsent = code === "ENOENT" || code === "ECONNREFUSED";
        const reason = isAbsent ? "no XenStore answers there" : message;
        reject(new XenError("xenstore", `${path}: ${reason}`));
      });
      socket.once("connect", () => resolve(new XenStoreClient(socket, path)));
    });
  }

  /** What `xenstore-control` does: check, log, print, quota, help. @throws XenStoreError EINVAL: the store doesn't know it */
  async control(command: string, ...parameters: readonly string[]): Promise<string> {
    return splitStrings((await this.ask(W.XS_CONTROL, [command, ...parameters])).payload).strings[0] ?? "";
  }

  #send(type: number, payload: Uint8Array, transactionId: number): Promise<Message> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      const requestId = this.#nextId++ >>> 0;
      this.#waiting.set(requestId, { resolve, reject });
      this.#socket.write(encodeMessage({ type, requestId, transactionId, payload }));
    });
  }

  #receive(message: Message): void {
    if (message.type === W.XS_WATCH_EVENT) {
      const [path = "", token = ""] = splitStrings(message.payload).strings;
      this.#watches.get(token)?.(path);
      return;
    }
    const waiting = this.#waiting.get(message.requestId);
    this.#waiting.delete(message.requestId);
    waiting?.resolve(message);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#fail(this.#ended);
    this.#socket.destroy();
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }

  /** Calls back at once and on each change at or below `path`. @returns what ends it */
  async watch(path: string, callback: (path: string) => void): Promise<() => Promise<void>> {
    const token = String(this.#nextToken++);
    this.#watches.set(token, callback);
    try {
      await this.ask(W.XS_WATCH, [path, token]);
    } catch (error) {
      this.#watches.delete(token);
      throw error;
    }
    return async () => {
      this.#watches.delete(token);
      await this.ask(W.XS_UNWATCH, [path, token]);
    };
  }

  /** All changes of `run` or none; it runs again when what it read has changed meanwhile. Not committed when it throws. */
  async transaction<T>(run: (view: XenStoreView) => Promise<T>): Promise<T> {
    for (;;) {
      const id = Number(textOf((await this.ask(W.XS_TRANSACTION_START, [""])).payload).replace("\0", ""));
      const view = new TransactionView((type, payload, transaction) => this.#send(type, payload, transaction), id);
      let result: T;
      try {
        result = await run(view);
      } catch (error) {
        await view.finish(false);
        throw error;
      }
      if (await view.finish(true)) return result;
    }
  }

  close(): void {
    this.#end(new XenError("xenstore", "the connection to the XenStore is closed"));
  }
}

class TransactionView extends XenStoreView {
  /** @returns false: others changed what it depends on */
  async finish(isCommitted: boolean): Promise<boolean> {
    try {
      await this.ask(W.XS_TRANSACTION_END, [isCommitted ? "T" : "F"]);
      return true;
    } catch (error) {
      if (error instanceof XenStoreError && error.errno === "EAGAIN") return false;
      throw error;
    }
  }
}
