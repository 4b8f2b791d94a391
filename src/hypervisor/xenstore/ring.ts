// The page through which a domain talks to XenStore (io/xs_wire.h: xenstore_domain_interface): two byte rings of 1 KiB.
// Everything in the page may be changed by the guest at any time: indices are read once and checked, and a ring with an
// impossible fill level breaks the connection, not the server.

import type { MachineMemory } from "../../mmu/machine-memory.js";
import { XENSTORE_ERROR_PROTO, XENSTORE_ERROR_RINGIDX, XENSTORE_RING } from "../public/io/xs_wire.js";

const MASK = XENSTORE_RING.size - 1;
/** Replies and events that a guest hasn't taken; beyond this its requests wait. */
const MAX_UNSENT = 1 << 16;
/** What is queued beyond this is lost: watch events for a guest that doesn't read, which others may cause without end. */
const MAX_QUEUED = 1 << 18;

export class StoreRing {
  readonly #memory: MachineMemory;
  readonly #page: number;
  #unsent: Uint8Array[] = [];
  #unsentBytes = 0;
  #isBroken = false;

  /** @param page machine address of the page */
  constructor(memory: MachineMemory, page: number) {
    this.#memory = memory;
    this.#page = page;
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  #index(at: number): number {
    return this.#memory.readU32(this.#page + at);
  }

  /** The guest broke the protocol. */
  fail(error: typeof XENSTORE_ERROR_PROTO | typeof XENSTORE_ERROR_RINGIDX = XENSTORE_ERROR_PROTO): void {
    this.#isBroken = true;
    this.#memory.writeU32(this.#page + XENSTORE_RING.error, error);
  }

  /** Takes what the guest has written; empty while its answers pile up. */
  read(): Uint8Array {
    if (this.#isBroken || this.#unsentBytes > MAX_UNSENT) return new Uint8Array(0);
    const consumed = this.#index(XENSTORE_RING.req_cons);
    const produced = this.#index(XENSTORE_RING.req_prod);
    const count = (produced - consumed) >>> 0;
    if (count > XENSTORE_RING.size) {
      this.fail(XENSTORE_ERROR_RINGIDX);
      return new Uint8Array(0);
    }
    const bytes = Uint8Array.from({ length: count }, (_, i) =>
      this.#memory.readU8(this.#page + XENSTORE_RING.req + ((consumed + i) & MASK)),
    );
    if (count > 0) this.#memory.writeU32(this.#page + XENSTORE_RING.req_cons, produced);
    return bytes;
  }

  /** Queues a message for the guest. */
  write(bytes: Uint8Array): void {
    if (this.#isBroken || this.#unsentBytes > MAX_QUEUED) return;
    this.#unsent.push(bytes);
    this.#unsentBytes += bytes.length;
  }

  /** Moves queued bytes into the ring as far as it has room. Returns whether any were moved. */
  flush(): boolean {
    if (this.#isBroken) return false;
    let produced = this.#index(XENSTORE_RING.rsp_prod);
    const used = (produced - this.#index(XENSTORE_RING.rsp_cons)) >>> 0;
    if (used > XENSTORE_RING.size) {
      this.fail(XENSTORE_ERROR_RINGIDX);
      return false;
    }
    let room = XENSTORE_RING.size - used;
    const before = produced;
    while (room > 0 && this.#unsent.length > 0) {
      const head = this.#unsent[0]!;
      const part = head.subarray(0, room);
      for (let i = 0; i < part.length; i++)
        this.#memory.writeU8(this.#page + XENSTORE_RING.rsp + ((produced + i) & MASK), part[i]!);
      produced = (produced + part.length) >>> 0;
      room -= part.length;
      this.#unsentBytes -= part.length;
      if (part.length === head.length) this.#unsent.shift();
      else this.#unsent[0] = head.subarray(part.length);
    }
    if (produced === before) return false;
    this.#memory.writeU32(this.#page + XENSTORE_RING.rsp_prod, produced);
    return true;
  }
}
