// Granted pages as requests use them: mapped for the request alone, or, with frontends that use the same pages over and over
// (feature-persistent), kept mapped until room is needed for others.

import type { GrantAccess, GrantedPage, GrantedPart } from "../backend.js";

/** Pages kept mapped for one ring: what Linux's backend keeps. */
const MAX_PERSISTENT = 1056;

interface Kept {
  readonly page: GrantedPage;
  users: number;
}

/** A page in use by a request. */
export interface HeldPage {
  readonly page: GrantedPage;
  release(): void;
}

export class GuestPages {
  readonly #grants: GrantAccess;
  readonly #isPersistent: boolean;
  /** By reference, in order of last use. */
  readonly #kept = new Map<number, Kept>();
  readonly #single = new Set<GrantedPage>();
  #isClosed = false;

  constructor(grants: GrantAccess, isPersistent: boolean) {
    this.#grants = grants;
    this.#isPersistent = isPersistent;
  }

  /** Pages mapped now. */
  get count(): number {
    return this.#kept.size + this.#single.size;
  }

  /** Undefined when the guest hasn't granted the page so. */
  hold(ref: number, isWritable: boolean): HeldPage | undefined {
    if (this.#isClosed) return undefined;
    if (!this.#isPersistent || !this.#hasRoom(ref)) return this.#holdOnce(ref, isWritable);
    let kept = this.#kept.get(ref);
    if (kept) this.#kept.delete(ref);
    else {
      // Later requests may read into the page, so a persistent grant is always for writing.
      const page = this.#grants.map(ref, true);
      if (!page) return undefined;
      kept = { page, users: 0 };
    }
    this.#kept.set(ref, kept);
    kept.users++;
    const held = kept;
    return { page: held.page, release: () => void held.users-- };
  }

  /** Copies out of a page, from a byte offset on. False when the guest hasn't granted it. */
  read(ref: number, offset: number, target: Uint8Array): boolean {
    if (!this.#isPersistent) return !this.#isClosed && this.#grants.read(ref, offset, target);
    const held = this.hold(ref, false);
    if (!held) return false;
    target.set(held.page.bytes.subarray(offset, offset + target.length));
    held.release();
    return true;
  }

  /** Parts of pages where they lie, for use before the guest runs again. Undefined when the guest hasn't granted all of them so. */
  gather(parts: readonly GrantedPart[], forWriting: boolean): Uint8Array[] | undefined {
    if (!this.#isPersistent) return this.#isClosed ? undefined : this.#grants.gather(parts, forWriting);
    const views: Uint8Array[] = [];
    for (const { gref, offset, length } of parts) {
      const held = this.hold(gref, forWriting);
      if (!held) return undefined;
      views.push(held.page.part(offset, length, forWriting));
      held.release();
    }
    return views;
  }

  #holdOnce(ref: number, isWritable: boolean): HeldPage | undefined {
    const page = this.#grants.map(ref, isWritable);
    if (!page) return undefined;
    this.#single.add(page);
    return {
      page,
      release: () => {
        if (this.#single.delete(page)) page.release();
      },
    };
  }

  /** Makes room for a page that isn't kept yet: the one that was used longest ago, and isn't in use, goes. */
  #hasRoom(ref: number): boolean {
    if (this.#kept.has(ref) || this.#kept.size < MAX_PERSISTENT) return true;
    for (const [old, { page, users }] of this.#kept) {
      if (users > 0) continue;
      this.#kept.delete(old);
      page.release();
      return true;
    }
    return false;
  }

  /** Gives everything back, also what is held: nothing may touch the pages afterwards. */
  close(): void {
    this.#isClosed = true;
    for (const { page } of this.#kept.values()) page.release();
    for (const page of this.#single) page.release();
    this.#kept.clear();
    this.#single.clear();
  }
}
