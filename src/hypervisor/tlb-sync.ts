// Keeping the CPUs' kept translations honest. Real Xen flushes the TLB on each CR3 load; our CPUs keep translations per root
// across loads, so each change of a page table must invalidate by itself:
//  * A level-1 entry that was present and changes: the virtual pages it serves are found through table-links.ts and
//    invalidated at once, in all address spaces of all CPUs of the domain.
//  * An entry of a higher level that leads to a table without present entries serves no address: nothing is invalidated.
//  * Where the addresses aren't known (a table linked in more than two places, linear mappings, other entries of higher levels):
//    the space becomes dirty, and everything is flushed at the next point where real hardware would have flushed at the
//    latest: a base pointer load, a flush request, a switch between guest kernel and user.
//  * Before a frame that was writable gets another type, or any frame another owner, all dirty spaces are flushed: isolation
//    never waits for the guest.
// So a guest's own flush requests have nothing left to do but `sync`.

/** The part of a CPU that holds translations. */
export interface TranslationCache {
  flushTlbAll(): void;
  /** In all kept address spaces. */
  invalidatePage(va: bigint): void;
  /** The root was freed or is no page table any more. */
  dropAddressSpace(rootMfn: number): void;
}

/** The TLB side of one domain. */
export class TlbSync {
  readonly #caches: TranslationCache[] = [];
  readonly #dirty: Set<TlbSync>;
  isDirty = false;

  /** @param dirty the host-wide set of spaces that need a flush. */
  constructor(dirty: Set<TlbSync>) {
    this.#dirty = dirty;
  }

  attach(cache: TranslationCache): void {
    this.#caches.push(cache);
  }

  detach(cache: TranslationCache): void {
    const at = this.#caches.indexOf(cache);
    if (at >= 0) this.#caches.splice(at, 1);
  }

  markDirty(): void {
    if (this.isDirty) return;
    this.isDirty = true;
    this.#dirty.add(this);
  }

  /** Flushes everything when something changed whose addresses are unknown. */
  sync(): void {
    if (this.isDirty) this.flush();
  }

  flush(): void {
    this.isDirty = false;
    this.#dirty.delete(this);
    for (const cache of this.#caches) cache.flushTlbAll();
  }

  /** @param page bits 12-47 of the address. */
  invalidate(page: number): void {
    const high = page >= 2 ** 35 ? page - 2 ** 36 : page;
    const va = BigInt.asUintN(64, BigInt(high) * 4096n);
    for (const cache of this.#caches) cache.invalidatePage(va);
  }

  /** As INVLPG: an address that isn't canonical has no translations. */
  invalidateAddress(va: bigint): void {
    if (BigInt.asUintN(64, BigInt.asIntN(48, va)) !== va) return;
    for (const cache of this.#caches) cache.invalidatePage(va);
  }

  dropRoot(rootMfn: number): void {
    for (const cache of this.#caches) cache.dropAddressSpace(rootMfn);
  }
}
