// A raw image: the disk's bytes are the file's bytes; or a block device of the host. Its size is fixed when it is opened; a part
// sector at the end of a file isn't part of the disk. A file cut short afterwards gives I/O errors where it is missing.

import { type BlockStore, checkRange, checkWritable, SECTOR_SIZE, totalLength } from "./block-store.js";
import { type FileLock, HostFile } from "./host-file.js";
import { StorageError } from "./storage-error.js";

export class RawStore implements BlockStore {
  readonly name: string;
  readonly size: number;
  readonly sectorSize = SECTOR_SIZE;
  readonly isReadonly: boolean;
  readonly discardGranularity: number;
  readonly #file: HostFile;

  /** @param file becomes the store's: close() closes it */
  constructor(file: HostFile) {
    this.#file = file;
    this.name = file.path;
    this.size = file.length - (file.length % SECTOR_SIZE);
    this.isReadonly = !file.isWritable;
    this.discardGranularity = file.discardGranularity;
  }

  /** @throws StorageError */
  static async open(path: string, isWritable: boolean, lock?: FileLock): Promise<RawStore> {
    const file = await HostFile.open(path, isWritable, lock);
    if (file.length >= SECTOR_SIZE) return new RawStore(file);
    await file.close();
    throw new StorageError("corrupt", `${path}: too small for a disk (${file.length} bytes)`);
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    checkRange(this, offset, target.length);
    const count = await this.#file.read(offset, target);
    if (count < target.length)
      throw new StorageError("io", `${this.name}: the file has become shorter than the disk (at ${offset + count})`);
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    checkRange(this, offset, source.length);
    checkWritable(this);
    await this.#file.write(offset, source);
  }

  readNow(offset: number, targets: readonly Uint8Array[]): boolean {
    checkRange(this, offset, totalLength(targets));
    return this.#file.readNow(offset, targets);
  }

  writeNow(offset: number, sources: readonly Uint8Array[]): boolean {
    checkRange(this, offset, totalLength(sources));
    checkWritable(this);
    return this.#file.writeNow(offset, sources);
  }

  async flush(): Promise<void> {
    // Also on a read-only disk: a closed one must answer as closed.
    if (this.isReadonly) await this.#file.read(0, new Uint8Array(0));
    else await this.#file.sync();
  }

  async discard(offset: number, length: number): Promise<void> {
    checkRange(this, offset, length);
    checkWritable(this);
    await this.#file.discard(offset, length);
  }

  async close(): Promise<void> {
    try {
      if (!this.isReadonly) await this.#file.sync();
    } catch (error) {
      if (!(error instanceof StorageError && error.code === "closed")) throw error;
    } finally {
      await this.#file.close();
    }
  }
}
