// The cache directory: $XDG_CACHE_HOME/xen-ts (XDG Base Directory Specification), ~/.cache/xen-ts without that variable.
//   release/URL-HASH                     the signed indexes as last fetched; their signature is checked at every use
//   sha256/XX/HEX                        package indexes and packages by content; the hash is checked at every use
//   images/NAME/…                        built images (image-store.ts)
import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { ImageError } from "../image-error.js";
import { readIfPresent, writeAtomically } from "./files.js";

/** Where the cache is when the caller names no directory. */
export function defaultCacheDirectory(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const base = environment.XDG_CACHE_HOME;
  // The specification says to ignore a relative path.
  return join(base !== undefined && isAbsolute(base) ? base : join(homedir(), ".cache"), "xen-ts");
}

export class Cache {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  get imagesDirectory(): string {
    return join(this.directory, "images");
  }

  /** The content with that hash, or undefined when it isn't here or isn't whole (then it is removed). */
  async blob(sha256: string): Promise<Uint8Array | undefined> {
    const path = this.#blobPath(sha256);
    const bytes = await readIfPresent(path);
    if (bytes === undefined || createHash("sha256").update(bytes).digest("hex") === sha256) return bytes;
    await rm(path, { force: true }).catch(() => undefined);
    return undefined;
  }

  /** Stores content that was just checked against its hash. */
  async storeBlob(sha256: string, bytes: Uint8Array): Promise<void> {
    await writeAtomically(this.#blobPath(sha256), bytes);
  }

  async release(url: string): Promise<Uint8Array | undefined> {
    return readIfPresent(this.#releasePath(url));
  }

  async storeRelease(url: string, bytes: Uint8Array): Promise<void> {
    await writeAtomically(this.#releasePath(url), bytes);
  }

  #blobPath(sha256: string): string {
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw new ImageError("cache", `${sha256} is not a SHA-256.`);
    return join(this.directory, "sha256", sha256.slice(0, 2), sha256);
  }

  /** One readable file name for each URL. */
  #releasePath(url: string): string {
    const readable = url.replace(/^https?:\/\//, "").replaceAll(/[^A-Za-z0-9.-]+/g, "_");
    const digest = createHash("sha256").update(url).digest("hex").slice(0, 8);
    return join(this.directory, "release", `${readable.slice(0, 150)}-${digest}`);
  }
}
