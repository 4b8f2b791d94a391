// The XenStore of a host: the database, a connection for each introduced domain over its ring, and connections of the host's own
// backends. It plays the part of xenstored for hosts whose dom0 runs none.

import type { MachineMemory } from "../../mmu/machine-memory.js";
import { type ConnectionHost, StoreConnection } from "./connection.js";
import { INTRODUCE_DOMAIN, RELEASE_DOMAIN } from "./path.js";
import { StoreRing } from "./ring.js";
import { type Change, type StoreQuota, type StoreView, XenStore } from "./store.js";
import { StoreError } from "./store-error.js";
import { Watches } from "./watches.js";
import { bytesOf, textOf, WireError } from "./wire.js";

/** How the server reaches a domain's event channel. */
export interface StoreEvents {
  /** Tells the domain that its ring changed. */
  notify(): void;
}

interface RingClient {
  readonly connection: StoreConnection;
  readonly ring: StoreRing;
  readonly events: StoreEvents;
}

/** A client whose bytes don't come through a ring: a socket's, with dom0's rights. */
export interface StoreSession {
  /** Handles what has arrived completely. @throws WireError when the stream is broken */
  receive(bytes: Uint8Array): void;
  close(): void;
}

const unlimited = () => Number.POSITIVE_INFINITY;

export class XenStoreServer implements ConnectionHost {
  readonly store: XenStore;
  readonly #memory: MachineMemory;
  readonly #clients = new Map<number, RingClient>();
  readonly #sessions = new Set<StoreConnection>();
  readonly #observers = new Set<Watches>();
  /** After changes were made for good: their owner keeps a copy. */
  onChanged: () => void = () => {};
  /** Lines that XS_CONTROL asks for. */
  onLog: (line: string) => void = () => {};
  isTraced = false;
  /** XS_INTRODUCE by the toolstack: connects a domain of which the server knows ring frame and port. */
  onIntroduce: (domid: number, mfn: number, port: number) => void = () => {
    throw new StoreError("EINVAL");
  };

  constructor(memory: MachineMemory, quota?: Partial<StoreQuota>) {
    this.#memory = memory;
    this.store = new XenStore(quota);
    this.store.onChanges = (changes) => this.#notify(changes);
  }

  #notify(changes: readonly Change[]): void {
    for (const client of this.#clients.values()) {
      client.connection.watches.notify(changes);
      this.#flush(client);
    }
    for (const { watches } of this.#sessions) watches.notify(changes);
    for (const watches of this.#observers) watches.notify(changes);
    this.onChanged();
  }

  #notifySpecial(path: string): void {
    for (const client of this.#clients.values()) {
      client.connection.watches.notifySpecial(path);
      this.#flush(client);
    }
    for (const { watches } of this.#sessions) watches.notifySpecial(path);
    for (const watches of this.#observers) watches.notifySpecial(path);
  }

  #flush({ ring, events }: RingClient): void {
    if (ring.flush()) events.notify();
  }

  // --- domains ---

  /** Connects a domain's ring page (a machine address). Its requests are handled from now on: call `service` on its events. */
  connect(domid: number, page: number, events: StoreEvents): void {
    const ring = new StoreRing(this.#memory, page);
    const connection = new StoreConnection(this, domid, (bytes) => ring.write(bytes));
    this.#clients.set(domid, { connection, ring, events });
    this.#notifySpecial(INTRODUCE_DOMAIN);
    this.service(domid);
  }

  /** The domain signalled its port: handles its requests. */
  service(domid: number): void {
    const client = this.#clients.get(domid);
    if (!client || client.ring.isBroken) return;
    let hasMoved = false;
    for (;;) {
      const bytes = client.ring.read();
      if (bytes.length === 0) break;
      hasMoved = true;
      try {
        client.connection.receive(bytes);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        client.ring.fail();
      }
      client.ring.flush();
    }
    if (client.ring.flush() || hasMoved) client.events.notify();
  }

  isIntroduced(domid: number): boolean {
    return this.#clients.has(domid);
  }

  introduce(domid: number, mfn: number, port: number): void {
    this.onIntroduce(domid, mfn, port);
  }

  /** The domain is gone. */
  release(domid: number): void {
    this.store.targets.delete(domid);
    if (!this.#clients.delete(domid)) return;
    this.#notifySpecial(RELEASE_DOMAIN);
  }

  log(line: string): void {
    this.onLog(line);
  }

  usage(domid: number): { watches: number; transactions: number } | undefined {
    const all = [...(domid === 0 ? this.#sessions : [])];
    const own = this.#clients.get(domid)?.connection;
    if (own) all.push(own);
    if (all.length === 0) return undefined;
    const sum = (of: (connection: StoreConnection) => number) => all.reduce((total, each) => total + of(each), 0);
    return { watches: sum(({ watches }) => watches.size), transactions: sum(({ transactions }) => transactions) };
  }

  setTarget(domid: number, target: number): void {
    if (!this.isIntroduced(domid) || !this.isIntroduced(target)) throw new StoreError("ENOENT");
    this.store.targets.set(domid, target);
  }

  // --- other clients, with dom0's rights ---

  /** @param send gets whole messages */
  open(send: (message: Uint8Array) => void): StoreSession {
    const connection = new StoreConnection(this, 0, send);
    this.#sessions.add(connection);
    return {
      receive: (bytes) => connection.receive(bytes),
      close: () => {
        this.#sessions.delete(connection);
        connection.reset();
      },
    };
  }

  // --- the host's own access, with dom0's rights ---

  #as<T>(run: (view: StoreView) => T): T {
    return this.store.direct(run);
  }

  /** @returns undefined when there is no such node. */
  read(path: string): string | undefined {
    return this.#as((view) => (this.store.exists(view, path) ? textOf(this.store.read(view, 0, path)) : undefined));
  }

  write(path: string, value: string): void {
    this.#as((view) => this.store.write(view, 0, path, bytesOf(value)));
  }

  directory(path: string): string[] {
    return this.#as((view) => (this.store.exists(view, path) ? this.store.directory(view, 0, path) : []));
  }

  remove(path: string): void {
    this.#as((view) => {
      if (this.store.exists(view, path)) this.store.remove(view, 0, path);
    });
  }

  /** Several changes at once: watches hear of them together. */
  update(run: (view: StoreView) => void): void {
    this.#as(run);
  }

  /** Calls back on each change at or below `path`, and once at the start. Returns a function that ends it. */
  watch(path: string, callback: (path: string) => void): () => void {
    const watches = new Watches(0, unlimited, (changed) => callback(changed));
    watches.add(path, "");
    this.#observers.add(watches);
    callback(path);
    return () => this.#observers.delete(watches);
  }
}
