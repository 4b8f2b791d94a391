// What a region's code is made of: everything that emitting it needs, as plain data, so that it can be done in another thread.
// Places are given as distances: linear addresses minus that of the region's first page. Records and record tables lie elsewhere in
// each run: code takes them from the region's pool, an array of u32 in linear memory whose address is the region's number (REGION of its
// entries' records). So the same guest code makes the same request, and the same machine code, in every run.

/** Where control goes on behind a block. */
export interface Edge {
  readonly at: number;
  /** Index of the block there, or -1 when control leaves the region. */
  readonly block: number;
  /** Place in the pool of the record to leave to, of the same page, or -1 when the code has to be looked up. */
  readonly record: number;
  /** Place in the pool of the record table that must be mapped there, when the edge leads to another page; else -1. */
  readonly table: number;
}

export interface BlockRequest {
  readonly at: number;
  /** The block's instructions, one after another. */
  readonly bytes: Uint8Array;
  /** Instructions. */
  readonly count: number;
  /** Place in the pool of the first instruction's record for the interpreter, never one that enters a region; the others' follow. */
  readonly records: number;
  /** Place in the pool of the record table that must be mapped in the next page, when the last instruction crosses into it; else -1. */
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
  /** The blocks in the order in which they are to be laid out. */
  readonly blocks: readonly BlockRequest[];
  /** Blocks where the region is entered: the entry's number in its record (ENTRY) is one more than its index here. */
  readonly entries: readonly number[];
}
