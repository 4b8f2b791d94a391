// Reference counts of an image's clusters: a table of blocks, each with the counts of a stretch of the file. A cluster with count
// 0 is free. Written back in two steps by the owner: new references before whatever refers to them (`write`), references given
// up after that no longer refers to them (`applyReleased`): a crash in between leaks clusters and loses none.

import type { HostFile } from "../host-file.js";
import { StorageError } from "../storage-error.js";
import { HEADER_FIELD, type Qcow2Header } from "./header.js";
import { type Table, TableCache } from "./table-cache.js";

const CACHE_BYTES = 4 * 1024 * 1024;
const MAX_TABLE_BYTES = 8 * 1024 * 1024;

export class Refcounts {
  readonly #file: HostFile;
  readonly #clusterSize: number;
  readonly #order: number;
  readonly #perBlock: number;
  /** Cluster indexes [start, end) that can't be free: the L1 table. */
  readonly #reserved: readonly [number, number];
  #tableOffset: number;
  /** Offsets of the blocks; 0: none, so all its clusters are free. */
  #table: Float64Array;
  readonly #changedEntries = new Set<number>();
  readonly #blocks: TableCache;
  /** No cluster below is free. */
  #hint = 1;
  /** References given up since the last flush: pairs of first cluster and count. */
  #released: [number, number][] = [];

  constructor(file: HostFile, header: Qcow2Header, table: Uint8Array) {
    this.#file = file;
    this.#clusterSize = 2 ** header.clusterBits;
    this.#order = header.refcountOrder;
    this.#perBlock = (this.#clusterSize * 8) / 2 ** header.refcountOrder;
    this.#tableOffset = header.refcountTableOffset;
    const l1First = header.l1Offset / this.#clusterSize;
    this.#reserved = [l1First, l1First + Math.ceil((header.l1Entries * 8) / this.#clusterSize)];
    this.#blocks = new TableCache(file, this.#clusterSize, CACHE_BYTES);
    const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
    this.#table = new Float64Array(table.length / 8);
    const seen = new Set<number>();
    for (let i = 0; i < this.#table.length; i++) {
      const offset = view.getUint32(i * 8) * 2 ** 32 + ((view.getUint32(i * 8 + 4) & ~0x1ff) >>> 0);
      if (offset === 0) continue;
      // Each block once, and inside the file: then no search can take longer than the file is.
      if (offset % this.#clusterSize !== 0 || offset >= file.length || seen.has(offset))
        throw this.#corrupt(`reference count block ${i} is out of place`);
      seen.add(offset);
      this.#table[i] = offset;
    }
  }

  #corrupt(what: string): StorageError {
    return new StorageError("corrupt", `${this.#file.path}: damaged qcow2 image: ${what}`);
  }

  /** True when changed blocks should be written before more come. */
  get isFull(): boolean {
    return this.#blocks.isFull;
  }

  get isDirty(): boolean {
    return this.#blocks.dirty.size > 0 || this.#changedEntries.size > 0 || this.#released.length > 0;
  }

  // --- counts ---

  #get({ view }: Table, index: number): number {
    switch (this.#order) {
      case 3:
        return view.getUint8(index);
      case 4:
        return view.getUint16(index * 2);
      case 5:
        return view.getUint32(index * 4);
      case 6:
        return view.getUint32(index * 8) * 2 ** 32 + view.getUint32(index * 8 + 4);
      default: {
        const bits = 1 << this.#order;
        return (view.getUint8((index * bits) >>> 3) >>> ((index * bits) & 7)) & ((1 << bits) - 1);
      }
    }
  }

  #set(block: Table, index: number, count: number): void {
    const { view } = block;
    this.#blocks.dirty.add(block);
    if (this.#order === 3) view.setUint8(index, count);
    else if (this.#order === 4) view.setUint16(index * 2, count);
    else if (this.#order === 5) view.setUint32(index * 4, count);
    else if (this.#order === 6) view.setBigUint64(index * 8, BigInt(count));
    else {
      const bits = 1 << this.#order;
      const shift = (index * bits) & 7;
      const at = (index * bits) >>> 3;
      view.setUint8(at, (view.getUint8(at) & ~(((1 << bits) - 1) << shift)) | (count << shift));
    }
  }

  /** References of a cluster. */
  async count(cluster: number): Promise<number> {
    const offset = this.#table[Math.floor(cluster / this.#perBlock)] ?? 0;
    return offset === 0 ? 0 : this.#get(await this.#blocks.get(offset), cluster % this.#perBlock);
  }

  // --- allocation ---

  /** A free cluster, with one reference from now on: its offset. @throws StorageError */
  async allocate(): Promise<number> {
    for (let cluster = this.#hint; ; cluster++) {
      const at = Math.floor(cluster / this.#perBlock);
      if (at >= this.#table.length) cluster = await this.#grow(cluster);
      else if (this.#table[at] === 0) {
        // The first cluster of the stretch that nobody counts yet takes the block that counts it.
        this.#checkFree(cluster);
        const block = this.#blocks.create(cluster * this.#clusterSize);
        this.#set(block, cluster % this.#perBlock, 1);
        this.#table[at] = block.offset;
        this.#changedEntries.add(at);
      } else {
        const block = await this.#blocks.get(this.#table[at]!);
        const end = Math.min(this.#perBlock, cluster - (cluster % this.#perBlock) + this.#perBlock);
        let index = cluster % this.#perBlock;
        while (index < end && this.#get(block, index) !== 0) index++;
        cluster = at * this.#perBlock + index;
        if (index < end) {
          this.#checkFree(cluster);
          this.#set(block, index, 1);
          this.#hint = cluster + 1;
          return cluster * this.#clusterSize;
        }
        cluster--;
      }
    }
  }

  /** A damaged image may count clusters as free that hold its own tables. */
  #checkFree(cluster: number): void {
    const tableFirst = this.#tableOffset / this.#clusterSize;
    const tableEnd = tableFirst + (this.#table.length * 8) / this.#clusterSize;
    const [l1First, l1End] = this.#reserved;
    if (cluster === 0 || (cluster >= tableFirst && cluster < tableEnd) || (cluster >= l1First && cluster < l1End))
      throw this.#corrupt(`cluster ${cluster} counts as free, but is in use`);
  }

  /** Moves the table to a larger place behind all clusters that it can count now. @returns the last cluster taken */
  async #grow(first: number): Promise<number> {
    const perTableCluster = this.#clusterSize / 8;
    const firstBlock = Math.floor(first / this.#perBlock);
    let clusters = Math.ceil((this.#table.length / perTableCluster) * 1.5) + 1;
    let blocks = 1;
    for (;;) {
      const end = first + blocks + clusters;
      const needed = Math.ceil(end / this.#perBlock) - firstBlock;
      if (firstBlock + needed > clusters * perTableCluster) clusters++;
      else if (needed > blocks) blocks = needed;
      else break;
    }
    if (clusters * this.#clusterSize > MAX_TABLE_BYTES)
      throw new StorageError("no-space", `${this.#file.path}: the qcow2 image can't become larger`);
    for (let cluster = first; cluster < first + blocks + clusters; cluster++) this.#checkFree(cluster);
    await this.write();
    const table = new Float64Array(clusters * perTableCluster);
    table.set(this.#table);
    for (let i = 0; i < blocks; i++) {
      const block = this.#blocks.create((first + i) * this.#clusterSize);
      table[firstBlock + i] = block.offset;
      const start = (firstBlock + i) * this.#perBlock;
      const end = Math.min(first + blocks + clusters, start + this.#perBlock);
      for (let cluster = Math.max(first, start); cluster < end; cluster++) this.#set(block, cluster - start, 1);
    }
    await this.#blocks.write();
    const old = { first: this.#tableOffset / this.#clusterSize, clusters: this.#table.length / perTableCluster };
    const offset = (first + blocks) * this.#clusterSize;
    await this.#file.write(offset, encodeTable(table));
    await this.#file.sync();
    const fields = new DataView(new ArrayBuffer(12));
    fields.setBigUint64(0, BigInt(offset));
    fields.setUint32(8, clusters);
    await this.#file.write(HEADER_FIELD.refcountTableOffset, new Uint8Array(fields.buffer));
    await this.#file.sync();
    this.#table = table;
    this.#tableOffset = offset;
    this.release(old.first * this.#clusterSize, old.clusters);
    return first + blocks + clusters - 1;
  }

  /** Gives up a reference of each of `count` clusters from byte `offset`; in force at the next `applyReleased`. */
  release(offset: number, count = 1): void {
    const first = Math.floor(offset / this.#clusterSize);
    const last = this.#released.at(-1);
    if (last && last[0] + last[1] === first) last[1] += count;
    else this.#released.push([first, count]);
  }

  // --- writing back ---

  /** New references become durable. */
  async write(): Promise<void> {
    await this.#blocks.write();
    if (this.#changedEntries.size === 0) return;
    // A block must be in place before the table names it.
    await this.#file.sync();
    for (const index of this.#changedEntries)
      await this.#file.write(this.#tableOffset + index * 8, encodeTable(this.#table.subarray(index, index + 1)));
    this.#changedEntries.clear();
  }

  /** Nothing durable refers to what was released any more: it may be used again. */
  async applyReleased(): Promise<void> {
    const released = this.#released;
    this.#released = [];
    for (const [first, count] of released) {
      for (let cluster = first; cluster < first + count; cluster++) {
        const offset = this.#table[Math.floor(cluster / this.#perBlock)] ?? 0;
        const block = offset === 0 ? undefined : await this.#blocks.get(offset);
        const old = block ? this.#get(block, cluster % this.#perBlock) : 0;
        if (!block || old === 0) throw this.#corrupt(`cluster ${cluster} is in use but counts as free`);
        this.#set(block, cluster % this.#perBlock, old - 1);
        if (old === 1) this.#hint = Math.min(this.#hint, cluster);
      }
      if (this.#blocks.isFull) await this.#blocks.write();
    }
    await this.#blocks.write();
  }
}

function encodeTable(entries: Float64Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(entries.length * 8));
  for (const [i, entry] of entries.entries()) view.setBigUint64(i * 8, BigInt(entry));
  return new Uint8Array(view.buffer);
}
