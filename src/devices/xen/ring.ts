// The backend's end of a shared ring (io/ring.h), over one page or several. The frontend can write anything anywhere in it at any
// time: entries are copied out once, indices are compared modulo 2^32, and only our own counters are trusted.

import { SRING } from "../../hypervisor/public/io/ring.js";
import type { GrantedPage } from "./backend.js";

const PAGE_SIZE = 4096;

/** Entries in a ring of so many pages. */
export function ringSize(pages: number, entrySize: number): number {
  return 2 ** Math.floor(Math.log2((pages * PAGE_SIZE - SRING.entries) / entrySize));
}

export class BackRing {
  readonly #pages: readonly GrantedPage[];
  readonly #entrySize: number;
  readonly #word = new DataView(new ArrayBuffer(4));
  readonly #wordBytes = new Uint8Array(this.#word.buffer);
  /** Number of entries, a power of two. */
  readonly size: number;
  #requestsConsumed: number;
  #responsesProduced: number;

  /** Goes on where the last backend of this ring stopped: at its published responses. */
  constructor(pages: readonly GrantedPage[], entrySize: number) {
    this.#pages = pages;
    this.#entrySize = entrySize;
    this.size = ringSize(pages.length, entrySize);
    this.#responsesProduced = this.#read(SRING.rsp_prod);
    this.#requestsConsumed = this.#responsesProduced;
  }

  #read(at: number): number {
    const { bytes } = this.#pages[0]!;
    return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
  }

  #write(at: number, value: number): void {
    this.#word.setUint32(0, value, true);
    this.#pages[0]!.write(at, this.#wordBytes);
  }

  /** Requests that wait. More than `size`: the frontend's index makes no sense. */
  get waiting(): number {
    return (this.#read(SRING.req_prod) - this.#requestsConsumed) >>> 0;
  }

  /** Requests that were taken and not answered. */
  get outstanding(): number {
    return (this.#requestsConsumed - this.#responsesProduced) >>> 0;
  }

  get isBroken(): boolean {
    return this.waiting + this.outstanding > this.size;
  }

  /** Copies the next request into `target` (an entry's length). The caller has seen that one waits. */
  take(target: Uint8Array): void {
    let at = this.#entry(this.#requestsConsumed);
    for (let done = 0; done < target.length; ) {
      const offset = at % PAGE_SIZE;
      const count = Math.min(PAGE_SIZE - offset, target.length - done);
      const { bytes } = this.#pages[Math.floor(at / PAGE_SIZE)]!;
      for (let i = 0; i < count; i++) target[done + i] = bytes[offset + i]!;
      done += count;
      at += count;
    }
    this.#requestsConsumed = (this.#requestsConsumed + 1) >>> 0;
  }

  /** Puts a response into the next slot, unseen by the frontend until `publish`. */
  put(response: Uint8Array): void {
    let at = this.#entry(this.#responsesProduced);
    for (let done = 0; done < response.length; ) {
      const offset = at % PAGE_SIZE;
      const count = Math.min(PAGE_SIZE - offset, response.length - done);
      const part = count === response.length ? response : response.subarray(done, done + count);
      this.#pages[Math.floor(at / PAGE_SIZE)]!.write(offset, part);
      done += count;
      at += count;
    }
    this.#responsesProduced = (this.#responsesProduced + 1) >>> 0;
  }

  /** Byte offset of an entry in the ring's pages: it may lie across two of them. */
  #entry(index: number): number {
    return SRING.entries + (index & (this.size - 1)) * this.#entrySize;
  }

  /** Shows the responses. @returns true when the frontend wants to be told */
  publish(): boolean {
    const old = this.#read(SRING.rsp_prod);
    const next = this.#responsesProduced;
    this.#write(SRING.rsp_prod, next);
    return (next - this.#read(SRING.rsp_event)) >>> 0 < (next - old) >>> 0;
  }

  /** Whether the frontend waits for responses that it has been shown. */
  get isAwaited(): boolean {
    return ((this.#read(SRING.rsp_prod) - this.#read(SRING.rsp_event)) | 0) >= 0;
  }

  /** Asks to be told when `count` requests wait. @returns true when they came in meanwhile */
  rearm(count = 1): boolean {
    if (this.waiting >= count) return true;
    this.#write(SRING.req_event, (this.#requestsConsumed + count) >>> 0);
    return this.waiting >= count;
  }
}
