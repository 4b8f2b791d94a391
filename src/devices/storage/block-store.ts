// The socket between disks and what is behind them: a few asynchronous methods on whole sectors. Requests may be outstanding at
// the same time; overlapping ones have no order until the earlier has completed, as on a real disk.

import { StorageError } from "./storage-error.js";

/** Unit of offsets and lengths on all stores. */
export const SECTOR_SIZE = 512;

export interface BlockStore {
  /** For messages: the file's path, or what stands for it. */
  readonly name: string;
  /** Bytes; a multiple of `sectorSize`. */
  readonly size: number;
  readonly sectorSize: number;
  readonly isReadonly: boolean;
  /** Unit in which `discard` frees space, bytes; 0: it does nothing. */
  readonly discardGranularity: number;
  /** Fills `target` from byte `offset`. @throws StorageError */
  read(offset: number, target: Uint8Array): Promise<void>;
  /** Done when later reads see it; not yet durable. `source` must not change meanwhile. @throws StorageError */
  write(offset: number, source: Uint8Array): Promise<void>;
  /**
   * As `read`, within the call, into several places one after the other, where nothing has to be waited for (the system has it in its
   * memory): for short ranges, since everything else stands still meanwhile. False: use `read`, which also says what is wrong; a part may
   * have been read. Stores without it never can.
   */
  readNow?(offset: number, targets: readonly Uint8Array[]): boolean;
  /** As `write`, likewise. When false nothing, or a part, has been written. */
  writeNow?(offset: number, sources: readonly Uint8Array[]): boolean;
  /** All writes that completed before the call survive the end of the process and of the machine. @throws StorageError */
  flush(): Promise<void>;
  /** The range is not needed any more: it may read as zeros or as before. @throws StorageError */
  discard(offset: number, length: number): Promise<void>;
  /** Waits for what is outstanding and makes it durable. Nothing works afterwards; closing twice does no harm. */
  close(): Promise<void>;
}

/** Bytes in all of them. */
export function totalLength(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (let i = 0; i < parts.length; i++) length += parts[i]!.length;
  return length;
}

/** Hands out the bytes of some pieces of memory in order, so many at a time. */
export class PartsCutter {
  readonly #parts: readonly Uint8Array[];
  #next = 0;
  #from = 0;

  constructor(parts: readonly Uint8Array[]) {
    this.#parts = parts;
  }

  take(length: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    for (let left = length; left > 0 && this.#next < this.#parts.length; ) {
      const part = this.#parts[this.#next]!;
      const count = Math.min(left, part.length - this.#from);
      taken.push(part.subarray(this.#from, this.#from + count));
      left -= count;
      this.#from += count;
      if (this.#from < part.length) continue;
      this.#next++;
      this.#from = 0;
    }
    return taken;
  }
}

/** The range check that every store makes first. @throws StorageError out-of-range */
export function checkRange(store: BlockStore, offset: number, length: number): void {
  const { name, size, sectorSize } = store;
  if (
    !Number.isSafeInteger(offset) ||
    !Number.isSafeInteger(length) ||
    offset < 0 ||
    length < 0 ||
    offset % sectorSize !== 0 ||
    length % sectorSize !== 0 ||
    offset + length > size
  )
    throw new StorageError("out-of-range", `${name}: ${length} bytes at ${offset} are not sectors of this disk`);
}

/** @throws StorageError read-only */
export function checkWritable(store: BlockStore): void {
  if (store.isReadonly) throw new StorageError("read-only", `${store.name}: the disk is read-only`);
}
