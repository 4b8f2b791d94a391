// A file of the host, or a block device, with the little that images need: whole reads and writes at a position, durability,
// its length. Knows no format. Errors are StorageErrors that name the file.

import { readSync, readvSync, writeSync, writevSync } from "node:fs";
import { type FileHandle, open, readFile, rm } from "node:fs/promises";
import { totalLength } from "./block-store.js";
import { DirectAccess } from "./direct-access.js";
import type { FileLocks } from "./file-locks.js";
import { StorageError, storageError } from "./storage-error.js";

/** Pieces of memory that the system takes at a time (IOV_MAX is 1024 on Linux and elsewhere). */
const MAX_PARTS = 1024;

/** Gives a range of an open file, or block device, back to the machine; it reads as zeros, or as before. Rejects when that fails. */
export type FreeSpace = (fd: number, isBlockDevice: boolean, offset: number, length: number) => Promise<void>;

/** Who uses a file: keeps it from others while it is open; and what the machine can do with files beside Node. */
export interface FileLock {
  /** Milliseconds, monotonic: with it, what the system has in its cache is read and written at once. */
  readonly now?: () => number;
  /** Undefined: no space is given back. */
  readonly freeSpace?: FreeSpace;
  readonly locks: FileLocks;
  /** For messages. */
  readonly holder: string;
}

export class HostFile {
  readonly path: string;
  readonly isWritable: boolean;
  readonly isBlockDevice: boolean;
  readonly #handle: FileHandle;
  #length: number;
  #pending = 0;
  #idle: (() => void) | undefined;
  #isClosed = false;
  #unlock: () => void = () => {};
  #direct: DirectAccess | undefined;
  #freeSpace: FreeSpace | undefined;
  #discardGranularity = 0;

  private constructor(path: string, handle: FileHandle, isWritable: boolean, length: number, isBlockDevice: boolean) {
    this.path = path;
    this.#handle = handle;
    this.isWritable = isWritable;
    this.#length = length;
    this.isBlockDevice = isBlockDevice;
  }

  /** @throws StorageError */
  static async open(path: string, isWritable: boolean, lock?: FileLock): Promise<HostFile> {
    const { file, identity } = await HostFile.#open(path, isWritable);
    try {
      if (lock) file.#unlock = lock.locks.acquire(identity, path, isWritable, lock.holder);
      if (lock?.now) file.#direct = new DirectAccess(lock.now);
      if (lock?.freeSpace) await file.#offerDiscard(lock.freeSpace);
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  static async #open(path: string, isWritable: boolean): Promise<{ file: HostFile; identity: string }> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, isWritable ? "r+" : "r");
      const stat = await handle.stat();
      if (stat.isDirectory()) throw new StorageError("unsupported", `${path}: is a directory`);
      if (stat.isBlockDevice()) {
        const { length, isReadonly } = await blockDevice(handle, stat.rdev);
        if (isReadonly && isWritable) throw new StorageError("read-only", `${path}: the device is read-only`);
        return { file: new HostFile(path, handle, isWritable, length, true), identity: `device ${stat.rdev}` };
      }
      if (!stat.isFile()) throw new StorageError("unsupported", `${path}: neither a file nor a block device`);
      const identity = `file ${stat.dev} ${stat.ino}`;
      return { file: new HostFile(path, handle, isWritable, stat.size, false), identity };
    } catch (error) {
      await handle?.close();
      throw storageError(path, error);
    }
  }

  /** A sparse file of `length` bytes without a name: its space returns when it is closed or the process ends. */
  static async temporary(path: string, length: number): Promise<HostFile> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, "wx+", 0o600);
      await rm(path);
      await handle.truncate(length);
      return new HostFile(path, handle, true, length, false);
    } catch (error) {
      await handle?.close();
      throw storageError(path, error);
    }
  }

  get length(): number {
    return this.#length;
  }

  /** Unit in which `discard` gives space back, bytes; 0: this file can't. */
  get discardGranularity(): number {
    return this.#discardGranularity;
  }

  async #offerDiscard(freeSpace: FreeSpace): Promise<void> {
    if (!this.isWritable) return;
    const { blksize, rdev } = await this.#handle.stat();
    if (this.isBlockDevice) this.#discardGranularity = await deviceGranularity(rdev);
    // Not all file systems make holes: one behind the end shows it, and changes nothing.
    else
      this.#discardGranularity = await freeSpace(this.#handle.fd, false, this.#length, blksize).then(
        () => blksize,
        () => 0,
      );
    this.#freeSpace = freeSpace;
  }

  /** Gives a range back to the machine, where it can. */
  discard(offset: number, length: number): Promise<void> {
    return this.#run(async () => {
      if (length > 0 && this.#discardGranularity > 0)
        await this.#freeSpace?.(this.#handle.fd, this.isBlockDevice, offset, length);
    });
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new StorageError("closed", `${this.path}: the file is closed`);
    this.#pending++;
    try {
      return await work();
    } catch (error) {
      throw storageError(this.path, error);
    } finally {
      if (--this.#pending === 0) this.#idle?.();
    }
  }

  /** Reads up to the end of the file. @returns bytes read */
  read(offset: number, target: Uint8Array): Promise<number> {
    return this.#run(async () => {
      let done = 0;
      if (this.#direct?.allows(target.length))
        done = this.#direct.run(() => readSync(this.#handle.fd, target, 0, target.length, offset));
      while (done < target.length) {
        const { bytesRead } = await this.#handle.read(target, done, target.length - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return done;
    });
  }

  /** Reads all of it within the call, or gives up. */
  readNow(offset: number, targets: readonly Uint8Array[]): boolean {
    const length = totalLength(targets);
    if (this.#isClosed || targets.length > MAX_PARTS || !this.#direct?.allows(length)) return false;
    const { fd } = this.#handle;
    const [first] = targets;
    try {
      const read =
        first && targets.length === 1
          ? () => readSync(fd, first, 0, length, offset)
          : () => readvSync(fd, targets, offset);
      return this.#direct.run(read) === length;
    } catch {
      return false;
    }
  }

  /** Writes all of it within the call, or gives up. */
  writeNow(offset: number, sources: readonly Uint8Array[]): boolean {
    const length = totalLength(sources);
    if (this.#isClosed || sources.length > MAX_PARTS || !this.#direct?.allows(length)) return false;
    const { fd } = this.#handle;
    const [first] = sources;
    try {
      const write =
        first && sources.length === 1
          ? () => writeSync(fd, first, 0, length, offset)
          : () => writevSync(fd, sources, offset);
      if (this.#direct.run(write) !== length) return false;
      this.#length = Math.max(this.#length, offset + length);
      return true;
    } catch {
      return false;
    }
  }

  write(offset: number, source: Uint8Array): Promise<void> {
    return this.#run(async () => {
      let done = 0;
      if (this.#direct?.allows(source.length))
        done = this.#direct.run(() => writeSync(this.#handle.fd, source, 0, source.length, offset));
      while (done < source.length) {
        const { bytesWritten } = await this.#handle.write(source, done, source.length - done, offset + done);
        if (bytesWritten === 0)
          throw new StorageError("io", `${this.path}: nothing could be written at ${offset + done}`);
        done += bytesWritten;
      }
      this.#length = Math.max(this.#length, offset + source.length);
    });
  }

  /** fdatasync: contents, and the length where it changed. */
  sync(): Promise<void> {
    return this.#run(() => this.#handle.datasync());
  }

  /** Waits for what is outstanding. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#pending > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await this.#handle.close();
    this.#unlock();
  }
}

/** In sysfs. Linux dev_t: 12 bits of major at 8, 8 low bits of minor at 0, the others at 20. */
function deviceDirectory(rdev: number): string {
  return `/sys/dev/block/${(rdev >>> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >>> 12) & 0xfff00)}`;
}

/** 0: the device has no discard. A partition's queue is its disk's. */
async function deviceGranularity(rdev: number): Promise<number> {
  for (const queue of ["queue", "../queue"]) {
    const figure = async (name: string) => Number(await readFile(`${deviceDirectory(rdev)}/${queue}/${name}`, "utf8"));
    const found = await Promise.all([figure("discard_granularity"), figure("discard_max_bytes")]).catch(
      () => undefined,
    );
    if (found) return found[1] > 0 ? found[0] : 0;
  }
  return 0;
}

/** A block device's length isn't in its stat. Linux shows it in sysfs; elsewhere the last readable byte is searched. */
async function blockDevice(handle: FileHandle, rdev: number): Promise<{ length: number; isReadonly: boolean }> {
  const directory = deviceDirectory(rdev);
  try {
    const sectors = Number(await readFile(`${directory}/size`, "utf8"));
    const isReadonly = (await readFile(`${directory}/ro`, "utf8")).trim() === "1";
    if (Number.isSafeInteger(sectors)) return { length: sectors * 512, isReadonly };
  } catch {
    // No sysfs here.
  }
  const byte = new Uint8Array(1);
  const isReadable = async (at: number) => (await handle.read(byte, 0, 1, at)).bytesRead === 1;
  if (!(await isReadable(0))) return { length: 0, isReadonly: false };
  let low = 0;
  let high = 2 ** 52;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await isReadable(middle).catch(() => false)) low = middle;
    else high = middle;
  }
  return { length: low + 1, isReadonly: false };
}
