// What a region's code is made of: everything that emitting it needs, as plain data, so that it can be done in another thread.
// Places are given as distances: linear addresses minus that of the region's first page.

/** Where control goes on behind a block. */
export interface Edge {
  readonly at: number;
  /** Index of the block there, or -1 when control leaves the region. */
  readonly block: number;
  /** Record to leave to, of the same page, or 0 when the code has to be looked up. */
  readonly record: number;
  /** Nonzero when the edge leads to another page: the record table that must be mapped there. */
  readonly table: number;
}

export interface BlockRequest {
  readonly at: number;
  /** The block's instructions, one after another. */
  readonly bytes: Uint8Array;
  /** Each instruction's record for the interpreter: never one that enters a region. */
  readonly records: readonly number[];
  /** Nonzero when the last instruction crosses into the next page: the record table that must be mapped there. */
  readonly crosses: number;
  /** Behind the last instruction, unless control never falls through. */
  readonly fallThrough: Edge | undefined;
  /** Target of the last instruction, a direct branch. */
  readonly target: Edge | undefined;
  /** Where the last instruction, a jump or call to a computed address, was seen to lead: blocks of the region. */
  readonly jumps: readonly Edge[];
  /** Where the last instruction, a return, is expected to lead. */
  readonly returnTo: Edge | undefined;
  /** Entries, in ascending order, where it may be expected to lead otherwise. */
  readonly behindCalls: readonly Edge[];
}

export interface RegionRequest {
  /** A number of its own, not 0: what REGION of its entries' records says. */
  readonly id: number;
  /** The blocks in the order in which they are to be laid out. */
  readonly blocks: readonly BlockRequest[];
  /** Blocks where the region is entered: the entry's number in its record (ENTRY) is one more than its index here. */
  readonly entries: readonly number[];
}
