// Serves one ring of block requests. Requests are started in the order of the ring and answered as they complete; a barrier waits
// for all before it and holds all after it. Reads and writes that the disk can do at once are answered before `service` returns, so
// that the guest goes on without a turn of the event loop. What a request may hold of the host's memory is bounded by what all may hold.
// What is done at once is read and written in the guest's own pages; else data passes through buffers of ours, since the guest runs meanwhile.

import * as B from "../../../hypervisor/public/io/blkif.js";
import type { Abi } from "../../../hypervisor/public/layout.js";
import type { BlockStore } from "../../storage/block-store.js";
import type { EventBinding, GrantedPage } from "../backend.js";
import { BackRing } from "../ring.js";
import {
  type BlockRequest,
  entrySize,
  indirectBytes,
  MAX_INDIRECT_SEGMENTS,
  parseRequest,
  parseSegments,
  type Segment,
} from "./block-request.js";
import type { GuestPages, HeldPage } from "./guest-pages.js";

const SECTOR_SIZE = 512;
/** Data that the requests of a ring may have in the host at a time, bytes. One request is always taken. */
const MAX_BYTES_UNDER_WAY = 8 * 1024 * 1024;
/** Data that is moved within one call of `service`, bytes: then it is others' turn. */
const MAX_BYTES_AT_ONCE = 2 * 1024 * 1024;
const PAGE_SIZE = 4096;
/** Indirect segments: used only within a call, whoever's ring it is. */
const segmentsNow = new Uint8Array(indirectBytes(MAX_INDIRECT_SEGMENTS));

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
  readonly #entryView: DataView;
  readonly #response: Uint8Array;
  readonly #underWay = new Set<Promise<void>>();
  #bytesUnderWay = 0;
  #barrier: BlockRequest | undefined;
  #willService = false;
  /** Answers that the frontend hasn't been shown. */
  #hasUnpublished = false;
  /** Bytes that this call of `service` has moved at once. */
  #bytesNow = 0;
  #continuation: NodeJS.Immediate | undefined;
  #isDead = false;
  event: EventBinding | undefined;

  constructor(options: BlockRingOptions) {
    this.#options = options;
    this.#ring = new BackRing(options.ringPages, entrySize(options.abi));
    this.#entry = new Uint8Array(entrySize(options.abi));
    this.#entryView = new DataView(this.#entry.buffer);
    this.#response = new Uint8Array(B.blkif_response.size(options.abi));
  }

  get isBroken(): boolean {
    return this.#ring.isBroken;
  }

  /** Takes what waits on the ring. Call on the guest's event, and after anything was held back. @returns requests taken */
  service(): number {
    this.#bytesNow = 0;
    let taken = 0;
    for (; this.#hasNext(); taken++) this.#takeNext();
    this.#publish();
    return taken;
  }

  /** Whether a request waits that may be taken now. */
  #hasNext(): boolean {
    if (this.#isDead) return false;
    if (!this.#ring.isBroken) {
      if (this.#barrier || (this.#bytesUnderWay >= MAX_BYTES_UNDER_WAY && this.#underWay.size > 0)) return false;
      if (this.#ring.waiting === 0 && !this.#ring.rearm()) return false;
    }
    if (this.#ring.isBroken) {
      this.#isDead = true;
      this.#options.onBroken();
      return false;
    }
    if (this.#bytesNow < MAX_BYTES_AT_ONCE) return true;
    this.#continuation ??= setImmediate(() => {
      this.#continuation = undefined;
      this.service();
    });
    return false;
  }

  #takeNext(): void {
    this.#ring.take(this.#entry);
    const request = parseRequest(this.#entryView, this.#options.abi);
    if (request.operation === B.BLKIF_OP_WRITE_BARRIER) {
      this.#barrier = request;
      this.#startBarrier();
    } else this.#start(request);
  }

  /** When nothing else is under way. */
  #startBarrier(): void {
    if (this.#barrier && this.#underWay.size === 0) this.#start(this.#barrier);
  }

  #start(request: BlockRequest): void {
    const status = this.#performNow(request);
    if (status !== undefined) {
      this.#respond(request, status);
      return;
    }
    const work = this.#perform(request).then((status) => {
      this.#underWay.delete(work);
      if (this.#barrier === request) this.#barrier = undefined;
      else if (this.#barrier) this.#startBarrier();
      if (this.#isDead) return;
      this.#respond(request, status);
      this.#serviceSoon();
    });
    this.#underWay.add(work);
  }

  /** Does a read or write within the call. @returns the response's status; undefined: it has to wait, or failed */
  #performNow(request: BlockRequest): number | undefined {
    const { disk, isReadonly, statistics, pages } = this.#options;
    const isRead = request.action === B.BLKIF_OP_READ;
    if (!isRead && (request.action !== B.BLKIF_OP_WRITE || isReadonly)) return undefined;
    if (!disk.readNow || !disk.writeNow) return undefined;
    try {
      const segments = this.#segments(request);
      const { length, offset } = this.#extent(request, segments);
      const parts = pages.gather(segments, isRead);
      if (!parts) throw REFUSED;
      if (!(isRead ? disk.readNow(offset, parts) : disk.writeNow(offset, parts))) return undefined;
      this.#bytesNow += length;
      this.#count(isRead, length);
      return B.BLKIF_RSP_OKAY;
    } catch (error) {
      // Done again, and told of.
      if (!(error instanceof Refusal)) return undefined;
      statistics.errors++;
      return error.status;
    }
  }

  #count(isRead: boolean, bytes: number): void {
    const { statistics } = this.#options;
    if (isRead) {
      statistics.reads++;
      statistics.sectorsRead += bytes / SECTOR_SIZE;
    } else {
      statistics.writes++;
      statistics.sectorsWritten += bytes / SECTOR_SIZE;
    }
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
    const bytes = segmentsNow.subarray(0, indirectBytes(count));
    for (const [i, gref] of grefs.entries())
      if (!this.#options.pages.read(gref, 0, bytes.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE))) throw REFUSED;
    const segments = parseSegments(new DataView(bytes.buffer), 0, count);
    if (!segments) throw REFUSED;
    return segments;
  }

  /** What a request moves, and its place on the disk. @throws Refusal */
  #extent(request: BlockRequest, segments: readonly Segment[]): { length: number; offset: number } {
    let length = 0;
    for (const segment of segments) length += segment.length;
    if (length === 0) throw REFUSED;
    return { length, offset: this.#checkSectors(request.sector, BigInt(length / SECTOR_SIZE)) };
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
    const { length, offset } = this.#extent(request, segments);
    const held = this.#hold(
      segments.map(({ gref }) => gref),
      isWritable,
    );
    return { segments, length, offset, held };
  }

  async #read(request: BlockRequest): Promise<void> {
    const { disk } = this.#options;
    const { segments, length, offset, held } = this.#prepare(request, true);
    this.#count(true, length);
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
    const { disk } = this.#options;
    const { segments, length, offset, held } = this.#prepare(request, false);
    const data = Buffer.allocUnsafe(length);
    let at = 0;
    for (const [i, segment] of segments.entries()) {
      data.set(held[i]!.page.bytes.subarray(segment.offset, segment.offset + segment.length), at);
      at += segment.length;
    }
    for (const each of held) each.release();
    this.#count(false, length);
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
    this.#hasUnpublished = true;
  }

  /** What completes together is shown together, with one event. */
  #publish(): void {
    if (!this.#hasUnpublished || this.#isDead) return;
    this.#hasUnpublished = false;
    if (this.#ring.publish()) this.event?.notify();
  }

  #serviceSoon(): void {
    if (this.#willService) return;
    this.#willService = true;
    queueMicrotask(() => {
      this.#willService = false;
      this.service();
    });
  }

  /** Touches the guest no more. Done when the disk has finished what was under way. */
  async close(): Promise<void> {
    this.#isDead = true;
    clearImmediate(this.#continuation);
    this.event?.close();
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }
}
