// The server side of the control socket. What a client can make the host hold is bounded: length of a line, requests under way and
// unread answers of a connection, number of connections. A client that doesn't read is not read from any more.

import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { LineReader } from "./json-lines.js";
import {
  errorLine,
  INVALID_REQUEST,
  METHOD_NOT_FOUND,
  PARSE_ERROR,
  parseRequest,
  RpcError,
  type RpcRequest,
  resultLine,
} from "./json-rpc.js";

const MAX_CONNECTIONS = 128;
const MAX_PENDING = 64;
/** Unread answers, bytes. */
const MAX_UNREAD = 1 << 20;

export interface CallContext {
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

/** A connection that stops being JSON-RPC after its answer: bytes both ways from then on. */
export interface StreamStart {
  readonly result: unknown;
  readonly start: (stream: Duplex) => void;
}

export interface RpcHandlers {
  readonly methods: Readonly<Record<string, (params: unknown, context: CallContext) => unknown>>;
  readonly streams: Readonly<Record<string, (params: unknown) => StreamStart>>;
  /** An error that isn't the client's fault. */
  readonly onDefect: (error: unknown) => void;
}

export class RpcServer {
  readonly #handlers: RpcHandlers;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();

  constructor(handlers: RpcHandlers) {
    this.#handlers = handlers;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Resolves when clients can connect. */
  listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(path, () => {
        this.#server.off("error", reject);
        // Accepting fails when file descriptors run out: the clients' problem, not the guests'.
        this.#server.on("error", (error) => this.#handlers.onDefect(error));
        resolve();
      });
    });
  }

  #accept(socket: Socket): void {
    if (this.#connections.size >= MAX_CONNECTIONS) {
      socket.on("error", () => {});
      socket.end(errorLine(null, new RpcError(INVALID_REQUEST, "too many connections to this host")));
      return;
    }
    const connection = new Connection(socket, this.#handlers);
    this.#connections.add(connection);
    socket.on("close", () => {
      this.#connections.delete(connection);
      connection.closed();
    });
  }

  /** Ends all connections. Resolves when they are closed. */
  close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections) connection.end();
    return closed;
  }
}

class Connection {
  readonly #socket: Socket;
  readonly #handlers: RpcHandlers;
  readonly #reader = new LineReader();
  readonly #abort = new AbortController();
  #pending = 0;
  #isStream = false;
  readonly #onData = (bytes: Buffer) => this.#read(bytes);
  readonly #onDrain = () => this.#throttle();

  constructor(socket: Socket, handlers: RpcHandlers) {
    this.#socket = socket;
    this.#handlers = handlers;
    // Its "close" follows.
    socket.on("error", () => {});
    socket.on("data", this.#onData);
    socket.on("drain", this.#onDrain);
  }

  closed(): void {
    this.#abort.abort();
  }

  /** What was written gets its chance to leave. */
  end(): void {
    this.#socket.end();
    setTimeout(() => this.#socket.destroy(), 500).unref();
  }

  #read(bytes: Buffer): void {
    try {
      const rest = this.#reader.feed(bytes, (line) => this.#line(line));
      if (rest && rest.length > 0) this.#socket.unshift(rest);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#socket.end(errorLine(null, new RpcError(PARSE_ERROR, error.message)));
      this.#socket.off("data", this.#onData);
      this.#socket.resume();
    }
  }

  /** @returns false when the stream begins: what follows isn't ours. */
  #line(line: string): boolean {
    if (line.trim() === "") return true;
    let request: RpcRequest;
    try {
      request = parseRequest(line);
    } catch (error) {
      this.#socket.write(errorLine(null, error));
      this.#throttle();
      return true;
    }
    if (Object.hasOwn(this.#handlers.streams, request.method)) return !this.#startStream(request);
    this.#call(request);
    return true;
  }

  #startStream({ id, method, params }: RpcRequest): boolean {
    try {
      const { result, start } = this.#handlers.streams[method]!(params);
      this.#isStream = true;
      this.#socket.off("data", this.#onData);
      this.#socket.off("drain", this.#onDrain);
      this.#socket.write(resultLine(id ?? null, result));
      start(this.#socket);
      return true;
    } catch (error) {
      this.#fail(id ?? null, error);
      return false;
    }
  }

  async #call({ id, method, params }: RpcRequest): Promise<void> {
    this.#pending++;
    this.#throttle();
    try {
      const handler = Object.hasOwn(this.#handlers.methods, method) ? this.#handlers.methods[method] : undefined;
      if (!handler) throw new RpcError(METHOD_NOT_FOUND, `there is no method ${method}`);
      const result = await handler(params, { signal: this.#abort.signal });
      // A notification gets no answer.
      if (id !== undefined && this.#socket.writable) this.#socket.write(resultLine(id, result));
    } catch (error) {
      if (id !== undefined) this.#fail(id, error);
    } finally {
      this.#pending--;
      this.#throttle();
    }
  }

  #fail(id: string | number | null, error: unknown): void {
    if (this.#abort.signal.aborted) return;
    if (isDefect(error)) this.#handlers.onDefect(error);
    if (this.#socket.writable) this.#socket.write(errorLine(id, error));
  }

  #throttle(): void {
    if (this.#isStream) return;
    if (this.#pending >= MAX_PENDING || this.#socket.writableLength > MAX_UNREAD) this.#socket.pause();
    else this.#socket.resume();
  }
}

/** Errors of our own kinds say what the client did; others are ours. */
function isDefect(error: unknown): boolean {
  const { name, code } = error as { name?: string; code?: unknown };
  if (name === "RpcError") return false;
  return typeof code !== "string" || code === "internal";
}
