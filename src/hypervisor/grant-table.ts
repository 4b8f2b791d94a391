// The grant table of one domain (grant_table.h), versions 1 and 2: the shared entries in which it offers frames to other
// domains, what others have in use (pins), and what it has mapped of others (handles). A plain engine over machine memory; the
// caller keeps the page references of granted frames.
// Invariants: an entry is in use exactly while it has pins; the in-use bits that the guest sees (reading, writing) follow the
// pins; everything read from an entry is read once and kept, because the guest may change it at any time.

import type { MachineMemory } from "../mmu/machine-memory.js";
import { errno } from "./public/errno.js";
import {
  GNTMAP_host_map,
  GNTMAP_readonly,
  GNTST_bad_gntref,
  GNTST_eagain,
  GNTST_general_error,
  GNTST_okay,
  GNTTAB_NR_RESERVED_ENTRIES,
  GRANT_ENTRY_V1_SIZE,
  GRANT_ENTRY_V2,
  GRANT_ENTRY_V2_SIZE,
  GTF_accept_transfer,
  GTF_permit_access,
  GTF_reading,
  GTF_readonly,
  GTF_sub_page,
  GTF_transfer_committed,
  GTF_transfer_completed,
  GTF_transitive,
  GTF_type_mask,
  GTF_writing,
} from "./public/grant-table.js";

const PAGE_SIZE = 4096;
const STATUS_PER_FRAME = PAGE_SIZE / 2;
/** Entries in a frame are a power of two: a disk request of a megabyte looks at 256 of them. */
const V1_FRAME_SHIFT = Math.log2(PAGE_SIZE / GRANT_ENTRY_V1_SIZE);
const V2_FRAME_SHIFT = Math.log2(PAGE_SIZE / GRANT_ENTRY_V2_SIZE);
const MAX_HANDLES = 1 << 18;
const MAX_PINS = 0xffff;

export interface GrantTableOptions {
  readonly domid: number;
  readonly memory: MachineMemory;
  readonly maxFrames: number;
  /** A zeroed frame of the hypervisor that the domain may map, or -1 when the machine has none left. */
  readonly allocateFrame: () => number;
  readonly freeFrame: (mfn: number) => void;
  /** Gives back what a mapping holds that isn't in any page table (GNTMAP_device_map alone). */
  readonly putFrame: (mfn: number, isReadonly: boolean) => void;
}

/** An entry in use. */
interface ActiveGrant {
  readonly domid: number;
  readonly frame: bigint;
  readonly start: number;
  readonly length: number;
  /** Set for a transitive entry: where the frame really comes from. */
  readonly transitive: { readonly domid: number; readonly ref: number } | undefined;
  readers: number;
  writers: number;
}

/** What `acquire` gives: the frame and the part of it that was granted. */
export interface Grant {
  /** Frame number as the granting guest wrote it: not yet checked to be its own. */
  readonly frame: bigint;
  readonly start: number;
  readonly length: number;
  readonly transitive: { readonly domid: number; readonly ref: number } | undefined;
}

/** A frame of another domain that this one has mapped. */
export interface GrantMapping {
  readonly handle: number;
  readonly granter: GrantTable;
  readonly ref: number;
  readonly mfn: number;
  /** GNTMAP_* */
  readonly flags: number;
  readonly hostAddress: bigint;
}

export class GrantTable {
  readonly domid: number;
  readonly #options: GrantTableOptions;
  readonly #memory: MachineMemory;
  /** Shared frames, and in version 2 the status frames. */
  readonly frames: number[] = [];
  readonly statusFrames: number[] = [];
  readonly #active = new Map<number, ActiveGrant>();
  readonly #mappings = new Map<number, GrantMapping>();
  readonly #freeHandles: number[] = [];
  version: 1 | 2 = 1;
  #isDestroyed = false;

  constructor(options: GrantTableOptions) {
    this.#options = options;
    this.#memory = options.memory;
    this.domid = options.domid;
    this.grow(1);
  }

  get maxFrames(): number {
    return this.#options.maxFrames;
  }

  get #frameShift(): number {
    return this.version === 1 ? V1_FRAME_SHIFT : V2_FRAME_SHIFT;
  }

  /** Entries that others have in use, and mappings of others' entries. */
  get counts(): { readonly active: number; readonly mappings: number } {
    return { active: this.#active.size, mappings: this.#mappings.size };
  }

  get entries(): number {
    return this.frames.length << this.#frameShift;
  }

  /** Makes at least `count` shared frames. False when the domain may not have as many, or the machine has none left. */
  grow(count: number): boolean {
    if (count > this.maxFrames) return false;
    return this.#fill(this.frames, count) && (this.version === 1 || this.#growStatus());
  }

  #growStatus(): boolean {
    return this.#fill(this.statusFrames, Math.ceil(this.entries / STATUS_PER_FRAME));
  }

  /** Adds frames up to `count`. What it got stays when the machine runs out. */
  #fill(list: number[], count: number): boolean {
    while (list.length < count) {
      const mfn = this.#options.allocateFrame();
      if (mfn < 0) return false;
      list.push(mfn);
    }
    return true;
  }

  /** Changes the layout. The reserved entries (console, XenStore) survive; others must be out of use. @returns 0 or -errno */
  setVersion(version: 1 | 2): number {
    if (version === this.version) return 0;
    if (this.#active.size > 0) return -errno.EBUSY;
    const reserved = Array.from({ length: GNTTAB_NR_RESERVED_ENTRIES }, (_, ref) => this.#readEntry(ref));
    if (reserved.some(({ flags }) => flags !== 0 && (flags & GTF_type_mask) !== GTF_permit_access))
      return -errno.ERANGE;
    if (version === 2) {
      const entries = this.frames.length << V2_FRAME_SHIFT;
      if (!this.#fill(this.statusFrames, Math.ceil(entries / STATUS_PER_FRAME))) return -errno.ENOMEM;
    }
    for (const mfn of this.frames) this.#memory.fill(mfn * PAGE_SIZE, PAGE_SIZE);
    if (version === 1) for (const mfn of this.statusFrames.splice(0)) this.#options.freeFrame(mfn);
    this.version = version;
    for (const [ref, { flags, domid, frame }] of reserved.entries())
      if (flags !== 0) this.seed(ref, domid, frame, flags);
    return 0;
  }

  // --- entries ---

  #address(ref: number): number {
    const shift = this.#frameShift;
    return this.frames[ref >>> shift]! * PAGE_SIZE + (ref & ((1 << shift) - 1)) * (PAGE_SIZE >> shift);
  }

  #readEntry(ref: number): { flags: number; domid: number; frame: bigint } {
    const at = this.#address(ref);
    const header = this.#memory.readU32(at);
    const frame =
      this.version === 1 ? BigInt(this.#memory.readU32(at + 4)) : this.#memory.readU64(at + GRANT_ENTRY_V2.frame);
    return { flags: header & 0xffff, domid: header >>> 16, frame };
  }

  /** Writes an entry for the guest: the domain builder grants the console and XenStore pages to their backends. */
  seed(ref: number, domid: number, frame: bigint, flags = GTF_permit_access): void {
    const at = this.#address(ref);
    if (this.version === 1) this.#memory.writeU32(at + 4, Number(frame & 0xffffffffn));
    else this.#memory.writeU64(at + GRANT_ENTRY_V2.frame, frame);
    this.#memory.writeU32(at, (flags | (domid << 16)) >>> 0);
  }

  #setInUse(ref: number, bits: number): void {
    this.#changeInUse(ref, (flags) => flags | bits);
  }

  #clearInUse(ref: number, bits: number): void {
    this.#changeInUse(ref, (flags) => flags & ~bits);
  }

  /** The in-use bits are in the entry's flags in version 1, in the status array in version 2. */
  #changeInUse(ref: number, change: (flags: number) => number): void {
    // The domain is gone and its table's frames may be another's; pins that others still hold are only counted.
    if (this.frames.length === 0) return;
    // Others may hold mappings longer than the domain lives; its table's frames belong to somebody else by then.
    if (this.#isDestroyed) return;
    const at =
      this.version === 1
        ? this.#address(ref)
        : this.statusFrames[Math.floor(ref / STATUS_PER_FRAME)]! * PAGE_SIZE + (ref % STATUS_PER_FRAME) * 2;
    const word = at & ~3;
    const shift = (at & 2) * 8;
    const old = this.#memory.readU32(word);
    const half = change((old >>> shift) & 0xffff) & 0xffff;
    this.#memory.writeU32(word, ((old & ~(0xffff << shift)) | (half << shift)) >>> 0);
  }

  /**
   * Takes a pin on an entry for `domid`. @returns the grant, or a GNTST_* status.
   * @param forMap a mapping shows the whole frame, so part-page and transitive entries are refused
   */
  acquire(ref: number, domid: number, readonly: boolean, forMap: boolean): Grant | number {
    if (this.#isDestroyed || ref >= this.entries) return GNTST_bad_gntref;
    const known = this.#active.get(ref);
    if (known) {
      if (known.domid !== domid) return GNTST_general_error;
      if (known.readers + known.writers >= MAX_PINS) return GNTST_eagain;
      if (forMap && (known.transitive || known.length !== PAGE_SIZE)) return GNTST_general_error;
    }
    if (!known || (!readonly && known.writers === 0)) {
      const { flags, domid: allowed } = this.#readEntry(ref);
      const type = flags & GTF_type_mask;
      const isTransitive = type === GTF_transitive && this.version === 2 && !forMap;
      if ((type !== GTF_permit_access && !isTransitive) || allowed !== domid) return GNTST_general_error;
      if (!readonly && flags & GTF_readonly) return GNTST_general_error;
      if (forMap && this.version === 2 && flags & GTF_sub_page) return GNTST_general_error;
    }
    const active = known ?? this.#activate(ref);
    if (readonly) active.readers++;
    else active.writers++;
    this.#active.set(ref, active);
    this.#setInUse(ref, readonly ? GTF_reading : GTF_reading | GTF_writing);
    return active;
  }

  /**
   * The frame that `domid` may use now, without a pin: for who is done with it before the guest runs again.
   * @returns its number as the guest wrote it, not yet checked to be its own; or a GNTST_* status, which is negative
   */
  frameOf(ref: number, domid: number, readonly: boolean): number {
    if (this.#isDestroyed || ref >= this.entries) return GNTST_bad_gntref;
    const at = this.#address(ref);
    const header = this.#memory.readU32(at);
    if ((header & GTF_type_mask) !== GTF_permit_access || header >>> 16 !== domid) return GNTST_general_error;
    if (!readonly && header & GTF_readonly) return GNTST_general_error;
    if (this.version === 1) return this.#memory.readU32(at + 4);
    return header & GTF_sub_page ? GNTST_general_error : Number(this.#memory.readU64(at + GRANT_ENTRY_V2.frame));
  }

  #activate(ref: number): ActiveGrant {
    const { flags, domid, frame } = this.#readEntry(ref);
    const at = this.#address(ref);
    const base = { domid, readers: 0, writers: 0, start: 0, length: PAGE_SIZE, transitive: undefined };
    if (this.version === 1) return { ...base, frame };
    if ((flags & GTF_type_mask) === GTF_transitive) {
      const transDomid = this.#memory.readU32(at + GRANT_ENTRY_V2.transDomid) & 0xffff;
      const transRef = this.#memory.readU32(at + GRANT_ENTRY_V2.transRef);
      return { ...base, frame: 0n, transitive: { domid: transDomid, ref: transRef } };
    }
    if (!(flags & GTF_sub_page)) return { ...base, frame };
    const part = this.#memory.readU32(at + GRANT_ENTRY_V2.pageOffset);
    return { ...base, frame, start: part & 0xffff, length: part >>> 16 };
  }

  /** Gives a pin back. */
  release(ref: number, readonly: boolean): void {
    const active = this.#active.get(ref);
    if (!active || (readonly ? active.readers : active.writers) === 0)
      throw new Error(`grant ${ref} of domain ${this.domid}: released more often than acquired`);
    if (readonly) active.readers--;
    else active.writers--;
    if (active.writers === 0) this.#clearInUse(ref, GTF_writing);
    if (active.readers + active.writers > 0) return;
    this.#clearInUse(ref, GTF_reading);
    this.#active.delete(ref);
  }

  /** Number of entries in use by others. */
  get activeCount(): number {
    return this.#active.size;
  }

  // --- GNTTABOP_swap_grant_ref ---

  /** Exchanges two entries that are out of use. @returns a GNTST_* status */
  swap(a: number, b: number): number {
    if (a >= this.entries || b >= this.entries) return GNTST_bad_gntref;
    if (a === b) return 0;
    if (this.#active.has(a) || this.#active.has(b)) return GNTST_eagain;
    const size = this.version === 1 ? GRANT_ENTRY_V1_SIZE : GRANT_ENTRY_V2_SIZE;
    const first = this.#memory.bytes(this.#address(a), size).slice();
    const second = this.#memory.bytes(this.#address(b), size).slice();
    this.#memory.write(this.#address(a), second);
    this.#memory.write(this.#address(b), first);
    return 0;
  }

  // --- GNTTABOP_transfer ---

  /** Puts a frame that `domid` gives into the entry that waits for it. @returns a GNTST_* status */
  acceptTransfer(ref: number, domid: number, mfn: number): number {
    if (this.#isDestroyed || ref >= this.entries) return GNTST_bad_gntref;
    const { flags, domid: awaited } = this.#readEntry(ref);
    // Equal, so that an entry takes one frame only: committed and completed are flags too.
    if (flags !== GTF_accept_transfer || awaited !== domid) return GNTST_general_error;
    this.seed(ref, domid, BigInt(mfn), flags | GTF_transfer_committed | GTF_transfer_completed);
    return GNTST_okay;
  }

  // --- what this domain has mapped ---

  /** Remembers a mapping; undefined when the domain has too many. */
  addMapping(mapping: Omit<GrantMapping, "handle">): GrantMapping | undefined {
    if (this.#mappings.size >= MAX_HANDLES) return undefined;
    const handle = this.#freeHandles.pop() ?? this.#mappings.size;
    const added = { ...mapping, handle };
    this.#mappings.set(handle, added);
    return added;
  }

  mapping(handle: number): GrantMapping | undefined {
    return this.#mappings.get(handle);
  }

  removeMapping(handle: number): void {
    if (this.#mappings.delete(handle)) this.#freeHandles.push(handle);
  }

  get mappingCount(): number {
    return this.#mappings.size;
  }

  /** The domain's end: its mappings' pins go back, its frames are freed. What its page tables hold goes with these. */
  destroy(): void {
    for (const { granter, ref, mfn, flags } of this.#mappings.values()) {
      const isReadonly = (flags & GNTMAP_readonly) !== 0;
      if (!(flags & GNTMAP_host_map)) this.#options.putFrame(mfn, isReadonly);
      granter.release(ref, isReadonly);
    }
    this.#isDestroyed = true;
    this.#mappings.clear();
    for (const mfn of this.frames.splice(0)) this.#options.freeFrame(mfn);
    for (const mfn of this.statusFrames.splice(0)) this.#options.freeFrame(mfn);
  }
}
