// Blocks that are reached from one place only, together with the block that leads to them, as trees: what is known of addresses where
// a tree begins holds in all of it, so its blocks share probes of the TLB (shared-probes.ts). The tree is emitted as a copy; the
// blocks themselves stand behind it, for when a probe fails.

export interface TreeNode {
  readonly block: number;
  /** The node before it; -1 at first. */
  readonly from: number;
  /** By block: the node that control goes to there. Ways to the head, and those that leave the tree, aren't among them. */
  readonly next: ReadonlyMap<number, number>;
}

export interface BlockTree {
  /** Each comes behind the one that leads to it. */
  readonly nodes: readonly TreeNode[];
  /** A loop's: what leads to the first one goes on in the copy. */
  readonly repeats: boolean;
}

export interface GrowingNode extends TreeNode {
  readonly next: Map<number, number>;
}

/** Instructions of a tree at most. */
const MAX_INSTRUCTIONS = 64;

/**
 * By head. `counts`: instructions by block; `edges`: [from, to], each as often as there are ways; `taken`: blocks that can be in no
 * tree; `isReachable`: whether a block can be reached from a head without a detour.
 */
export function blockTrees(
  counts: readonly number[],
  edges: readonly (readonly [number, number])[],
  taken: ReadonlySet<number>,
  isReachable: (head: number, block: number) => boolean,
): Map<number, BlockTree> {
  const ways = counts.map(() => 0);
  const next = counts.map(() => [] as number[]);
  const loops = new Set<number>();
  for (const [from, to] of edges) {
    ways[to]!++;
    if (to > from) next[from]!.push(to);
    if (to === from) loops.add(to);
  }
  const trees = new Map<number, BlockTree>();
  const inside = new Set([...taken, ...loops]);
  for (const head of counts.keys()) {
    if (inside.has(head)) continue;
    const nodes: GrowingNode[] = [{ block: head, from: -1, next: new Map() }];
    let left = MAX_INSTRUCTIONS - counts[head]!;
    for (let i = 0; i < nodes.length; i++) {
      const { block, next: held } = nodes[i]!;
      for (const to of next[block]!) {
        if (ways[to] !== 1 || inside.has(to) || counts[to]! > left || !isReachable(head, to)) continue;
        left -= counts[to]!;
        held.set(to, nodes.length);
        inside.add(to);
        nodes.push({ block: to, from: i, next: new Map() });
      }
    }
    if (nodes.length > 1) trees.set(head, { nodes, repeats: false });
  }
  return trees;
}

export function pruneTree({ nodes, repeats }: BlockTree, kept: ReadonlySet<number>): BlockTree {
  return { nodes: keepNodes(nodes, (node) => kept.has(node)), repeats };
}

/** Of a node that is kept the one before it is, too. */
export function keepNodes(nodes: readonly TreeNode[], isKept: (node: number) => boolean): TreeNode[] {
  const kept = [...nodes.keys()].filter(isKept);
  const places = new Map(kept.map((node, i) => [node, i]));
  return kept.map((node) => {
    const { block, from, next } = nodes[node]!;
    const ways = [...next].flatMap(([to, n]) => (places.has(n) ? [[to, places.get(n)!] as const] : []));
    return { block, from: places.get(from) ?? -1, next: new Map(ways) };
  });
}
