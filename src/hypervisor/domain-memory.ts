// The memory of one domain: which frames it owns, how many it may, and the translation caches that its page tables feed.
// The frames themselves are in frame-table.ts; pseudo-physical numbers of a PV domain are the guest's own business (its P2M).

import type { MachineMemory } from "../mmu/machine-memory.js";
import { FrameFlag, type FrameTable, FrameType } from "./frame-table.js";
import { INVALID_M2P_ENTRY, type MachineToPhys } from "./m2p.js";
import type { E820Entry } from "./machine-map.js";
import type { PageTypes } from "./page-types.js";
import { TlbSync } from "./tlb-sync.js";

/** What all domains of a host share; memory-manager.ts makes it. */
export interface MemoryHost {
  readonly memory: MachineMemory;
  readonly frames: FrameTable;
  readonly types: PageTypes;
  readonly m2p: MachineToPhys;
  readonly machineMap: readonly E820Entry[];
  /** The memory of a domain, dying ones included. */
  space(id: number): DomainMemory | undefined;
}

export interface DomainMemoryOptions {
  readonly id: number;
  /** May map other domains' frames and I/O space. */
  readonly privileged: boolean;
  readonly maxPages: number;
}

/** I/O space that even dom0 may not map: I/O APIC and local APIC are the hypervisor's. */
export const DENIED_IOMEM: readonly { readonly first: number; readonly last: number }[] = [
  { first: 0xfec00, last: 0xfec00 },
  { first: 0xfee00, last: 0xfeeff },
];

export class DomainMemory {
  readonly host: MemoryHost;
  readonly id: number;
  readonly privileged: boolean;
  maxPages: number;
  /** Frames owned, without shared ones of the hypervisor. */
  totalPages = 0;
  readonly tlb: TlbSync;
  /** What XENMEM_memory_map answers; undefined: nothing set, -ENOSYS. */
  memoryMap: readonly E820Entry[] | undefined;
  isDying = false;

  constructor(host: MemoryHost, dirty: Set<TlbSync>, options: DomainMemoryOptions) {
    this.host = host;
    this.id = options.id;
    this.privileged = options.privileged;
    this.maxPages = options.maxPages;
    this.tlb = new TlbSync(dirty);
  }

  iomemPermitted(mfn: number): boolean {
    return this.privileged && !DENIED_IOMEM.some(({ first, last }) => mfn >= first && mfn <= last);
  }

  /** A zeroed block of 2^order frames for this domain below frame `limit`; -1 when memory or the domain's allowance is used up. */
  allocate(order = 0, limit?: number): number {
    const count = 1 << order;
    if (this.isDying || this.totalPages + count > this.maxPages) return -1;
    const first = this.host.frames.allocate(this.id, order, limit);
    if (first >= 0) this.totalPages += count;
    return first;
  }

  /** FrameHooks.released */
  released(mfn: number): void {
    this.totalPages--;
    this.host.m2p.set(mfn, INVALID_M2P_ENTRY);
  }

  /** Does the domain own the frame as part of its memory? */
  owns(mfn: number): boolean {
    const { frames } = this.host;
    return frames.ownerOf(mfn) === this.id && (frames.flags[mfn]! & FrameFlag.XenHeap) === 0;
  }

  /** Is the domain's claim the only reference: it can go to somebody else? Nobody maps it, it is no table, no device holds it. */
  holdsAlone(mfn: number): boolean {
    const { frames } = this.host;
    const isClaimed = (frames.flags[mfn]! & FrameFlag.Allocated) !== 0;
    return this.owns(mfn) && isClaimed && frames.referenceCounts[mfn] === 1 && frames.typeCounts[mfn] === 0;
  }

  /** Pins a page table: checked, and kept so until unpinned. @returns false when it isn't valid. */
  pin(mfn: number, type: FrameType): boolean {
    const { frames } = this.host;
    if (!frames.getPageAndType(mfn, this.id, type)) return false;
    if (frames.flags[mfn]! & FrameFlag.Pinned) {
      frames.putPageAndType(mfn);
      return false;
    }
    frames.flags[mfn] = frames.flags[mfn]! | FrameFlag.Pinned;
    return true;
  }

  unpin(mfn: number): boolean {
    const { frames } = this.host;
    if (!(frames.flags[mfn]! & FrameFlag.Pinned)) return false;
    frames.flags[mfn] = frames.flags[mfn]! & ~FrameFlag.Pinned;
    frames.putPageAndType(mfn);
    return true;
  }

  /** Takes the references of a vCPU's root table. */
  getRoot(mfn: number): boolean {
    return this.host.frames.getPageAndType(mfn, this.id, FrameType.L4);
  }

  putRoot(mfn: number): void {
    this.host.frames.putPageAndType(mfn);
  }

  /**
   * Gives up all claims and pins, at the domain's death and after its vCPUs' roots were put. Frames that other domains still map stay
   * until they let go; `totalPages` counts them.
   */
  relinquish(): void {
    this.isDying = true;
    const { frames } = this.host;
    for (let mfn = 0; mfn < frames.frames; mfn++) if (frames.owners[mfn] === this.id) this.unpin(mfn);
    for (let mfn = 0; mfn < frames.frames; mfn++) if (this.owns(mfn)) frames.dropClaim(mfn);
  }
}
