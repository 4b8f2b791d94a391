// Loops around a computed jump, as interpreters have, as trees: from the head every way through the loop until it comes back, with a
// copy of a block for each way that leads to it. What is known of addresses at the head holds on all of them, so they share
// probes of the TLB (shared-probes.ts) that aren't made again in each round. Other loops run too few rounds for that.

import { type BlockTree, type GrowingNode, keepNodes } from "./block-trees.js";

/** Instructions of a tree at most, copies included, and of a block to be there more than once. */
const MAX_INSTRUCTIONS = 160;
/** Instructions of a loop at most: of larger ones a tree holds too few of the ways to be worth compiling. */
const MAX_LOOP = 96;
const MAX_COPIED = 16;

/** By head. `counts`: instructions by block; `edges`: [from, to], each as often as there are ways; `switches`: blocks with computed jumps. */
export function loopTrees(
  counts: readonly number[],
  edges: readonly (readonly [number, number])[],
  switches: ReadonlySet<number>,
): Map<number, BlockTree> {
  const trees = new Map<number, BlockTree>();
  if (switches.size === 0) return trees;
  const ways = counts.map(() => new Map<number, number>());
  const sources = counts.map(() => [] as number[]);
  const heads = new Set<number>();
  for (const [from, to] of edges) {
    ways[from]!.set(to, (ways[from]!.get(to) ?? 0) + 1);
    sources[to]!.push(from);
    if (from >= to) heads.add(to);
  }
  for (const head of heads) {
    const inside = new Set([head]);
    let size = counts[head]!;
    const open = sources[head]!.filter((from) => from > head);
    for (let block = open.pop(); block !== undefined && size <= MAX_LOOP; block = open.pop()) {
      if (block < head || inside.has(block)) continue;
      inside.add(block);
      size += counts[block]!;
      open.push(...sources[block]!);
    }
    if (size > MAX_LOOP || ![...switches].some((block) => inside.has(block))) continue;
    const grown = grow(head, counts, (block) =>
      [...ways[block]!].flatMap(([to, n]) => (n === 1 && inside.has(to) && to !== head ? [to] : [])),
    );
    const tree = prune(grown, (block) => ways[block]!.has(head));
    if (tree.nodes.some(({ block, next }) => switches.has(block) && next.size > 1)) trees.set(head, tree);
  }
  return trees;
}

function grow(head: number, counts: readonly number[], successors: (block: number) => number[]): GrowingNode[] {
  const nodes: GrowingNode[] = [{ block: head, from: -1, next: new Map() }];
  const held = new Set([head]);
  let left = MAX_INSTRUCTIONS - counts[head]!;
  for (let i = 0; i < nodes.length; i++) {
    const { block, next } = nodes[i]!;
    for (const to of successors(block)) {
      const count = counts[to]!;
      if (isOnWay(nodes, i, to) || count > left || (held.has(to) && count > MAX_COPIED)) continue;
      left -= count;
      held.add(to);
      next.set(to, nodes.length);
      nodes.push({ block: to, from: i, next: new Map() });
    }
  }
  return nodes;
}

/** Whether the block stands on the way to this node. */
function isOnWay(nodes: readonly GrowingNode[], node: number, block: number): boolean {
  for (let i = node; i >= 0; i = nodes[i]!.from) if (nodes[i]!.block === block) return true;
  return false;
}

/** Without the nodes from which control doesn't come back to the head. */
function prune(nodes: readonly GrowingNode[], comesBack: (block: number) => boolean): BlockTree {
  const useful: boolean[] = [];
  for (let i = nodes.length - 1; i >= 0; i--)
    useful[i] = comesBack(nodes[i]!.block) || [...nodes[i]!.next.values()].some((n) => useful[n]!);
  return { nodes: keepNodes(nodes, (node) => useful[node]!), repeats: true };
}
