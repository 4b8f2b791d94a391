// Copy on write: reads come from a base that is never written, writes go to a second store of the same size, and a bitmap tells
// for each sector where it is. As the bitmap's unit is what requests are made of, nothing ever needs to be copied up.
// What is written is gone when the overlay is closed: `--snapshot`, and disposable guests.

import { type BlockStore, checkRange, SECTOR_SIZE } from "./block-store.js";
import { settleAll } from "./settle.js";

/** Sectors whose bits are in one piece of the bitmap: 32 MiB of disk in 8 KiB. */
const SECTORS_PER_PIECE = 65536;

export class OverlayStore implements BlockStore {
  readonly name: string;
  readonly size: number;
  readonly sectorSize = SECTOR_SIZE;
  readonly isReadonly = false;
  readonly discardGranularity = 0;
  readonly #base: BlockStore;
  readonly #upper: BlockStore;
  readonly #pieces = new Map<number, Uint8Array>();

  /** Both stores become the overlay's: close() closes them. */
  constructor(base: BlockStore, upper: BlockStore) {
    if (upper.size < base.size || upper.isReadonly)
      throw new RangeError("overlay: the upper store must be as large as the base, and writable");
    this.name = base.name;
    this.size = base.size;
    this.#base = base;
    this.#upper = upper;
  }

  #isWritten(sector: number): boolean {
    const piece = this.#pieces.get(Math.floor(sector / SECTORS_PER_PIECE));
    const bit = sector % SECTORS_PER_PIECE;
    return piece !== undefined && (piece[bit >>> 3]! & (1 << (bit & 7))) !== 0;
  }

  #setWritten(first: number, end: number): void {
    for (let sector = first; sector < end; sector++) {
      const index = Math.floor(sector / SECTORS_PER_PIECE);
      let piece = this.#pieces.get(index);
      if (!piece) {
        piece = new Uint8Array(SECTORS_PER_PIECE / 8);
        this.#pieces.set(index, piece);
      }
      const bit = sector % SECTORS_PER_PIECE;
      piece[bit >>> 3]! |= 1 << (bit & 7);
    }
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    checkRange(this, offset, target.length);
    const end = (offset + target.length) / SECTOR_SIZE;
    const parts: Promise<void>[] = [];
    for (let sector = offset / SECTOR_SIZE; sector < end; ) {
      const isWritten = this.#isWritten(sector);
      let next = sector + 1;
      while (next < end && this.#isWritten(next) === isWritten) next++;
      const at = sector * SECTOR_SIZE;
      const part = target.subarray(at - offset, next * SECTOR_SIZE - offset);
      parts.push((isWritten ? this.#upper : this.#base).read(at, part));
      sector = next;
    }
    if (parts.length === 0) await this.#base.read(offset, target);
    await settleAll(parts);
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    checkRange(this, offset, source.length);
    await this.#upper.write(offset, source);
    this.#setWritten(offset / SECTOR_SIZE, (offset + source.length) / SECTOR_SIZE);
  }

  /** Nothing has to survive, but errors of the upper store show here. */
  flush(): Promise<void> {
    return this.#upper.flush();
  }

  async discard(offset: number, length: number): Promise<void> {
    checkRange(this, offset, length);
    await this.#upper.discard(0, 0);
  }

  async close(): Promise<void> {
    await settleAll([this.#upper.close(), this.#base.close()]);
  }
}
