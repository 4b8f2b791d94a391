// Counting instructions: a region must stop exactly when its budget is used up. Blocks that are reached from one place only are
// checked and paid for together with the block before them: a group needs its longest way, and each way out of it pays for what
// it ran. Where a group no longer fits, the interpreter runs the rest of the slice.

import type { BlockCost } from "./flow.js";
import type { BlockRequest, Edge } from "./request.js";

/** Longest way through a group: the interpreter runs at most so many instructions at the end of a slice. */
const MAX_GROUP = 48;

/** By block. */
export function costsOf(blocks: readonly BlockRequest[], entries: readonly number[]): BlockCost[] {
  const before = new Array<number>(blocks.length).fill(0);
  const needs = blocks.map((block) => block.count);
  /** The block that leads here, when it is the only one; -1 when none is known yet, -2 when there are several. */
  const from = new Array<number>(blocks.length).fill(-1);
  for (const entry of entries) from[entry] = -2;
  for (const [i, block] of blocks.entries()) {
    const lead = (edge: Edge | undefined) => {
      if (edge && edge.block >= 0) from[edge.block] = from[edge.block] === -1 && edge.block > i ? i : -2;
    };
    lead(block.target);
    lead(block.returnTo);
    for (const edge of block.jumps) lead(edge);
    lead(block.fallThrough);
  }
  const first = blocks.map((_, i) => i);
  for (const [i, block] of blocks.entries()) {
    const parent = from[i]!;
    if (parent < 0) continue;
    const way = before[parent]! + blocks[parent]!.count;
    if (way + block.count > MAX_GROUP) continue;
    before[i] = way;
    first[i] = first[parent]!;
    needs[i] = 0;
    const head = first[i]!;
    needs[head] = Math.max(needs[head]!, way + block.count);
  }
  return blocks.map((_, i) => ({ needs: needs[i]!, before: before[i]! }));
}
