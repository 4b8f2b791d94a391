// What the backends of split drivers need of a host, and nothing more: granted pages of one guest, its event channels, the
// XenStore. Knows neither domains nor hypercalls.

/** A page of the guest that it granted to us. */
export interface GrantedPage {
  /** What the guest's memory holds now: a view, which the guest may change at any time. */
  readonly bytes: Uint8Array;
  /** Writes into the guest's page; only for pages mapped writable. */
  write(offset: number, source: Uint8Array): void;
  /** A part of the page, to be read from, or written to, before the guest runs again. */
  part(offset: number, length: number, forWriting: boolean): Uint8Array;
  /** Gives the grant back. Once; the page may not be used afterwards. */
  release(): void;
}

/** Bytes of a page that the guest has granted. */
export interface GrantedPart {
  readonly gref: number;
  readonly offset: number;
  readonly length: number;
}

export interface GrantAccess {
  /** Undefined when the guest hasn't granted the page so. */
  map(ref: number, isWritable: boolean): GrantedPage | undefined;
  /** Copies out of a granted page, from a byte offset on. False when the guest hasn't granted it. */
  read(ref: number, offset: number, target: Uint8Array): boolean;
  /** Copies into a granted page. False when the guest hasn't granted it for writing. */
  write(ref: number, offset: number, source: Uint8Array): boolean;
  /**
   * The parts where they lie, neighbours in memory as one, in their order: to be read from, or written to, before the guest runs again.
   * Undefined when the guest hasn't granted all of them so.
   */
  gather(parts: readonly GrantedPart[], forWriting: boolean): Uint8Array[] | undefined;
}

export interface EventBinding {
  /** Sends an event to the guest. No effect after it closed its end. */
  notify(): void;
  close(): void;
}

export interface EventAccess {
  /** Undefined when that isn't a port which the guest has left for us. `onEvent` must not throw; it runs once for all events of a turn. */
  bind(port: number, onEvent: () => void): EventBinding | undefined;
  /**
   * The same, but while `onEvent`, which returns how many requests it found, finds one at a time, it runs within the hypercall that sends
   * the event.
   */
  bindPrompt(port: number, onEvent: () => number): EventBinding | undefined;
  /**
   * As `bind`, but when `isUrgent` says so `onEvent` runs within the hypercall that sends the event, and whoever is woken by that runs
   * before the sender goes on.
   */
  bindUrgent(port: number, onEvent: () => void, isUrgent: () => boolean): EventBinding | undefined;
}

export interface StoreAccess {
  /** Undefined: no such node. */
  read(path: string): string | undefined;
  write(path: string, value: string): void;
  /** Calls back at once and then on each change at or below `path`. @returns what ends it */
  watch(path: string, callback: (path: string) => void): () => void;
}

export interface BackendServices {
  readonly grants: GrantAccess;
  readonly events: EventAccess;
  readonly store: StoreAccess;
}

/** The frontend asks for something that can't be: the device closes, nothing else suffers. */
export class FrontendError extends Error {
  override readonly name = "FrontendError";
}

/** A decimal number that a frontend wrote. @throws FrontendError naming the node, also when it is missing */
export function readNumber(store: StoreAccess, path: string, limit: number): number {
  const value = readOptionalNumber(store, path, limit);
  if (value === undefined) throw new FrontendError(`${path} is missing`);
  return value;
}

/** @throws FrontendError when the node holds something else than a number up to `limit` */
export function readOptionalNumber(store: StoreAccess, path: string, limit: number): number | undefined {
  const text = store.read(path);
  if (text === undefined) return undefined;
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= limit))
    throw new FrontendError(`${path}: ${JSON.stringify(text.slice(0, 40))} isn't a number up to ${limit}`);
  return value;
}
