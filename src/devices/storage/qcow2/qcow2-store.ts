// A qcow2 image as a disk: guest clusters are found through two levels of tables, come into being when they are written, and may
// be shared with internal snapshots, read from a backing file, or be compressed.
// Writing in place and reading go on at the same time; whatever changes tables has the image to itself.
// On disk, in this order, each step durable before the next: data, reference counts and new tables; changed tables; L1 entries;
// what was released. So the image is consistent whenever the host dies, except for leaked clusters.

import { type BlockStore, checkRange, checkWritable, PartsCutter, SECTOR_SIZE, totalLength } from "../block-store.js";
import type { HostFile } from "../host-file.js";
import { settleAll } from "../settle.js";
import { SharedLock } from "../shared-lock.js";
import { StorageError } from "../storage-error.js";
import { unpackCluster } from "./compressed.js";
import { HEADER_FIELD, parseHeader, type Qcow2Header } from "./header.js";
import { clearL2, type Mapping, readL1, readL2, writeEntry } from "./l2-entry.js";
import { Refcounts } from "./refcounts.js";
import { type Table, TableCache } from "./table-cache.js";

const L2_CACHE_BYTES = 16 * 1024 * 1024;
const HEADER_READ = 65536;

/** Opens the file that an image names as its backing; its format where the image says it. */
export type OpenBacking = (name: string, format: string | undefined) => Promise<BlockStore>;

/** A stretch of a request and where it goes in the file. */
interface Piece {
  host: number;
  bytes: Uint8Array;
}

/** So much of the file in a row. */
interface Stretch {
  readonly host: number;
  length: number;
}

export class Qcow2Store implements BlockStore {
  readonly name: string;
  readonly size: number;
  readonly sectorSize = SECTOR_SIZE;
  readonly isReadonly: boolean;
  readonly discardGranularity: number;
  readonly header: Qcow2Header;
  readonly #file: HostFile;
  readonly #backing: BlockStore | undefined;
  readonly #clusterSize: number;
  readonly #perL2: number;
  readonly #l1: DataView;
  readonly #changedL1 = new Set<number>();
  readonly #l2: TableCache;
  /** L2 tables that nothing on disk refers to yet. */
  readonly #newL2 = new Set<number>();
  readonly #refcounts: Refcounts;
  readonly #lock = new SharedLock();
  #unpacked: { readonly offset: number; readonly bytes: Uint8Array } | undefined;

  private constructor(
    file: HostFile,
    header: Qcow2Header,
    tables: { l1: Uint8Array; refcounts: Uint8Array },
    backing: BlockStore | undefined,
  ) {
    this.#file = file;
    this.header = header;
    this.name = file.path;
    this.size = header.size;
    this.isReadonly = !file.isWritable;
    this.#backing = backing;
    this.#clusterSize = 2 ** header.clusterBits;
    this.#perL2 = this.#clusterSize / 8;
    this.discardGranularity = this.#clusterSize;
    this.#l1 = new DataView(tables.l1.buffer, tables.l1.byteOffset, tables.l1.byteLength);
    this.#l2 = new TableCache(file, this.#clusterSize, L2_CACHE_BYTES);
    this.#refcounts = new Refcounts(file, header, tables.refcounts);
  }

  /** @param file becomes the store's, also when this fails. @throws StorageError */
  static async open(file: HostFile, openBacking: OpenBacking): Promise<Qcow2Store> {
    let backing: BlockStore | undefined;
    try {
      const start = new Uint8Array(Math.min(HEADER_READ, file.length));
      await file.read(0, start);
      const header = parseHeader(file.path, start, file.length);
      if (file.isWritable && (header.isDirty || header.isMarkedCorrupt))
        throw new StorageError(
          "corrupt",
          `${file.path}: the qcow2 image needs a repair before it can be written (qemu-img check -r all)`,
        );
      const l1 = new Uint8Array(header.l1Entries * 8);
      await file.read(header.l1Offset, l1);
      const refcounts = new Uint8Array(header.refcountTableClusters * 2 ** header.clusterBits);
      await file.read(header.refcountTableOffset, refcounts);
      if (header.backing) backing = await openBacking(header.backing.name, header.backing.format);
      const store = new Qcow2Store(file, header, { l1, refcounts }, backing);
      // Features that hold only while every writer knows them: this one knows none.
      if (file.isWritable && header.hasAutoclearFeatures) await file.write(HEADER_FIELD.autoclear, new Uint8Array(8));
      return store;
    } catch (error) {
      await backing?.close();
      await file.close();
      throw error;
    }
  }

  #corrupt(what: string): StorageError {
    return new StorageError("corrupt", `${this.name}: damaged qcow2 image: ${what}`);
  }

  // --- where things are ---

  #checkCluster(offset: number, what: string): void {
    if (offset % this.#clusterSize !== 0 || offset === 0 || offset >= this.#file.length)
      throw this.#corrupt(`${what} at ${offset} isn't a cluster of the file`);
  }

  async #mapping(cluster: number): Promise<Mapping> {
    const { offset } = readL1(this.#l1, Math.floor(cluster / this.#perL2));
    if (offset === 0) return { kind: "none" };
    // A table that was made since the last flush isn't in the file yet.
    if (!this.#newL2.has(offset)) this.#checkCluster(offset, "an L2 table");
    return this.#mappingIn(await this.#l2.get(offset), cluster);
  }

  #mappingIn({ view }: Table, cluster: number): Mapping {
    const mapping = readL2(view, cluster % this.#perL2, this.header.clusterBits);
    if (mapping.kind === "data" || (mapping.kind === "zero" && mapping.offset !== 0))
      this.#checkCluster(mapping.offset, `guest cluster ${cluster}`);
    return mapping;
  }

  /** Splits a range at cluster borders. */
  *#clusters(offset: number, length: number): Iterable<{ cluster: number; start: number; at: number; count: number }> {
    for (let at = 0; at < length; ) {
      const start = (offset + at) % this.#clusterSize;
      const count = Math.min(this.#clusterSize - start, length - at);
      yield { cluster: Math.floor((offset + at) / this.#clusterSize), start, at, count };
      at += count;
    }
  }

  /** The stretches of the file that a range is in, when all of its clusters are there and that can be told at once. */
  #stretchesNow(offset: number, length: number, forWriting: boolean): Stretch[] | undefined {
    if (!this.#lock.isSharedOrFree) return undefined;
    const stretches: Stretch[] = [];
    for (const { cluster, start, count } of this.#clusters(offset, length)) {
      const l1 = readL1(this.#l1, Math.floor(cluster / this.#perL2));
      const table = l1.offset === 0 ? undefined : this.#l2.find(l1.offset);
      if (!table) return undefined;
      const mapping = this.#mappingIn(table, cluster);
      if (mapping.kind !== "data" || (forWriting && !mapping.isCopied)) return undefined;
      const host = mapping.offset + start;
      const last = stretches.at(-1);
      if (last && last.host + last.length === host) last.length += count;
      else stretches.push({ host, length: count });
    }
    return stretches;
  }

  #doNow(
    stretches: readonly Stretch[],
    parts: readonly Uint8Array[],
    access: (host: number, parts: readonly Uint8Array[]) => boolean,
  ): boolean {
    if (stretches.length === 1) return access(stretches[0]!.host, parts);
    const cutter = new PartsCutter(parts);
    return stretches.every(({ host, length }) => access(host, cutter.take(length)));
  }

  // --- reading ---

  readNow(offset: number, targets: readonly Uint8Array[]): boolean {
    const length = totalLength(targets);
    checkRange(this, offset, length);
    const stretches = this.#stretchesNow(offset, length, false);
    return !!stretches && this.#doNow(stretches, targets, (host, parts) => this.#file.readNow(host, parts));
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    checkRange(this, offset, target.length);
    await this.#lock.shared(async () => {
      const pieces: Piece[] = [];
      const others: (() => Promise<void>)[] = [];
      for (const { cluster, start, at, count } of this.#clusters(offset, target.length)) {
        const mapping = await this.#mapping(cluster);
        const bytes = target.subarray(at, at + count);
        if (mapping.kind === "data") addPiece(pieces, mapping.offset + start, bytes);
        else others.push(() => this.#readOther(mapping, cluster * this.#clusterSize + start, start, bytes));
      }
      if (pieces.length === 0) await this.#file.read(0, new Uint8Array(0));
      await settleAll([
        ...others.map((start) => start()),
        ...pieces.map(({ host, bytes }) => this.#readFile(host, bytes)),
      ]);
    });
  }

  /** The file may end within its last cluster: what is missing there is zero. What is missing before or after has been lost. */
  async #readFile(host: number, bytes: Uint8Array): Promise<void> {
    const count = await this.#file.read(host, bytes);
    if (count === bytes.length) return;
    const { length } = this.#file;
    const end = Math.ceil(length / this.#clusterSize) * this.#clusterSize;
    if (host + count < length || host + bytes.length > end)
      throw new StorageError("io", `${this.name}: the qcow2 image's file is cut short (at ${host + count})`);
    bytes.fill(0, count);
  }

  async #readOther(mapping: Mapping, offset: number, start: number, target: Uint8Array): Promise<void> {
    if (mapping.kind === "compressed") target.set((await this.#unpack(mapping)).subarray(start, start + target.length));
    else if (mapping.kind === "none" && this.#backing) await this.#readBacking(this.#backing, offset, target);
    else target.fill(0);
  }

  /** The backing disk may be smaller: zeros follow it. */
  async #readBacking(backing: BlockStore, offset: number, target: Uint8Array): Promise<void> {
    const count = Math.max(0, Math.min(target.length, backing.size - offset));
    if (count > 0) await backing.read(offset, target.subarray(0, count));
    target.fill(0, count);
  }

  async #unpack({ offset, length }: { offset: number; length: number }): Promise<Uint8Array> {
    if (this.#unpacked?.offset === offset) return this.#unpacked.bytes;
    const packed = new Uint8Array(length);
    const count = await this.#file.read(offset, packed);
    const bytes = await unpackCluster(packed.subarray(0, count), this.#clusterSize, this.header.compression);
    if (!bytes) throw this.#corrupt(`the compressed cluster at ${offset} can't be unpacked`);
    this.#unpacked = { offset, bytes };
    return bytes;
  }

  // --- writing ---

  writeNow(offset: number, sources: readonly Uint8Array[]): boolean {
    const length = totalLength(sources);
    checkRange(this, offset, length);
    checkWritable(this);
    const stretches = this.#stretchesNow(offset, length, true);
    return !!stretches && this.#doNow(stretches, sources, (host, parts) => this.#file.writeNow(host, parts));
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    checkRange(this, offset, source.length);
    checkWritable(this);
    const isDone = await this.#lock.shared(async () => {
      const pieces: Piece[] = [];
      for (const { cluster, start, at, count } of this.#clusters(offset, source.length)) {
        const mapping = await this.#mapping(cluster);
        if (mapping.kind !== "data" || !mapping.isCopied) return false;
        addPiece(pieces, mapping.offset + start, source.subarray(at, at + count));
      }
      if (pieces.length === 0) await this.#file.read(0, new Uint8Array(0));
      await settleAll(pieces.map(({ host, bytes }) => this.#file.write(host, bytes)));
      return true;
    });
    if (!isDone) await this.#lock.exclusive(() => this.#writeNew(offset, source));
  }

  /** A write that needs clusters. Tables name these only once the data is in them. */
  async #writeNew(offset: number, source: Uint8Array): Promise<void> {
    const pieces: Piece[] = [];
    const placed: { cluster: number; host: number; old: Mapping }[] = [];
    const allocated: number[] = [];
    try {
      for (const { cluster, start, at, count } of this.#clusters(offset, source.length)) {
        const part = source.subarray(at, at + count);
        const old = await this.#mapping(cluster);
        if (old.kind === "data" && old.isCopied) {
          addPiece(pieces, old.offset + start, part);
          continue;
        }
        const canStay = old.kind === "zero" && old.offset !== 0 && old.isCopied;
        const host = canStay ? old.offset : await this.#refcounts.allocate();
        if (!canStay) allocated.push(host);
        addPiece(pieces, host, count === this.#clusterSize ? part : await this.#filled(cluster, old, start, part));
        placed.push({ cluster, host, old });
      }
      await settleAll(pieces.map(({ host, bytes }) => this.#file.write(host, bytes)));
      for (const { cluster } of placed) await this.#ownTable(Math.floor(cluster / this.#perL2));
    } catch (error) {
      for (const host of allocated) this.#refcounts.release(host);
      throw error;
    }
    for (const { cluster, host, old } of placed) {
      const table = await this.#ownTable(Math.floor(cluster / this.#perL2));
      writeEntry(table.view, cluster % this.#perL2, host);
      this.#l2.dirty.add(table);
      this.#releaseOld(old, host);
    }
    if (this.#l2.isFull || this.#refcounts.isFull) await this.#writeTables();
  }

  /** A whole cluster: what it holds now with `part` laid over it. */
  async #filled(cluster: number, old: Mapping, start: number, part: Uint8Array): Promise<Uint8Array> {
    const bytes = new Uint8Array(this.#clusterSize);
    if (old.kind === "data") await this.#readFile(old.offset, bytes);
    else await this.#readOther(old, cluster * this.#clusterSize, 0, bytes);
    bytes.set(part, start);
    return bytes;
  }

  #releaseOld(old: Mapping, host: number): void {
    if (old.kind === "none" || old.offset === 0 || old.offset === host) return;
    if (old.kind !== "compressed") {
      this.#refcounts.release(old.offset);
      return;
    }
    // Compressed data counts in each cluster of the file that it touches.
    if (this.#unpacked?.offset === old.offset) this.#unpacked = undefined;
    const first = Math.floor(old.offset / this.#clusterSize);
    const last = Math.floor((old.offset + old.length - 1) / this.#clusterSize);
    this.#refcounts.release(first * this.#clusterSize, last - first + 1);
  }

  /** The L2 table of an L1 entry, made or copied when the image doesn't have it for itself. */
  async #ownTable(index: number): Promise<Table> {
    const { offset, isCopied } = readL1(this.#l1, index);
    if (offset !== 0 && isCopied) return this.#l2.get(offset);
    const old = offset === 0 ? undefined : (await this.#l2.get(offset)).bytes;
    const place = await this.#refcounts.allocate();
    const table = this.#l2.create(place, old?.slice());
    this.#newL2.add(place);
    writeEntry(this.#l1, index, place);
    this.#changedL1.add(index);
    if (offset !== 0) this.#refcounts.release(offset);
    return table;
  }

  async discard(offset: number, length: number): Promise<void> {
    checkRange(this, offset, length);
    checkWritable(this);
    // Version 2 can't say "zeros here" over a backing file, and what shines through from there would be neither old nor new.
    if (this.#backing && this.header.version === 2) return;
    await this.#lock.exclusive(async () => {
      await this.#file.read(0, new Uint8Array(0));
      for (const { cluster, start, at, count } of this.#clusters(offset, length)) {
        const isWhole = start === 0 && (count === this.#clusterSize || offset + at + count === this.size);
        if (!isWhole) continue;
        const old = await this.#mapping(cluster);
        if (old.kind === "none" && !this.#backing) continue;
        if (old.kind === "zero" && old.offset === 0) continue;
        const table = await this.#ownTable(Math.floor(cluster / this.#perL2));
        clearL2(table.view, cluster % this.#perL2, this.#backing !== undefined);
        this.#l2.dirty.add(table);
        this.#releaseOld(old, 0);
        if (this.#l2.isFull) await this.#writeTables();
      }
    });
  }

  // --- durability ---

  async flush(): Promise<void> {
    if (this.isReadonly) return void (await this.#file.read(0, new Uint8Array(0)));
    await this.#lock.exclusive(() => this.#flush());
  }

  async #flush(): Promise<void> {
    await this.#writeTables();
    await this.#file.sync();
  }

  async #writeTables(): Promise<void> {
    if (this.#l2.dirty.size === 0 && this.#changedL1.size === 0 && !this.#refcounts.isDirty) return;
    await this.#refcounts.write();
    await this.#l2.write(({ offset }) => this.#newL2.has(offset));
    await this.#file.sync();
    this.#newL2.clear();
    await this.#l2.write();
    for (const index of this.#changedL1) {
      const entry = new Uint8Array(this.#l1.buffer, this.#l1.byteOffset + index * 8, 8);
      await this.#file.write(this.header.l1Offset + index * 8, entry);
      this.#changedL1.delete(index);
    }
    await this.#file.sync();
    await this.#refcounts.applyReleased();
  }

  async close(): Promise<void> {
    try {
      if (!this.isReadonly) await this.#lock.exclusive(() => this.#flush());
    } catch (error) {
      if (!(error instanceof StorageError && error.code === "closed")) throw error;
    } finally {
      await this.#file.close();
      await this.#backing?.close();
    }
  }
}

/** Adds a stretch, to the one before it when both the file and memory go on there. */
function addPiece(pieces: Piece[], host: number, bytes: Uint8Array): void {
  const last = pieces.at(-1);
  const goesOn =
    last &&
    last.host + last.bytes.length === host &&
    last.bytes.buffer === bytes.buffer &&
    last.bytes.byteOffset + last.bytes.length === bytes.byteOffset;
  if (goesOn) last.bytes = new Uint8Array(bytes.buffer, last.bytes.byteOffset, last.bytes.length + bytes.length);
  else pieces.push({ host, bytes });
}
