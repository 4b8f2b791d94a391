// Downloads whole files over HTTP into memory, patiently: redirects followed, failures that may pass (no connection, 5xx, 429, a
// body cut short, a wrong checksum) tried again after a growing pause, a body larger than expected refused.
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { ImageError } from "../image-error.js";
import { openUrl } from "./http-request.js";
import type { Environment } from "./proxy.js";

export interface DownloaderOptions {
  readonly environment: Environment;
  readonly signal: AbortSignal | undefined;
  /** How often to try one file. Default 5. */
  readonly attempts?: number;
  /** Pause before the second try; doubled each time. Default 500. */
  readonly firstPauseMs?: number;
  /** Give up on a connection that is silent for this long. Default 30000. */
  readonly idleTimeoutMs?: number;
}

export interface DownloadRequest {
  readonly url: string;
  /** Most bytes to take. */
  readonly maxBytes: number;
  /** What the bytes must hash to, where it is known. */
  readonly sha256?: string;
  readonly onBytes?: (done: number, total: number | undefined) => void;
}

const MAX_REDIRECTS = 5;

export class Downloader {
  readonly #options: DownloaderOptions;

  constructor(options: DownloaderOptions) {
    this.#options = options;
  }

  /** The file's bytes. Throws ImageError "network", "not-found" (404), "checksum" or "aborted". */
  async get(request: DownloadRequest): Promise<Uint8Array> {
    const attempts = this.#options.attempts ?? 5;
    let pause = this.#options.firstPauseMs ?? 500;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(request);
      } catch (error) {
        const failure = this.#asFailure(error, request.url);
        if (!failure.mayPass || attempt >= attempts) throw failure.error;
      }
      await this.#pause(pause);
      pause *= 2;
    }
  }

  async #once(request: DownloadRequest): Promise<Uint8Array> {
    const response = await this.#open(new URL(request.url));
    const bytes = await readBody(response, request);
    if (request.sha256 !== undefined && createHash("sha256").update(bytes).digest("hex") !== request.sha256) {
      throw new Failure(
        true,
        new ImageError("checksum", `${request.url} is not the file that the signed index describes.`),
      );
    }
    return bytes;
  }

  async #open(start: URL): Promise<IncomingMessage> {
    const settings = {
      environment: this.#options.environment,
      signal: this.#options.signal,
      idleTimeoutMs: this.#options.idleTimeoutMs ?? 30_000,
    };
    let url = start;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const response = await openUrl(url, settings);
      const status = response.statusCode ?? 0;
      if (status === 200) return response;
      response.destroy();
      if (![301, 302, 303, 307, 308].includes(status) || response.headers.location === undefined) {
        throw statusFailure(url, status);
      }
      url = new URL(response.headers.location, url);
      if (url.protocol !== "http:" && url.protocol !== "https:") break;
    }
    throw new Failure(false, new ImageError("network", `${start.href} is redirected too often or to nowhere usable.`));
  }

  async #pause(milliseconds: number): Promise<void> {
    try {
      await sleep(milliseconds, undefined, this.#options.signal ? { signal: this.#options.signal } : {});
    } catch {
      throw new ImageError("aborted", "The download was stopped.");
    }
  }

  #asFailure(error: unknown, url: string): Failure {
    if (this.#options.signal?.aborted)
      return new Failure(false, new ImageError("aborted", "The download was stopped."));
    if (error instanceof Failure) return error;
    const reason = networkReason(error);
    return new Failure(true, new ImageError("network", `${url} can't be downloaded: ${reason}.`, { cause: error }));
  }
}

/** An error, and whether trying again may help. */
class Failure extends Error {
  readonly mayPass: boolean;
  readonly error: ImageError;

  constructor(mayPass: boolean, error: ImageError) {
    super(error.message);
    this.mayPass = mayPass;
    this.error = error;
  }
}

function statusFailure(url: URL, status: number): Failure {
  if (status === 404 || status === 410) {
    return new Failure(false, new ImageError("not-found", `${url.href} does not exist on the server.`));
  }
  const mayPass = status >= 500 || status === 429 || status === 408;
  return new Failure(
    mayPass,
    new ImageError("network", `${url.href} can't be downloaded: the server answered ${status}.`),
  );
}

async function readBody(response: IncomingMessage, request: DownloadRequest): Promise<Uint8Array> {
  const header = response.headers["content-length"];
  const total = header === undefined ? undefined : Number(header);
  const tooLarge = () =>
    new Failure(
      false,
      new ImageError("checksum", `${request.url} is larger than the ${request.maxBytes} bytes expected.`),
    );
  if (total !== undefined && total > request.maxBytes) {
    response.destroy();
    throw tooLarge();
  }
  const chunks: Buffer[] = [];
  let done = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    done += chunk.length;
    if (done > request.maxBytes) throw tooLarge();
    chunks.push(chunk);
    request.onBytes?.(done, total);
  }
  if (!response.complete || (total !== undefined && done !== total)) throw new Error("the connection ended early");
  return Buffer.concat(chunks);
}

/** A few words for node's error codes. */
function networkReason(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the server's name can't be resolved";
    case "ECONNREFUSED":
      return "the server refuses the connection";
    case "ECONNRESET":
      return "the connection was broken";
    case "ETIMEDOUT":
      return "the server does not answer";
    default:
      return String(message || code || error).replace(/\.$/, "");
  }
}
