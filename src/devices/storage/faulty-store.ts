// Fault injection: a store that fails, or is slow, where its owner says so. For tests of guests and of backends.

import type { BlockStore } from "./block-store.js";
import { StorageError } from "./storage-error.js";

export type StoreOperation = "read" | "write" | "flush" | "discard";

export interface StoreRequest {
  readonly operation: StoreOperation;
  /** Bytes; 0 for flush. */
  readonly offset: number;
  readonly length: number;
  /** Counts the requests of this store from 0. */
  readonly index: number;
}

/** What happens to a request: an error (its message) after the delay, or its own course after the delay. */
export interface Fault {
  readonly error?: string;
  readonly delayMs?: number;
}

export class FaultyStore implements BlockStore {
  readonly #inner: BlockStore;
  readonly #wait: (milliseconds: number) => Promise<void>;
  /** May be changed at any time. Undefined: no fault. */
  decide: (request: StoreRequest) => Fault | undefined;
  #index = 0;

  /** @param wait the host's clock, or a virtual one */
  constructor(
    inner: BlockStore,
    decide: (request: StoreRequest) => Fault | undefined,
    wait: (milliseconds: number) => Promise<void>,
  ) {
    this.#inner = inner;
    this.decide = decide;
    this.#wait = wait;
  }

  get name(): string {
    return this.#inner.name;
  }

  get size(): number {
    return this.#inner.size;
  }

  get sectorSize(): number {
    return this.#inner.sectorSize;
  }

  get isReadonly(): boolean {
    return this.#inner.isReadonly;
  }

  get discardGranularity(): number {
    return this.#inner.discardGranularity;
  }

  async #meet(operation: StoreOperation, offset: number, length: number): Promise<void> {
    const fault = this.decide({ operation, offset, length, index: this.#index++ });
    if (fault?.delayMs) await this.#wait(fault.delayMs);
    if (fault?.error !== undefined) throw new StorageError("io", `${this.name}: ${fault.error}`);
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    await this.#meet("read", offset, target.length);
    await this.#inner.read(offset, target);
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    await this.#meet("write", offset, source.length);
    await this.#inner.write(offset, source);
  }

  async flush(): Promise<void> {
    await this.#meet("flush", 0, 0);
    await this.#inner.flush();
  }

  async discard(offset: number, length: number): Promise<void> {
    await this.#meet("discard", offset, length);
    await this.#inner.discard(offset, length);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
