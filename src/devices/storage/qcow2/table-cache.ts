// Tables of one cluster each (L2 tables, reference count blocks), kept in memory and written back by their owner in the order
// that keeps the image consistent. Changed tables stay until they are written; others go when there are too many.
// Invariant: whoever changes a table gets it and changes it without waiting in between, and nobody else changes tables meanwhile.

import type { HostFile } from "../host-file.js";

export interface Table {
  readonly offset: number;
  readonly view: DataView;
  readonly bytes: Uint8Array;
}

export class TableCache {
  readonly #file: HostFile;
  readonly #size: number;
  readonly #limit: number;
  /** In order of last use. */
  readonly #tables = new Map<number, Table>();
  readonly #loading = new Map<number, Promise<Table>>();
  readonly dirty = new Set<Table>();

  /** @param maxBytes of tables that are kept; at least four are */
  constructor(file: HostFile, clusterSize: number, maxBytes: number) {
    this.#file = file;
    this.#size = clusterSize;
    this.#limit = Math.max(4, Math.floor(maxBytes / clusterSize));
  }

  /** True when it is time to write changed tables back. */
  get isFull(): boolean {
    return this.dirty.size * 2 >= this.#limit;
  }

  /** The table when it is in memory. */
  find(offset: number): Table | undefined {
    const known = this.#tables.get(offset);
    if (!known) return undefined;
    this.#tables.delete(offset);
    this.#tables.set(offset, known);
    return known;
  }

  /** The table at a cluster of the file that the caller has found to be inside it. */
  async get(offset: number): Promise<Table> {
    const known = this.find(offset);
    if (known) return known;
    let loading = this.#loading.get(offset);
    if (!loading) {
      loading = this.#load(offset).finally(() => this.#loading.delete(offset));
      this.#loading.set(offset, loading);
    }
    return loading;
  }

  async #load(offset: number): Promise<Table> {
    const table = this.#make(offset, new Uint8Array(this.#size));
    await this.#file.read(offset, table.bytes);
    this.#keep(table);
    return table;
  }

  #make(offset: number, bytes: Uint8Array): Table {
    return { offset, bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
  }

  #keep(table: Table): void {
    for (const [offset, old] of this.#tables) {
      if (this.#tables.size < this.#limit) break;
      if (!this.dirty.has(old)) this.#tables.delete(offset);
    }
    this.#tables.set(table.offset, table);
  }

  /** A table that isn't in the file yet, or whose old contents don't matter. It counts as changed. */
  create(offset: number, bytes: Uint8Array = new Uint8Array(this.#size)): Table {
    const table = this.#make(offset, bytes);
    this.#tables.delete(offset);
    this.#keep(table);
    this.dirty.add(table);
    return table;
  }

  /** Forgets a table whose cluster is given up. */
  drop(offset: number): void {
    const table = this.#tables.get(offset);
    if (!table) return;
    this.#tables.delete(offset);
    this.dirty.delete(table);
  }

  /** Writes the changed tables that `isWanted` picks. */
  async write(isWanted: (table: Table) => boolean = () => true): Promise<void> {
    for (const table of [...this.dirty]) {
      if (!isWanted(table)) continue;
      await this.#file.write(table.offset, table.bytes);
      this.dirty.delete(table);
    }
  }
}
