// Watches (docs: xenstore.txt): a connection asks to be told of changes at or below a path, or of domains coming and going.

import { absolutePath, homeOf, isAtOrBelow, isSpecial } from "./path.js";
import { isAllowed } from "./permissions.js";
import type { Change } from "./store.js";
import { StoreError } from "./store-error.js";

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
  readonly #deliver: (path: string, token: string) => void;

  /** @param limit how many an unprivileged domain may have */
  constructor(domid: number, limit: () => number, deliver: (path: string, token: string) => void) {
    this.#domid = domid;
    this.#limit = limit;
    this.#deliver = deliver;
  }

  /** The first event comes at once. @throws StoreError */
  add(path: string, token: string): void {
    const absolute = isSpecial(path) ? path : absolutePath(path, this.#domid);
    if (this.#list.some((watch) => watch.absolute === absolute && watch.token === token))
      throw new StoreError("EEXIST");
    if (this.#domid !== 0 && this.#list.length >= this.#limit()) throw new StoreError("E2BIG");
    this.#list.push({ path, absolute, token });
  }

  /** @throws StoreError ENOENT */
  remove(path: string, token: string): void {
    const at = this.#list.findIndex((watch) => watch.path === path && watch.token === token);
    if (at < 0) throw new StoreError("ENOENT");
    this.#list.splice(at, 1);
  }

  clear(): void {
    this.#list = [];
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
