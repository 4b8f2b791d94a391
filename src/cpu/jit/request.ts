// What a region's code is made of: everything that emitting it needs, as plain data, so that it can be done in another thread.
// Places are given as distances: linear addresses minus that of the region's first page.

/** Where control goes on behind a block. */
export interface Edge {
  readonly at: number;
  /** Index of the block there, or -1 when control leaves the region. */
  readonly block: number;
  /** Record to leave to, or 0 when the code has to be looked up. */
  readonly record: number;
}

export interface BlockRequest {
  readonly at: number;
  /** The block's instructions, one after another. */
  readonly bytes: Uint8Array;
  /** Each instruction's record for the interpreter: never one that enters a region. */
  readonly records: readonly number[];
  /** Behind the last instruction, unless control never falls through. */
  readonly fallThrough: Edge | undefined;
  /** Target of the last instruction, a direct branch. */
  readonly target: Edge | undefined;
}

export interface RegionRequest {
  /** The blocks in reverse postorder, the entry first. */
  readonly blocks: readonly BlockRequest[];
}
