// A disk in memory: for tests and as the upper part of an overlay. Only what was written takes room.

import { type BlockStore, checkRange, checkWritable, SECTOR_SIZE, totalLength } from "./block-store.js";
import { StorageError } from "./storage-error.js";

const CHUNK = 65536;

export interface MemoryStoreOptions {
  readonly name?: string;
  readonly isReadonly?: boolean;
  /** Most bytes that it may take; writes beyond are refused as on a full disk. */
  readonly limit?: number;
}

export class MemoryStore implements BlockStore {
  readonly name: string;
  readonly size: number;
  readonly sectorSize = SECTOR_SIZE;
  readonly isReadonly: boolean;
  readonly discardGranularity = CHUNK;
  readonly #limit: number;
  readonly #chunks = new Map<number, Uint8Array>();
  #isClosed = false;

  /** @param content its size in bytes, or what it holds at first (cut to whole sectors) */
  constructor(content: number | Uint8Array, options: MemoryStoreOptions = {}) {
    this.name = options.name ?? "memory disk";
    this.isReadonly = options.isReadonly ?? false;
    this.#limit = options.limit ?? Number.POSITIVE_INFINITY;
    const length = typeof content === "number" ? content : content.length;
    this.size = length - (length % SECTOR_SIZE);
    if (typeof content !== "number") this.#put(0, content.subarray(0, this.size));
  }

  #check(offset: number, length: number): void {
    if (this.#isClosed) throw new StorageError("closed", `${this.name}: the disk is closed`);
    checkRange(this, offset, length);
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    this.readNow(offset, [target]);
  }

  readNow(offset: number, targets: readonly Uint8Array[]): boolean {
    this.#check(offset, totalLength(targets));
    let at = offset;
    for (const target of targets) {
      this.#get(at, target);
      at += target.length;
    }
    return true;
  }

  #get(offset: number, target: Uint8Array): void {
    for (let done = 0; done < target.length; ) {
      const start = (offset + done) % CHUNK;
      const count = Math.min(CHUNK - start, target.length - done);
      const chunk = this.#chunks.get(Math.floor((offset + done) / CHUNK));
      if (chunk) target.set(chunk.subarray(start, start + count), done);
      else target.fill(0, done, done + count);
      done += count;
    }
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    this.writeNow(offset, [source]);
  }

  writeNow(offset: number, sources: readonly Uint8Array[]): boolean {
    this.#check(offset, totalLength(sources));
    checkWritable(this);
    let at = offset;
    for (const source of sources) {
      this.#put(at, source);
      at += source.length;
    }
    return true;
  }

  #put(offset: number, source: Uint8Array): void {
    for (let done = 0; done < source.length; ) {
      const index = Math.floor((offset + done) / CHUNK);
      const start = (offset + done) % CHUNK;
      const count = Math.min(CHUNK - start, source.length - done);
      let chunk = this.#chunks.get(index);
      if (!chunk) {
        if ((this.#chunks.size + 1) * CHUNK > this.#limit)
          throw new StorageError("no-space", `${this.name}: full (${this.#limit} bytes)`);
        chunk = new Uint8Array(CHUNK);
        this.#chunks.set(index, chunk);
      }
      chunk.set(source.subarray(done, done + count), start);
      done += count;
    }
  }

  async flush(): Promise<void> {
    this.#check(0, 0);
  }

  async discard(offset: number, length: number): Promise<void> {
    this.#check(offset, length);
    checkWritable(this);
    const last = offset + length === this.size ? Math.ceil(this.size / CHUNK) : Math.floor((offset + length) / CHUNK);
    for (let index = Math.ceil(offset / CHUNK); index < last; index++) this.#chunks.delete(index);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#chunks.clear();
  }
}
