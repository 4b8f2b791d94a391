// Accesses of one block, or of blocks that follow one another as a tree (block-trees.ts, loop-trees.ts), whose addresses lie a known
// distance apart share one probe of the TLB, made where the first of these blocks starts: when all of them lie in one page that it has,
// the fast copy runs, else the one that probes for each. The blocks are emitted without sharing first, which shows what they access.

import type { Form, Strides, Sum } from "./address-forms.js";

export interface Access {
  readonly form: Form;
  readonly bytes: number;
  readonly write: boolean;
  /** It must be at a multiple of 16. */
  readonly aligned: boolean;
  /** Of a tree: where it is. */
  readonly node: number;
}

/** Accesses near one another: they lie within `span` bytes from `sum` + `offset` on. */
export interface ProbeGroup {
  readonly sum: Sum;
  readonly offset: bigint;
  /** Where in a tree the probe is made; and what to add there to what `sum` builds. */
  readonly node: number;
  readonly start: bigint;
  readonly span: number;
  readonly write: boolean;
  /** Some access's distance is not known. */
  readonly table: boolean;
  /** By way back to the start: how far away it is the next time, when that is known and not far. */
  readonly strides: readonly (number | undefined)[];
  /** The remainder by 16 of how far behind `offset` multiples of 16 are expected; undefined: nowhere. */
  readonly aligned: number | undefined;
}

/** How many bytes into which group; -1 when that isn't known. */
export interface SharedAccess {
  readonly group: number;
  readonly distance: number;
  /** That it is aligned is asked for with the probe. */
  readonly aligned: boolean;
}

export interface ProbePlan {
  readonly groups: readonly ProbeGroup[];
  /** By the access's number; undefined: it has a probe of its own. */
  readonly accesses: readonly (SharedAccess | undefined)[];
}

/** Wider groups would lie in two pages too often; those with a table are worth more. */
const MAX_SPAN = 320;
const MAX_TABLE_SPAN = 1200;
const MAX_STRIDE = 512n;

/** A node of a tree of blocks: the one before it, and how far sums have got where it starts. */
export interface ProbeNode {
  readonly from: number;
  readonly ahead: Strides;
}

/**
 * `accesses` in the order in which they are made; undefined where nothing is known of one. `ways`: by way back to the
 * start, where a single access too has its place found anew only when it leaves a page. `nodes`: of a tree.
 */
export function planProbes(
  accesses: readonly (Access | undefined)[],
  ways: readonly Strides[],
  nodes: readonly ProbeNode[] = [],
): ProbePlan | undefined {
  const groups: ProbeGroup[] = [];
  const shared: (SharedAccess | undefined)[] = accesses.map(() => undefined);
  const isBehind = (node: number, start: number): boolean =>
    node === start || (node > start && isBehind(nodes[node]!.from, start));
  for (let node = 0; node < Math.max(1, nodes.length); node++) {
    const bySum = new Map<Sum, number[]>();
    for (const [i, access] of accesses.entries()) {
      if (!access || shared[i] || !isBehind(access.node, node)) continue;
      const list = bySum.get(access.form.sum);
      if (list) list.push(i);
      else bySum.set(access.form.sum, [i]);
    }
    for (const [sum, list] of bySum) {
      // One access alone shares nothing, unless its place is kept from one round to the next.
      if (list.length === 1 && ways.length === 0 && accesses[list[0]!]!.form.range === 0n) continue;
      const ahead = nodes.length === 0 ? 0n : nodes[node]!.ahead(sum);
      if (ahead !== undefined) addGroups(accesses, shared, groups, sum, list, node, ahead, node === 0 ? ways : []);
    }
  }
  return groups.length > 0 ? { groups, accesses: shared } : undefined;
}

function addGroups(
  accesses: readonly (Access | undefined)[],
  shared: (SharedAccess | undefined)[],
  groups: ProbeGroup[],
  sum: Sum,
  list: number[],
  node: number,
  ahead: bigint,
  ways: readonly Strides[],
): void {
  const strides: (number | undefined)[] = [];
  let unknown = 0;
  let stays = true;
  for (let i = 0; i < ways.length; i++) {
    const step = ways[i]!(sum);
    const isNear = step !== undefined && step >= -MAX_STRIDE && step <= MAX_STRIDE;
    strides.push(isNear ? Number(step) : undefined);
    if (!isNear) unknown++;
    else if (step % 16n !== 0n) stays = false;
  }
  const moves = strides.length > 2 * unknown;
  const offsetOf = (i: number) => accesses[i]!.form.offset;
  const ranged = (i: number) => accesses[i]!.form.range > 0n;
  list.sort((a, b) => (offsetOf(a) < offsetOf(b) ? -1 : offsetOf(a) > offsetOf(b) ? 1 : a - b));
  for (let first = 0; first < list.length; ) {
    const offset = offsetOf(list[first]!);
    const endOf = (i: number) => Number(offsetOf(i) - offset) + Number(accesses[i]!.form.range) + accesses[i]!.bytes;
    let next = first;
    while (next < list.length && endOf(list[next]!) <= (ranged(list[next]!) ? MAX_TABLE_SPAN : MAX_SPAN)) next++;
    const members = list.slice(first, next);
    first = Math.max(next, first + 1);
    const table = members.some(ranged);
    // The place of a table's entry is known before the index is. What has to be found in each round anyway must be needed there.
    if (members.length <= (moves || table ? 0 : 1) || !(moves || members.some((i) => accesses[i]!.node === node)))
      continue;
    const distance = (i: number) => Number(offsetOf(i) - offset);
    // Where the group isn't probed again it must stay aligned.
    const expected = stays ? members.find((i) => accesses[i]!.aligned && !ranged(i)) : undefined;
    const aligned = expected === undefined ? undefined : distance(expected) % 16;
    for (const i of members)
      shared[i] = {
        group: groups.length,
        distance: ranged(i) ? -1 : distance(i),
        aligned: accesses[i]!.aligned && !ranged(i) && distance(i) % 16 === aligned,
      };
    const write = members.some((i) => accesses[i]!.write);
    const span = Math.max(...members.map(endOf));
    groups.push({ sum, offset, node, start: offset - ahead, span, write, table, strides, aligned });
  }
}

/** Nodes of a tree in which something shares a probe that is made before; and those on the way there. */
export function sharingNodes(plan: ProbePlan, accesses: readonly (Access | undefined)[], nodes: readonly ProbeNode[]) {
  const sharing = new Set<number>();
  for (const [i, access] of accesses.entries()) {
    const group = plan.accesses[i];
    if (!access || !group || plan.groups[group.group]!.node === access.node) continue;
    for (let node = access.node; node >= 0; node = nodes[node]!.from) sharing.add(node);
  }
  return sharing;
}
