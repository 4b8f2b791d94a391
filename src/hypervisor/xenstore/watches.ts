// Watches (docs: xenstore.txt): a connection asks to be told of changes at or below a path, or of domains coming and going.

import { absolutePath, homeOf, isAtOrBelow, isSpecial } from "./path.js";
import { isAllowed } from "./permissions.js";
import type { Change } from "./store.js";
import { StoreError } from "./store-error.js";

const WATCH_BYTES = 32;

interface Watch {
  /** As the client wrote it. */
  readonly path: string;
  readonly absolute: string;
  readonly token: string;
}

/** The watches of one connection. */
export class Watches {
  readonly #domid: number;
  readonly #limit: () => number;
  #list: Watch[] = [];
  #bytes = 0;
  readonly #deliver: (path: string, token: string) => void;

  /** @param limit how many an unprivileged domain may have */
  constructor(domid: number, limit: () => number, deliver: (path: string, token: string) => void) {
    this.#domid = domid;
    this.#limit = limit;
    this.#deliver = deliver;
  }

  /** Of the quota `memory`. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param room bytes that it may take. @throws StoreError */
  add(path: string, token: string, room = Number.POSITIVE_INFINITY): void {
    const absolute = isSpecial(path) ? path : absolutePath(path, this.#domid);
    if (this.#list.some((watch) => watch.absolute === absolute && watch.token === token))
      throw new StoreError("EEXIST");
    if (this.#domid !== 0 && this.#list.length >= this.#limit()) throw new StoreError("E2BIG");
    const bytes = WATCH_BYTES + path.length + absolute.length + token.length;
    if (bytes > room) throw new StoreError("ENOMEM");
    this.#bytes += bytes;
    this.#list.push({ path, absolute, token });
  }

  /** @throws StoreError ENOENT */
  remove(path: string, token: string): void {
    const at = this.#list.findIndex((watch) => watch.path === path && watch.token === token);
    if (at < 0) throw new StoreError("ENOENT");
    for (const watch of this.#list.splice(at, 1))
      this.#bytes -= WATCH_BYTES + watch.path.length + watch.absolute.length + watch.token.length;
  }

  clear(): void {
    this.#list = [];
    this.#bytes = 0;
  }

  get size(): number {
    return this.#list.length;
  }

  notify(changes: readonly Change[]): void {
    for (const { path, permissions, isImplied } of changes) {
      if (isImplied) continue;
      const isVisible = isAllowed(permissions, this.#domid, "r");
      for (const watch of this.#list)
        if (isVisible && isAtOrBelow(path, watch.absolute)) this.#deliver(this.#shown(watch, path), watch.token);
    }
  }

  /** Domains that come and go are dom0's business (XSA-115). */
  notifySpecial(path: string): void {
    if (this.#domid !== 0) return;
    for (const watch of this.#list) if (watch.absolute === path) this.#deliver(path, watch.token);
  }

  /** A watch on a relative path reports relative paths. */
  #shown(watch: Watch, path: string): string {
    return watch.path.startsWith("/") ? path : path.slice(homeOf(this.#domid).length + 1);
  }
}
