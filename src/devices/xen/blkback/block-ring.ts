// Serves one ring of block requests. Requests are started in the order of the ring and answered as they complete; a barrier waits
// for all before it and holds all after it. What a request may hold of the host's memory is bounded by what all may hold.
// Data passes through buffers of our own: the guest can change its pages at any time, and what is read must be written through
// the memory that watches code.

import * as B from "../../../hypervisor/public/io/blkif.js";
import type { Abi } from "../../../hypervisor/public/layout.js";
import type { BlockStore } from "../../storage/block-store.js";
import type { EventBinding, GrantedPage } from "../backend.js";
import { BackRing } from "../ring.js";
import { type BlockRequest, entrySize, parseIndirect, parseRequest, type Segment } from "./block-request.js";
import type { GuestPages, HeldPage } from "./guest-pages.js";

const SECTOR_SIZE = 512;
/** Data that the requests of a ring may have in the host at a time, bytes. One request is always taken. */
const MAX_BYTES_UNDER_WAY = 8 * 1024 * 1024;

/** Counts as `xl` and Linux's sysfs show them. */
export interface BlockStatistics {
  reads: number;
  writes: number;
  flushes: number;
  discards: number;
  sectorsRead: number;
  sectorsWritten: number;
  errors: number;
}

export interface BlockRingOptions {
  readonly ringPages: readonly GrantedPage[];
  readonly abi: Abi;
  readonly pages: GuestPages;
  readonly disk: BlockStore;
  readonly isReadonly: boolean;
  readonly canDiscard: boolean;
  readonly statistics: BlockStatistics;
  /** The host's read or write failed: the guest gets an I/O error. */
  readonly onDiskError: (error: unknown) => void;
  /** The frontend's indices make no sense: the ring is dead. */
  readonly onBroken: () => void;
}

/** A request that was refused: its status. */
class Refusal {
  readonly status: number;
  constructor(status: number) {
    this.status = status;
  }
}
const REFUSED = new Refusal(B.BLKIF_RSP_ERROR);
const NOT_SUPPORTED = new Refusal(B.BLKIF_RSP_EOPNOTSUPP);

export class BlockRing {
  readonly #options: BlockRingOptions;
  readonly #ring: BackRing;
  readonly #entry: Uint8Array;
  readonly #response: Uint8Array;
  readonly #underWay = new Set<Promise<void>>();
  #bytesUnderWay = 0;
  #barrier: BlockRequest | undefined;
  #willPublish = false;
  #isDead = false;
  event: EventBinding | undefined;

  constructor(options: BlockRingOptions) {
    this.#options = options;
    this.#ring = new BackRing(options.ringPages, entrySize(options.abi));
    this.#entry = new Uint8Array(entrySize(options.abi));
    this.#response = new Uint8Array(B.blkif_response.size(options.abi));
  }

  get isBroken(): boolean {
    return this.#ring.isBroken;
  }

  /** Takes what waits on the ring. Call on the guest's event, and after anything was held back. */
  service(): void {
    while (!this.#isDead) {
      if (this.#ring.isBroken) {
        this.#isDead = true;
        this.#options.onBroken();
        return;
      }
      if (this.#barrier || (this.#bytesUnderWay >= MAX_BYTES_UNDER_WAY && this.#underWay.size > 0)) return;
      if (this.#ring.waiting === 0 && !this.#ring.rearm()) return;
      if (this.#ring.isBroken) continue;
      this.#ring.take(this.#entry);
      const request = parseRequest(new DataView(this.#entry.buffer), this.#options.abi);
      if (request.operation === B.BLKIF_OP_WRITE_BARRIER) {
        this.#barrier = request;
        this.#startBarrier();
      } else this.#start(request);
    }
  }

  /** When nothing else is under way. */
  #startBarrier(): void {
    if (this.#barrier && this.#underWay.size === 0) this.#start(this.#barrier);
  }

  #start(request: BlockRequest): void {
    const work = this.#perform(request).then((status) => {
      this.#underWay.delete(work);
      if (this.#barrier === request) this.#barrier = undefined;
      else if (this.#barrier) this.#startBarrier();
      if (this.#isDead) return;
      this.#respond(request, status);
      this.service();
    });
    this.#underWay.add(work);
  }

  /** @returns the response's status; never rejects */
  async #perform(request: BlockRequest): Promise<number> {
    const { statistics, onDiskError } = this.#options;
    try {
      await this.#dispatch(request);
      return B.BLKIF_RSP_OKAY;
    } catch (error) {
      statistics.errors++;
      if (error instanceof Refusal) return error.status;
      onDiskError(error);
      return B.BLKIF_RSP_ERROR;
    }
  }

  /** Runs to its first disk access before it returns to the caller. @throws Refusal, or what the disk throws */
  #dispatch(request: BlockRequest): Promise<void> {
    const { disk, isReadonly, canDiscard } = this.#options;
    switch (request.action) {
      case B.BLKIF_OP_READ:
        return this.#read(request);
      case B.BLKIF_OP_WRITE:
        if (isReadonly) throw REFUSED;
        return this.#write(request);
      case B.BLKIF_OP_WRITE_BARRIER:
      case B.BLKIF_OP_FLUSH_DISKCACHE:
        if (request.operation === B.BLKIF_OP_INDIRECT) throw NOT_SUPPORTED;
        return this.#flush(request);
      case B.BLKIF_OP_DISCARD: {
        if (isReadonly || !canDiscard || request.operation !== B.BLKIF_OP_DISCARD) throw NOT_SUPPORTED;
        const offset = this.#checkSectors(request.sector, request.sectors);
        this.#options.statistics.discards++;
        return disk.discard(offset, Number(request.sectors) * SECTOR_SIZE);
      }
      default:
        throw NOT_SUPPORTED;
    }
  }

  /** @returns the byte offset. @throws Refusal beyond the end of the disk */
  #checkSectors(sector: bigint, sectors: bigint): number {
    if (sector + sectors > BigInt(this.#options.disk.size / SECTOR_SIZE)) throw REFUSED;
    return Number(sector) * SECTOR_SIZE;
  }

  /** @throws Refusal */
  #segments(request: BlockRequest): readonly Segment[] {
    if (request.segments) return request.segments;
    if (!request.indirect) throw REFUSED;
    const { grefs, count } = request.indirect;
    const held = this.#hold(grefs, false);
    const copies = held.map(({ page }) => page.bytes.slice());
    for (const each of held) each.release();
    const segments = parseIndirect(copies, count);
    if (!segments) throw REFUSED;
    return segments;
  }

  /** All of them or none. @throws Refusal */
  #hold(grefs: readonly number[], isWritable: boolean): HeldPage[] {
    const held: HeldPage[] = [];
    for (const gref of grefs) {
      const page = this.#options.pages.hold(gref, isWritable);
      if (page) held.push(page);
      else {
        for (const each of held) each.release();
        throw REFUSED;
      }
    }
    return held;
  }

  /** What a request moves: its segments, bytes and place on the disk, and the pages, held. @throws Refusal */
  #prepare(request: BlockRequest, isWritable: boolean) {
    const segments = this.#segments(request);
    const length = segments.reduce((sum, segment) => sum + segment.length, 0);
    if (length === 0) throw REFUSED;
    const offset = this.#checkSectors(request.sector, BigInt(length / SECTOR_SIZE));
    const held = this.#hold(
      segments.map(({ gref }) => gref),
      isWritable,
    );
    return { segments, length, offset, held };
  }

  async #read(request: BlockRequest): Promise<void> {
    const { disk, statistics } = this.#options;
    const { segments, length, offset, held } = this.#prepare(request, true);
    statistics.reads++;
    statistics.sectorsRead += length / SECTOR_SIZE;
    this.#bytesUnderWay += length;
    try {
      const data = Buffer.allocUnsafe(length);
      await disk.read(offset, data);
      if (this.#isDead) return;
      let at = 0;
      for (const [i, segment] of segments.entries()) {
        held[i]!.page.write(segment.offset, data.subarray(at, at + segment.length));
        at += segment.length;
      }
    } finally {
      this.#bytesUnderWay -= length;
      for (const each of held) each.release();
    }
  }

  async #write(request: BlockRequest): Promise<void> {
    const { disk, statistics } = this.#options;
    const { segments, length, offset, held } = this.#prepare(request, false);
    const data = Buffer.allocUnsafe(length);
    let at = 0;
    for (const [i, segment] of segments.entries()) {
      data.set(held[i]!.page.bytes.subarray(segment.offset, segment.offset + segment.length), at);
      at += segment.length;
    }
    for (const each of held) each.release();
    statistics.writes++;
    statistics.sectorsWritten += length / SECTOR_SIZE;
    this.#bytesUnderWay += length;
    try {
      if (request.operation === B.BLKIF_OP_WRITE_BARRIER || request.operation === B.BLKIF_OP_FLUSH_DISKCACHE)
        await disk.flush();
      await disk.write(offset, data);
      if (request.operation === B.BLKIF_OP_WRITE_BARRIER) await disk.flush();
    } finally {
      this.#bytesUnderWay -= length;
    }
  }

  /** Answered when all that was answered before is on stable storage. It may carry data of its own. */
  async #flush(request: BlockRequest): Promise<void> {
    const { disk, isReadonly, statistics } = this.#options;
    if (!request.segments) throw REFUSED;
    statistics.flushes++;
    if (request.segments.length === 0) return disk.flush();
    if (isReadonly) throw REFUSED;
    return this.#write(request);
  }

  /** Answers to indirect requests name what was done, as Linux's backend does and its frontend checks. */
  #respond({ id, action }: BlockRequest, status: number): void {
    const view = new DataView(this.#response.buffer);
    B.blkif_response.write(view, 0, this.#options.abi, { id, operation: action, status });
    this.#ring.put(this.#response);
    if (this.#willPublish) return;
    // What completes together is shown together, with one event.
    this.#willPublish = true;
    queueMicrotask(() => {
      this.#willPublish = false;
      if (!this.#isDead && this.#ring.publish()) this.event?.notify();
    });
  }

  /** Touches the guest no more. Done when the disk has finished what was under way. */
  async close(): Promise<void> {
    this.#isDead = true;
    this.event?.close();
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }
}
