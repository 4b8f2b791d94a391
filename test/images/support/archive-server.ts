// Serves an archive's files over HTTP on the loopback interface, and misbehaves on demand.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ArchiveFiles } from "./archive-maker.js";

/** How to answer instead of with the file; undefined: normally. */
export type Misbehaviour = (path: string, bytes: Uint8Array | undefined, response: ServerResponse) => boolean;

export class ArchiveServer {
  readonly requests: string[] = [];
  misbehaviour: Misbehaviour = () => false;
  readonly #files: ArchiveFiles;
  readonly #server: Server;
  #port = 0;

  constructor(files: ArchiveFiles) {
    this.#files = files;
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/debian`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    // A proxy is asked with the whole URL.
    const path = decodeURIComponent((request.url ?? "").replace(/^http:\/\/[^/]+/, "").replace(/^\/debian\//, ""));
    this.requests.push(request.url ?? "");
    const bytes = this.#files.get(path);
    if (this.misbehaviour(path, bytes, response)) return;
    if (bytes === undefined) {
      response.writeHead(404).end();
    } else {
      response.writeHead(200, { "content-length": bytes.length }).end(bytes);
    }
  }
}
