// Machine memory under the hypervisor: builds the frame table, page types and M2P over a MachineMemory, and keeps the memory of
// each domain. The layout is fixed at start: RAM by the machine's memory map, its top end taken for the M2P.

import type { MachineMemory } from "../mmu/machine-memory.js";
import { DomainMemory, type DomainMemoryOptions, type MemoryHost } from "./domain-memory.js";
import { FrameFlag, FrameTable, FrameType } from "./frame-table.js";
import { MachineToPhys } from "./m2p.js";
import { type E820Entry, pcMemoryMap, ramFrames } from "./machine-map.js";
import { PageTypes } from "./page-types.js";
import type { TlbSync } from "./tlb-sync.js";

export interface MemoryManagerOptions {
  readonly memory: MachineMemory;
  /** The machine's memory map; default: a PC with all of `memory`. */
  readonly machineMap?: readonly E820Entry[];
}

/** Owner id of the hypervisor's private frames: no domain can name it. */
export const OWNER_PRIVATE = 0xfff0;

export class OutOfMachineMemoryError extends Error {
  override readonly name = "OutOfMachineMemoryError";
}

export class MemoryManager implements MemoryHost {
  readonly memory: MachineMemory;
  readonly frames: FrameTable;
  readonly types: PageTypes;
  readonly m2p: MachineToPhys;
  readonly machineMap: readonly E820Entry[];
  readonly #spaces = new Map<number, DomainMemory>();
  readonly #dirty = new Set<TlbSync>();

  constructor(options: MemoryManagerOptions) {
    const { memory } = options;
    this.memory = memory;
    this.machineMap = options.machineMap ?? pcMemoryMap(memory.frames * 4096);
    this.frames = new FrameTable(memory, {
      validate: (mfn, type) => this.types.validate(mfn, type),
      invalidate: (mfn, type) => this.types.invalidate(mfn, type),
      retype: () => this.#flushDirty(),
      released: (mfn, owner) => this.#released(mfn, owner),
    });

    const ram = ramFrames(this.machineMap, memory.frames);
    const { table, total } = MachineToPhys.framesFor(memory.frames);
    // NEW_USER_BASEPTR 0 takes the user root away: a domain that had frame 0 and put a root there would find itself without one.
    const hasFrame0 = ram[0]?.first === 0;
    if (hasFrame0) ram[0]!.first = 1;
    const top = ram.at(-1);
    if (top === undefined || top.end - top.first <= total)
      throw new OutOfMachineMemoryError(`machine memory of ${memory.frames} frames is too small for the hypervisor`);
    top.end -= total;
    for (const { first, end } of ram) this.frames.addRam(first, end - first);
    if (hasFrame0) this.frames.claimPrivate(0, 1, OWNER_PRIVATE);
    this.frames.claimForXen(top.end, table);
    this.frames.claimPrivate(top.end + table, total - table, OWNER_PRIVATE);

    this.m2p = new MachineToPhys(memory, top.end);
    this.types = new PageTypes(
      memory,
      this.frames,
      (owner) => this.#spaces.get(owner),
      (l4) => this.m2p.fillXenSlots(l4),
    );
  }

  get freeFrames(): number {
    return this.frames.allocator.freeFrames;
  }

  createSpace(options: DomainMemoryOptions): DomainMemory {
    if (this.#spaces.has(options.id)) throw new Error(`domain ${options.id} has memory already`);
    const space = new DomainMemory(this, this.#dirty, options);
    this.#spaces.set(options.id, space);
    return space;
  }

  space(id: number): DomainMemory | undefined {
    return this.#spaces.get(id);
  }

  /** Frees a domain's memory. @returns false while others still hold frames of it; the rest goes when they let go. */
  destroySpace(space: DomainMemory): boolean {
    space.relinquish();
    space.tlb.flush();
    if (space.totalPages > 0) return false;
    this.#spaces.delete(space.id);
    return true;
  }

  #released(mfn: number, owner: number): void {
    const space = this.#spaces.get(owner);
    space?.released(mfn);
    if (space?.isDying && space.totalPages === 0) this.#spaces.delete(owner);
  }

  /** A zeroed frame of the hypervisor's own. @throws OutOfMachineMemoryError */
  allocateXenFrame(): number {
    const mfn = this.frames.allocate(OWNER_PRIVATE);
    if (mfn < 0) throw new OutOfMachineMemoryError("no free machine frame for the hypervisor");
    this.frames.flags[mfn] = this.frames.flags[mfn]! | FrameFlag.XenHeap;
    return mfn;
  }

  /** Lets a domain map a frame of the hypervisor (shared_info, grant table), writable or only readable, for good. */
  shareXenFrame(mfn: number, domain: number, writable: boolean): void {
    this.frames.owners[mfn] = domain;
    this.frames.types[mfn] = writable ? FrameType.Writable : FrameType.None;
    this.frames.typeCounts[mfn] = 1;
  }

  /** Gives up a hypervisor frame, shared or not. It is free when the last mapping of it is gone. */
  freeXenFrame(mfn: number): void {
    if (this.frames.typeCounts[mfn]! > 0) this.frames.putPageType(mfn);
    this.frames.dropClaim(mfn);
  }

  #flushDirty(): void {
    for (const tlb of this.#dirty) tlb.flush();
  }
}
