// A block frontend as a guest would have it, for tests: sets up a ring in either ABI, sends requests, collects responses.
import * as B from "../../../src/hypervisor/public/io/blkif.js";
import type { Abi } from "../../../src/hypervisor/public/layout.js";
import { settle, type TestGuest } from "./test-guest.js";

export const FRONTEND = "/local/domain/1/device/vbd/51712";
export const BACKEND = "/local/domain/0/backend/vbd/1/51712";

export interface FrontendOptions {
  readonly abi?: Abi;
  readonly pages?: number;
  readonly isPersistent?: boolean;
}

export interface TestSegment {
  readonly gref: number;
  readonly first_sect: number;
  readonly last_sect: number;
}

export class TestBlockFrontend {
  readonly guest: TestGuest;
  readonly abi: Abi;
  readonly ring: { ref: number; page: Uint8Array }[];
  readonly port: number;
  readonly isPersistent: boolean;
  readonly size: number;
  readonly #entrySize: number;
  produced = 0;
  #consumed = 0;
  #nextId = 1n;
  /** Status by request. */
  readonly answers = new Map<bigint, number>();
  /** Operation that the response named, by request. */
  readonly operations = new Map<bigint, number>();

  constructor(guest: TestGuest, { abi = 64, pages = 1, isPersistent = false }: FrontendOptions = {}) {
    this.guest = guest;
    this.abi = abi;
    this.isPersistent = isPersistent;
    this.ring = Array.from({ length: pages }, () => guest.grant());
    this.port = guest.allocatePort();
    this.#entrySize = abi === 64 ? 112 : 108;
    this.size = 2 ** Math.floor(Math.log2((pages * 4096 - 64) / this.#entrySize));
    this.word(4, 1);
    this.word(12, 1);
  }

  /** Writes the nodes and goes to Initialised. */
  connect(): void {
    const { store } = this.guest;
    store.write(`${FRONTEND}/protocol`, this.abi === 64 ? "x86_64-abi" : "x86_32-abi");
    store.write(`${FRONTEND}/event-channel`, String(this.port));
    if (this.isPersistent) store.write(`${FRONTEND}/feature-persistent`, "1");
    if (this.ring.length === 1) store.write(`${FRONTEND}/ring-ref`, String(this.ring[0]!.ref));
    else {
      store.write(`${FRONTEND}/ring-page-order`, String(Math.log2(this.ring.length)));
      for (const [i, { ref }] of this.ring.entries()) store.write(`${FRONTEND}/ring-ref${i}`, String(ref));
    }
    store.write(`${FRONTEND}/state`, "3");
  }

  #at(offset: number): [Uint8Array, number] {
    return [this.ring[Math.floor(offset / 4096)]!.page, offset % 4096];
  }

  /** Writes a word of the ring's head. */
  word(offset: number, value: number): void {
    new DataView(this.ring[0]!.page.buffer).setUint32(offset, value >>> 0, true);
  }

  readWord(offset: number): number {
    return new DataView(this.ring[0]!.page.buffer).getUint32(offset, true);
  }

  putEntry(bytes: Uint8Array): void {
    const start = 64 + (this.produced % this.size) * this.#entrySize;
    for (const [i, byte] of bytes.entries()) {
      const [page, at] = this.#at(start + i);
      page[at] = byte;
    }
    this.produced = (this.produced + 1) >>> 0;
  }

  id(): bigint {
    return this.#nextId++;
  }

  /** Puts a direct request on the ring without telling. @returns its id */
  put(
    operation: number,
    sector: number | bigint,
    segments: readonly TestSegment[] = [],
    count = segments.length,
  ): bigint {
    const id = this.id();
    const value = {
      operation,
      nr_segments: count,
      handle: 51712,
      id,
      sector_number: BigInt(sector),
      seg: [...segments],
    };
    this.putEntry(B.blkif_request.encode(this.abi, value));
    return id;
  }

  putDiscard(sector: number, sectors: bigint): bigint {
    const id = this.id();
    const value = { operation: 5, flag: 0, handle: 0, id, sector_number: BigInt(sector), nr_sectors: sectors };
    this.putEntry(B.blkif_request_discard.encode(this.abi, value));
    return id;
  }

  /** Segments in granted pages of their own. */
  putIndirect(operation: number, sector: number, segments: readonly TestSegment[], count = segments.length): bigint {
    const id = this.id();
    const { ref, page } = this.guest.grant();
    const view = new DataView(page.buffer);
    for (const [i, segment] of segments.slice(0, 512).entries())
      B.blkif_request_segment.write(view, i * 8, this.abi, segment);
    this.putEntry(
      B.blkif_request_indirect.encode(this.abi, {
        operation: 6,
        indirect_op: operation,
        nr_segments: count,
        id,
        sector_number: BigInt(sector),
        handle: 0,
        indirect_grefs: [ref, 0, 0, 0, 0, 0, 0, 0],
      }),
    );
    return id;
  }

  /** Shows what was put, and tells the backend when it wants to be told. */
  push(): void {
    const old = this.readWord(0);
    this.word(0, this.produced);
    const wanted = this.readWord(4);
    if ((this.produced - wanted) >>> 0 < (this.produced - old) >>> 0) this.guest.kick(this.port);
  }

  /** Takes responses until all requests have theirs. */
  async collect(): Promise<void> {
    for (let turn = 0; this.#consumed !== this.produced; turn++) {
      if (turn > 2000) throw new Error(`no response: ${this.produced - this.#consumed} requests are waiting`);
      // Files take their time.
      if (turn < 100) await settle(1);
      else await new Promise((resolve) => setTimeout(resolve, 5));
      const end = this.readWord(8);
      const length = B.blkif_response.size(this.abi);
      for (; this.#consumed !== end; this.#consumed = (this.#consumed + 1) >>> 0) {
        const start = 64 + (this.#consumed % this.size) * this.#entrySize;
        const bytes = Uint8Array.from({ length }, (_, i) => {
          const [page, at] = this.#at(start + i);
          return page[at]!;
        });
        const { id, status, operation } = B.blkif_response.decode(bytes, this.abi);
        this.answers.set(id, status);
        this.operations.set(id, operation);
      }
      this.word(12, this.#consumed + 1);
    }
  }

  /** One request from beginning to end. @returns its status */
  async run(put: () => bigint): Promise<number> {
    const id = put();
    this.push();
    await this.collect();
    return this.answers.get(id)!;
  }

  /** Whole pages as segments. */
  buffer(pages: number): { segments: TestSegment[]; pages: Uint8Array[]; bytes(): Uint8Array } {
    const granted = Array.from({ length: pages }, () => this.guest.grant());
    return {
      segments: granted.map(({ ref }) => ({ gref: ref, first_sect: 0, last_sect: 7 })),
      pages: granted.map(({ page }) => page),
      bytes: () => Buffer.concat(granted.map(({ page }) => page)),
    };
  }
}
