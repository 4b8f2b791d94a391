// The XenStore of a host: the database, a connection for each introduced domain over its ring, and connections of the host's own
// backends. It plays the part of xenstored for hosts whose dom0 runs none.

import type { MachineMemory } from "../../mmu/machine-memory.js";
import { XS_MKDIR, XS_RM, XS_SET_PERMS, XS_TRANSACTION_END, XS_WRITE } from "../public/io/xs_wire.js";
import { type ConnectionHost, StoreConnection } from "./connection.js";
import type { StoreUsage } from "./control.js";
import type { OpenRequest } from "./outstanding.js";
import { INTRODUCE_DOMAIN, RELEASE_DOMAIN } from "./path.js";
import { type Outgoing, StoreRing } from "./ring.js";
import { type Change, type StoreQuota, type StoreView, XenStore } from "./store.js";
import { StoreError } from "./store-error.js";
import { Watches } from "./watches.js";
import { bytesOf, type Message, textOf, WireError } from "./wire.js";
import { WriteRate } from "./write-rate.js";

/** How the server reaches a domain's event channel. */
export interface StoreEvents {
  /** Tells the domain that its ring changed. */
  notify(): void;
}

/** Time for what is limited in it. */
export interface StoreTimers {
  /** Milliseconds; never goes back. */
  now(): number;
  /** Calls back once. */
  after(milliseconds: number, callback: () => void): unknown;
}

export interface StoreServerOptions {
  readonly quota?: Partial<StoreQuota>;
  /** Without it nothing is limited in time. */
  readonly timers?: StoreTimers;
}

interface RingClient {
  readonly domid: number;
  readonly connection: StoreConnection;
  readonly ring: StoreRing;
  readonly events: StoreEvents;
  readonly rate: WriteRate;
  isServing: boolean;
  /** Its next request waits until it may make one. */
  isWaiting: boolean;
  hasTimer: boolean;
  /** It uses more than the soft quota; the log knows. */
  isLarge: boolean;
}

/** What dom0 may leave unread: it has no quota, but might hang. */
const MAX_UNREAD = 1 << 22;
/** Milliseconds that others' requests wait for a domain that doesn't read its events: then these are dropped. */
const EVENT_TIMEOUT = 20_000;

const CHANGES: ReadonlySet<number> = new Set([XS_WRITE, XS_MKDIR, XS_RM, XS_SET_PERMS]);

const isChange = ({ type, transactionId }: Message) =>
  type === XS_TRANSACTION_END || (transactionId === 0 && CHANGES.has(type));

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
  request: OpenRequest | undefined;
  readonly #timers: StoreTimers | undefined;
  #isSettling = false;
  #hasEventTimer = false;
  /** XS_INTRODUCE by the toolstack: connects a domain of which the server knows ring frame and port. */
  onIntroduce: (domid: number, mfn: number, port: number) => void = () => {
    throw new StoreError("EINVAL");
  };

  constructor(memory: MachineMemory, options: StoreServerOptions = {}) {
    this.#memory = memory;
    this.#timers = options.timers;
    this.store = new XenStore(options.quota);
    this.store.memoryElsewhere = (domid) => {
      const client = this.#clients.get(domid);
      if (!client) return 0;
      return client.connection.watches.bytes + client.connection.transactionBytes + client.ring.unsentBytes;
    };
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
    if (ring.hasUnsentEvents) this.#startEventTimer();
  }

  #deliver(domid: number, ring: StoreRing, message: Outgoing): void {
    // Others' changes can't drive a domain beyond its quota: it misses the event.
    const used = domid === 0 ? ring.unsentBytes : this.store.memoryOf(domid);
    const limit = domid === 0 ? MAX_UNREAD : this.store.quota.memory;
    if (message.event !== undefined && used + message.bytes.length > limit) message.done();
    else ring.write(message, this.#timers?.now() ?? 0);
  }

  #startEventTimer(): void {
    if (this.#hasEventTimer || !this.#timers) return;
    const timers = this.#timers;
    this.#hasEventTimer = true;
    timers.after(EVENT_TIMEOUT, () => {
      this.#hasEventTimer = false;
      for (const { ring } of this.#clients.values()) {
        ring.dropEvents(timers.now() - EVENT_TIMEOUT);
        if (ring.hasUnsentEvents) this.#startEventTimer();
      }
      this.#settle();
    });
  }

  // --- domains ---

  /** Connects a domain's ring page (a machine address). Its requests are handled from now on: call `service` on its events. */
  connect(domid: number, page: number, events: StoreEvents): void {
    this.#clients.get(domid)?.ring.clear();
    const ring = new StoreRing(this.#memory, page);
    const connection = new StoreConnection(this, domid, (message) => this.#deliver(domid, ring, message));
    const state = { isServing: false, isWaiting: false, hasTimer: false, isLarge: false };
    this.#clients.set(domid, { domid, connection, ring, events, rate: new WriteRate(), ...state });
    this.#notifySpecial(INTRODUCE_DOMAIN);
    this.service(domid);
  }

  /** The domain signalled its port: handles its requests. */
  service(domid: number): void {
    const client = this.#clients.get(domid);
    if (client) this.#serve(client);
    this.#settle();
  }

  #serve(client: RingClient): void {
    const { connection, ring, events } = client;
    if (client.isServing) return;
    let hasMoved = ring.reconnect();
    if (hasMoved) connection.reset();
    if (ring.isBroken) return;
    client.isServing = true;
    client.isWaiting = false;
    hasMoved = ring.flush() || hasMoved;
    try {
      while (this.#mayAsk(client)) {
        const message = connection.handleNext();
        if (message) {
          if (isChange(message)) client.rate.debit(this.#timers?.now() ?? 0);
          this.#watchMemory(client);
        } else {
          const bytes = ring.read();
          if (bytes.length === 0) break;
          connection.push(bytes);
        }
        ring.flush();
        hasMoved = true;
      }
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      ring.fail();
      hasMoved = true;
    } finally {
      client.isServing = false;
    }
    if (ring.flush() || hasMoved) events.notify();
    if (ring.hasUnsentEvents) this.#startEventTimer();
  }

  /** May the domain's next request be handled? Else it is when it may. */
  #mayAsk(client: RingClient): boolean {
    const { domid, connection, ring, rate } = client;
    if (domid === 0) return ring.unsentBytes <= MAX_UNREAD;
    const { quota } = this.store;
    // Transactions can't grow beyond it, and it must be able to end them.
    const memory = this.store.memoryOf(domid) - connection.transactionBytes;
    client.isWaiting = connection.outstanding.count >= quota.outstanding || memory > quota.memory;
    if (client.isWaiting || !this.#timers) return !client.isWaiting;
    const wait = rate.wait(this.#timers.now());
    if (wait === 0) return true;
    if (!client.hasTimer)
      this.#timers.after(wait, () => {
        client.hasTimer = false;
        if (this.#clients.get(domid) === client) this.service(domid);
      });
    client.hasTimer = true;
    return false;
  }

  #watchMemory(client: RingClient): void {
    const { domid } = client;
    const { softMemory } = this.store;
    const isLarge = domid !== 0 && this.store.memoryOf(domid) > softMemory;
    if (isLarge !== client.isLarge)
      this.log(`xenstore: domain ${domid} uses ${isLarge ? "more" : "no more"} than ${softMemory} bytes (quota-soft)`);
    client.isLarge = isLarge;
  }

  /** Serves those that had to wait, after others' messages went and quotas changed. */
  #settle(): void {
    if (this.#isSettling) return;
    this.#isSettling = true;
    for (let goesOn = true; goesOn; ) {
      goesOn = false;
      for (const client of this.#clients.values())
        if (client.isWaiting && !client.isServing) {
          this.#serve(client);
          goesOn ||= !client.isWaiting;
        }
    }
    this.#isSettling = false;
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
    this.#clients.get(domid)?.ring.clear();
    if (!this.#clients.delete(domid)) return;
    this.#notifySpecial(RELEASE_DOMAIN);
    this.#settle();
  }

  log(line: string): void {
    this.onLog(line);
  }

  usage(domid: number): StoreUsage | undefined {
    const all = [...(domid === 0 ? this.#sessions : [])];
    const own = this.#clients.get(domid)?.connection;
    if (own) all.push(own);
    if (all.length === 0) return undefined;
    const sum = (of: (connection: StoreConnection) => number) => all.reduce((total, each) => total + of(each), 0);
    return {
      watches: sum(({ watches }) => watches.size),
      transactions: sum(({ transactions }) => transactions),
      outstanding: sum(({ outstanding }) => outstanding.count),
      memory: this.store.memoryOf(domid),
    };
  }

  setTarget(domid: number, target: number): void {
    if (!this.isIntroduced(domid) || !this.isIntroduced(target)) throw new StoreError("ENOENT");
    this.store.targets.set(domid, target);
  }

  // --- other clients, with dom0's rights ---

  /** @param send gets whole messages */
  open(send: (message: Uint8Array) => void): StoreSession {
    const connection = new StoreConnection(this, 0, ({ bytes, done }) => {
      send(bytes);
      done();
    });
    this.#sessions.add(connection);
    return {
      receive: (bytes) => {
        connection.push(bytes);
        while (connection.handleNext());
        this.#settle();
      },
      close: () => {
        this.#sessions.delete(connection);
        connection.reset();
      },
    };
  }

  // --- the host's own access, with dom0's rights ---

  #as<T>(run: (view: StoreView) => T): T {
    const result = this.store.direct(run);
    this.#settle();
    return result;
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
