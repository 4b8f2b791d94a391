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
   * As `read`, within the call, where nothing has to be waited for (the system has it in its memory): for short ranges, since everything
   * else stands still meanwhile. False: use `read`, which also says what is wrong. Stores without it never can.
   */
  readNow?(offset: number, target: Uint8Array): boolean;
  /** As `write`, likewise. When false nothing, or a part, has been written. */
  writeNow?(offset: number, source: Uint8Array): boolean;
  /** All writes that completed before the call survive the end of the process and of the machine. @throws StorageError */
  flush(): Promise<void>;
  /** The range is not needed any more: it may read as zeros or as before. @throws StorageError */
  discard(offset: number, length: number): Promise<void>;
  /** Waits for what is outstanding and makes it durable. Nothing works afterwards; closing twice does no harm. */
  close(): Promise<void>;
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
