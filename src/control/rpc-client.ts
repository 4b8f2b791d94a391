// The client side of the control socket: calls with answers, or one call that turns the connection into a stream of bytes.

import { createConnection, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { XenError } from "../host/errors.js";
import { LineReader } from "./json-lines.js";
import { errorOf, parseObject } from "./json-rpc.js";

/** Method names with what they take and answer. */
export type MethodTypes = Readonly<Record<string, { readonly params: object; readonly result: unknown }>>;

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly isStream: boolean;
}

export class RpcClient<Methods extends MethodTypes> {
  readonly #socket: Socket;
  readonly #reader = new LineReader();
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  readonly #onData = (bytes: Buffer) => this.#read(bytes);

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", this.#onData);
    socket.on("error", () => {});
    socket.on("close", () => this.#lost());
  }

  /** @throws the system's error: ENOENT or ECONNREFUSED when nobody listens there */
  static connect<Methods extends MethodTypes>(path: string): Promise<RpcClient<Methods>> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(path);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new RpcClient<Methods>(socket));
      });
    });
  }

  /** @throws XenError as the host's method does; "host-gone" when the host goes away first */
  call<Name extends string & keyof Methods>(
    method: Name,
    params: Methods[Name]["params"],
  ): Promise<Methods[Name]["result"]> {
    return this.#send(method, params, false) as Promise<Methods[Name]["result"]>;
  }

  /** Calls a method after which the connection is its stream; the client can't be used for other calls any more. */
  async open<Name extends string & keyof Methods>(
    method: Name,
    params: Methods[Name]["params"],
  ): Promise<{ result: Methods[Name]["result"]; stream: Duplex }> {
    const result = (await this.#send(method, params, true)) as Methods[Name]["result"];
    return { result, stream: this.#socket };
  }

  #send(method: string, params: object, isStream: boolean): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) return reject(gone());
      this.#waiting.set(id, { resolve, reject, isStream });
      this.#socket.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
    });
  }

  #read(bytes: Buffer): void {
    try {
      const rest = this.#reader.feed(bytes, (line) => this.#line(line));
      if (rest && rest.length > 0) this.#socket.unshift(rest);
    } catch (error) {
      this.#socket.destroy();
      this.#lost(error instanceof Error ? error : undefined);
    }
  }

  /** @returns false when what follows is the stream. */
  #line(line: string): boolean {
    const message = parseObject(line);
    const { id, result, error } = message;
    const waiting = typeof id === "number" ? this.#waiting.get(id) : undefined;
    if (!waiting) {
      // The host refuses the connection as a whole.
      if (error !== undefined) this.#lost(errorOf(error));
      return true;
    }
    this.#waiting.delete(id as number);
    if (error !== undefined) waiting.reject(errorOf(error));
    else if (waiting.isStream) {
      this.#socket.off("data", this.#onData);
      this.#socket.pause();
      waiting.resolve(result);
      return false;
    } else waiting.resolve(result);
    return true;
  }

  #lost(reason: Error = gone()): void {
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
  }

  close(): void {
    this.#socket.end();
    this.#socket.unref();
  }
}

function gone(): XenError {
  return new XenError("host-closed", "the host went away");
}
