// The FIFO event channel ABI (event_channel.h): one 32-bit word a port (PENDING, MASKED, LINKED, BUSY, link), in pages that the
// guest gives one by one, and a control block a vCPU with the heads of 16 priority queues. The guest consumes at the heads, the
// hypervisor appends at the tails, which only it knows.
// Invariant: everything read from guest memory is data, never an index that is trusted: a corrupt link harms only that guest.

import type { MachineMemory } from "../mmu/machine-memory.js";
import { markEventsPending } from "./event-2l.js";
import type { EventAbi, EventPort, EventVcpu } from "./event-abi.js";
import {
  EVTCHN_FIFO_BUSY,
  EVTCHN_FIFO_CONTROL_BLOCK,
  EVTCHN_FIFO_LINK_MASK,
  EVTCHN_FIFO_LINKED,
  EVTCHN_FIFO_MASKED,
  EVTCHN_FIFO_MAX_QUEUES,
  EVTCHN_FIFO_NR_CHANNELS,
  EVTCHN_FIFO_PENDING,
} from "./public/event-channel.js";

const PENDING = (1 << EVTCHN_FIFO_PENDING) >>> 0;
const MASKED = 1 << EVTCHN_FIFO_MASKED;
const LINKED = 1 << EVTCHN_FIFO_LINKED;
const BUSY = 1 << EVTCHN_FIFO_BUSY;
const WORDS_PER_PAGE = 1024;
const MAX_ARRAY_PAGES = EVTCHN_FIFO_NR_CHANNELS / WORDS_PER_PAGE;

interface ControlBlock {
  readonly address: number;
  /** The last port linked to each queue; 0 = none. */
  readonly tails: Uint32Array;
}

export class FifoEvents implements EventAbi {
  readonly limit = EVTCHN_FIFO_NR_CHANNELS;
  readonly #memory: MachineMemory;
  /** By vCPU id. */
  readonly #controls: (ControlBlock | undefined)[] = [];
  /** Machine addresses of the event array's pages. */
  readonly #array: number[] = [];

  constructor(memory: MachineMemory) {
    this.#memory = memory;
  }

  /** Number of ports that have a word. */
  get described(): number {
    return this.#array.length * WORDS_PER_PAGE;
  }

  get isArrayFull(): boolean {
    return this.#array.length === MAX_ARRAY_PAGES;
  }

  hasControlBlock(vcpuId: number): boolean {
    return this.#controls[vcpuId] !== undefined;
  }

  setControlBlock(vcpuId: number, maddr: number): void {
    this.#controls[vcpuId] = { address: maddr, tails: new Uint32Array(EVTCHN_FIFO_MAX_QUEUES) };
  }

  /** Adds a page; returns the first port that it describes. */
  addArrayPage(maddr: number): number {
    return (this.#array.push(maddr) - 1) * WORDS_PER_PAGE;
  }

  /** Machine addresses of all pages of the guest that are in use here. */
  *pages(): Generator<number> {
    for (const control of this.#controls) if (control) yield control.address;
    yield* this.#array;
  }

  /** Machine address of the port's word, or -1. */
  #word(port: number): number {
    const page = this.#array[port >>> 10];
    return page === undefined ? -1 : page + ((port & (WORDS_PER_PAGE - 1)) << 2);
  }

  setPending(port: EventPort, vcpu: EventVcpu): boolean {
    const memory = this.#memory;
    const at = this.#word(port.port);
    if (at < 0) {
      port.deferred = true;
      return true;
    }
    const word = memory.readU32(at);
    const wasPending = (word & PENDING) !== 0;
    if (!wasPending) memory.writeU32(at, (word | PENDING) >>> 0);
    if (!(word & MASKED) && !(word & LINKED)) this.#link(port, at, vcpu);
    return wasPending;
  }

  #link(port: EventPort, at: number, vcpu: EventVcpu): void {
    const control = this.#controls[vcpu.id];
    if (!control) return;
    const memory = this.#memory;
    memory.writeU32(at, ((memory.readU32(at) & ~EVTCHN_FIFO_LINK_MASK) | LINKED) >>> 0);
    // A tail that gets linked again has been consumed: its queue, the same or another, is empty, and nothing may be appended
    // behind it there.
    const old = this.#controls[port.lastVcpu];
    if (old?.tails[port.lastPriority] === port.port) old.tails[port.lastPriority] = 0;
    port.lastVcpu = vcpu.id;
    port.lastPriority = port.priority;
    const tail = control.tails[port.priority]!;
    const linked = tail !== 0 && this.#setLink(this.#word(tail), port.port);
    if (!linked) memory.writeU32(control.address + EVTCHN_FIFO_CONTROL_BLOCK.head + 4 * port.priority, port.port);
    control.tails[port.priority] = port.port;
    if (linked) return;
    const ready = memory.readU32(control.address + EVTCHN_FIFO_CONTROL_BLOCK.ready);
    const bit = 1 << port.priority;
    if (ready & bit) return;
    memory.writeU32(control.address + EVTCHN_FIFO_CONTROL_BLOCK.ready, (ready | bit) >>> 0);
    markEventsPending(memory, vcpu);
  }

  /** Appends behind a tail that the guest hasn't consumed yet; false when it has. */
  #setLink(at: number, port: number): boolean {
    if (at < 0) return false;
    const word = this.#memory.readU32(at);
    if (!(word & LINKED)) return false;
    this.#memory.writeU32(at, ((word & ~(BUSY | EVTCHN_FIFO_LINK_MASK)) | port) >>> 0);
    return true;
  }

  clearPending(port: EventPort): void {
    port.deferred = false;
    const at = this.#word(port.port);
    if (at >= 0) this.#memory.writeU32(at, (this.#memory.readU32(at) & ~PENDING) >>> 0);
  }

  isPending(port: EventPort): boolean {
    return this.#test(port, PENDING) || port.deferred;
  }

  isMasked(port: EventPort): boolean {
    const at = this.#word(port.port);
    return at < 0 || (this.#memory.readU32(at) & MASKED) !== 0;
  }

  unmask(port: EventPort, vcpu: EventVcpu): void {
    const at = this.#word(port.port);
    if (at < 0) return;
    const word = this.#memory.readU32(at) & ~MASKED;
    this.#memory.writeU32(at, word >>> 0);
    if (word & PENDING) this.setPending(port, vcpu);
  }

  isBusy(port: EventPort): boolean {
    return this.#test(port, LINKED);
  }

  #test(port: EventPort, bits: number): boolean {
    const at = this.#word(port.port);
    return at >= 0 && (this.#memory.readU32(at) & bits) !== 0;
  }
}
