// The page through which a domain talks to XenStore (io/xs_wire.h: xenstore_domain_interface): two byte rings of 1 KiB.
// Everything in the page may be changed by the guest at any time: indices are read once and checked, and a ring with an
// impossible fill level breaks the connection, not the server.

import type { MachineMemory } from "../../mmu/machine-memory.js";
import {
  XENSTORE_CONNECTED,
  XENSTORE_ERROR_NONE,
  XENSTORE_ERROR_PROTO,
  XENSTORE_ERROR_RINGIDX,
  XENSTORE_RECONNECT,
  XENSTORE_RING,
  XENSTORE_SERVER_FEATURE_ERROR,
  XENSTORE_SERVER_FEATURE_RECONNECTION,
} from "../public/io/xs_wire.js";

const MASK = XENSTORE_RING.size - 1;

/** What goes to a client. */
export interface Outgoing {
  readonly bytes: Uint8Array;
  /** Of watch events: what makes two of them the same. */
  readonly event?: string;
  /** Call it when the client has all of it, or never will. */
  readonly done: () => void;
}

interface Queued extends Outgoing {
  /** Milliseconds. */
  readonly since: number;
}

export class StoreRing {
  readonly #memory: MachineMemory;
  readonly #page: number;
  #unsent: Queued[] = [];
  #unsentBytes = 0;
  /** Bytes of the first one that are in the ring already. */
  #headSent = 0;
  readonly #events = new Set<string>();
  #isBroken = false;

  /** @param page machine address of the page */
  constructor(memory: MachineMemory, page: number) {
    this.#memory = memory;
    this.#page = page;
    this.#set("server_features", XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR);
  }

  #set(field: keyof typeof XENSTORE_RING, value: number): void {
    this.#memory.writeU32(this.#page + XENSTORE_RING[field], value);
  }

  /** Starts anew when the guest asked for it: empty, and whole again if it was broken. @returns whether it did */
  reconnect(): boolean {
    if (this.#index(XENSTORE_RING.connection) !== XENSTORE_RECONNECT) return false;
    this.clear();
    this.#isBroken = false;
    for (const field of ["req_cons", "req_prod", "rsp_cons", "rsp_prod"] as const) this.#set(field, 0);
    this.#set("error", XENSTORE_ERROR_NONE);
    this.#set("connection", XENSTORE_CONNECTED);
    return true;
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Bytes that wait for room. */
  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  get hasUnsentEvents(): boolean {
    return this.#events.size > 0;
  }

  #index(at: number): number {
    return this.#memory.readU32(this.#page + at);
  }

  /** The guest broke the protocol. */
  fail(error: typeof XENSTORE_ERROR_PROTO | typeof XENSTORE_ERROR_RINGIDX = XENSTORE_ERROR_PROTO): void {
    this.#isBroken = true;
    this.#set("error", error);
    this.clear();
  }

  /** Takes what the guest has written. */
  read(): Uint8Array {
    if (this.#isBroken) return new Uint8Array(0);
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
    if (count > 0) this.#set("req_cons", produced);
    return bytes;
  }

  /** Queues a message for the guest; an event that waits already isn't queued again. */
  write(message: Outgoing, now: number): void {
    const { bytes, event, done } = message;
    if (this.#isBroken || (event !== undefined && this.#events.has(event))) {
      done();
      return;
    }
    if (event !== undefined) this.#events.add(event);
    this.#unsent.push({ ...message, since: now });
    this.#unsentBytes += bytes.length;
  }

  /** Drops events that wait since `moment` or longer. A message whose beginning is in the ring stays, but nobody waits for it. */
  dropEvents(moment: number): void {
    const isOld = ({ event, since }: Queued) => event !== undefined && since <= moment;
    const [head] = this.#unsent;
    if (head && this.#headSent > 0 && isOld(head)) head.done();
    const first = this.#headSent > 0 ? 1 : 0;
    this.#drop(this.#unsent.filter((message, i) => i >= first && isOld(message)));
  }

  /** The client is gone, or hopeless. */
  clear(): void {
    this.#drop([...this.#unsent]);
    this.#headSent = 0;
  }

  #drop(messages: readonly Queued[]): void {
    const gone = new Set(messages);
    this.#unsent = this.#unsent.filter((message) => !gone.has(message));
    for (const message of messages) {
      this.#unsentBytes -= message.bytes.length;
      this.#finish(message);
    }
  }

  #finish({ event, done }: Queued): void {
    if (event !== undefined) this.#events.delete(event);
    done();
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
      const part = head.bytes.subarray(this.#headSent, this.#headSent + room);
      for (let i = 0; i < part.length; i++)
        this.#memory.writeU8(this.#page + XENSTORE_RING.rsp + ((produced + i) & MASK), part[i]!);
      produced = (produced + part.length) >>> 0;
      room -= part.length;
      this.#headSent += part.length;
      if (this.#headSent < head.bytes.length) break;
      this.#headSent = 0;
      this.#unsent.shift();
      this.#unsentBytes -= head.bytes.length;
      this.#finish(head);
    }
    if (produced === before) return false;
    this.#set("rsp_prod", produced);
    return true;
  }
}
