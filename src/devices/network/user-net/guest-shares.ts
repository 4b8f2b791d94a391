// What one guest may take of a NAT, so that the machine's sockets and memory have an end and other guests keep their part: so many
// connections and mappings, so many new ones a second, so much memory for all its connections together. Guests are told apart by hardware
// address: one that may send from any address (no `locksMac`) can pass for many, and meets the limits of the whole.

import type { Timers } from "../timers.js";

export const LIMITS = {
  /** TCP connections, of one guest and of all. */
  connections: 256,
  allConnections: 1024,
  /** UDP ports in use. */
  mappings: 256,
  allMappings: 1024,
  /** Names being looked up. */
  queries: 32,
  allQueries: 128,
  /** New connections and mappings a second, after a burst of so many. */
  newPerSecond: 200,
  burst: 512,
  allNewPerSecond: 1000,
  allBurst: 2048,
  /** Bytes that may wait for each direction of a guest's connections together, and those of one connection. */
  guestBytes: 16 * 1024 * 1024,
  connectionBytes: 256 * 1024,
  minConnectionBytes: 16 * 1024,
} as const;

/** A bucket of permissions that fills with time. */
class Bucket {
  readonly #perSecond: number;
  readonly #capacity: number;
  #level: number;
  #filled: number;

  constructor(perSecond: number, capacity: number, now: number) {
    this.#perSecond = perSecond;
    this.#capacity = capacity;
    this.#level = capacity;
    this.#filled = now;
  }

  has(now: number): boolean {
    this.#level = Math.min(this.#capacity, this.#level + ((now - this.#filled) * this.#perSecond) / 1000);
    this.#filled = now;
    return this.#level >= 1;
  }

  take(): void {
    this.#level--;
  }
}

const MAX_GUESTS = 256;

export class NewFlows {
  readonly #timers: Timers;
  readonly #all: Bucket;
  /** In order of last use. */
  readonly #guests = new Map<string, Bucket>();
  /** Packets that came to nothing since their guest opens too much too fast. */
  refused = 0;

  constructor(timers: Timers) {
    this.#timers = timers;
    this.#all = new Bucket(LIMITS.allNewPerSecond, LIMITS.allBurst, timers.now());
  }

  /** Whether the guest may open a connection or mapping now. */
  take(guest: string): boolean {
    const now = this.#timers.now();
    const bucket = this.#guests.get(guest) ?? new Bucket(LIMITS.newPerSecond, LIMITS.burst, now);
    this.#guests.delete(guest);
    if (this.#guests.size >= MAX_GUESTS) this.#guests.delete(this.#guests.keys().next().value!);
    this.#guests.set(guest, bucket);
    if (!bucket.has(now) || !this.#all.has(now)) {
      this.refused++;
      return false;
    }
    bucket.take();
    this.#all.take();
    return true;
  }
}

/** How many of something each guest has. */
export class GuestCounts {
  readonly #counts = new Map<string, number>();

  of(guest: string): number {
    return this.#counts.get(guest) ?? 0;
  }

  add(guest: string, change: 1 | -1): void {
    const count = this.of(guest) + change;
    if (count === 0) this.#counts.delete(guest);
    else this.#counts.set(guest, count);
  }
}

/** Bytes that may wait in one direction of one of `connections`. */
export function connectionShare(connections: number): number {
  const share = Math.floor(LIMITS.guestBytes / Math.max(1, connections));
  return Math.max(LIMITS.minConnectionBytes, Math.min(LIMITS.connectionBytes, share));
}
