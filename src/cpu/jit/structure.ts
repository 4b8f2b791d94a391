// Turns the control flow among blocks in a given order into nested Wasm scopes: a loop for each target of a backward jump, a
// block for each target of a forward jump that isn't a fall-through. A jump into the middle of a loop goes to the loop's head
// with a selector set, and the head passes it on.

export interface Scope {
  readonly kind: "loop" | "block";
  /** Block index before whose code the scope opens. */
  start: number;
  /** Block index before whose code it closes. */
  end: number;
  /** Block that a branch to this scope's label reaches. */
  readonly target: number;
}

export interface Structure {
  /** By block index: scopes that open before its code, outermost first. */
  readonly opening: readonly (readonly Scope[])[];
  /** Block to whose label a jump from block `from` to block `to` branches: another one than `to` with the selector set. */
  via(from: number, to: number): number;
  /** By the index of a loop's head: blocks in the loop that are selected there, with the block to branch to. */
  readonly dispatch: ReadonlyMap<number, ReadonlyMap<number, number>>;
  /** Blocks that are reached through a selector: they clear it. */
  readonly selected: ReadonlySet<number>;
}

/** `edges`: jumps [from, to] by block index; falling through to the next block needs none. */
export function structureOf(count: number, edges: readonly (readonly [number, number])[]): Structure {
  const loops = loopsOf(edges);
  /** The outermost loop that a forward jump would enter elsewhere than at its head. */
  const entered = (from: number, to: number) =>
    loops.find((l) => to > l.start && to < l.end && (from < l.start || from >= l.end));
  const via = (from: number, to: number) => (to <= from ? to : (entered(from, to)?.start ?? to));
  const dispatch = new Map<number, Map<number, number>>();
  const selected = new Set<number>();
  const blocks = new Map<number, Scope>();
  const add = (from: number, to: number): void => {
    if (to <= from) return;
    const label = via(from, to);
    const block = blocks.get(label);
    if (!block) blocks.set(label, { kind: "block", start: from, end: label, target: label });
    else block.start = Math.min(block.start, from);
    if (label === to) return;
    selected.add(to);
    const table = dispatch.get(label) ?? new Map<number, number>();
    dispatch.set(label, table);
    if (table.has(to)) return;
    table.set(to, via(label, to));
    add(label, to);
  };
  for (const [from, to] of edges) add(from, to);
  nest(loops, [...blocks.values()]);
  const opening: Scope[][] = Array.from({ length: count }, () => []);
  for (const scope of [...loops, ...blocks.values()]) opening[scope.start]!.push(scope);
  for (const scopes of opening) scopes.sort((a, b) => b.end - a.end || (a.kind === "block" ? -1 : 1));
  return { opening, via, dispatch, selected };
}

/** By start, and so the outer ones first. Loops nest: one that starts inside another ends inside it. */
function loopsOf(edges: readonly (readonly [number, number])[]): Scope[] {
  const byHead = new Map<number, Scope>();
  for (const [from, to] of edges) {
    if (to > from) continue;
    const loop = byHead.get(to);
    if (!loop) byHead.set(to, { kind: "loop", start: to, end: from + 1, target: to });
    else loop.end = Math.max(loop.end, from + 1);
  }
  const loops = [...byHead.values()].sort((a, b) => a.start - b.start);
  for (let i = loops.length - 1; i >= 0; i--) {
    const outer = loops[i]!;
    for (let j = i + 1; j < loops.length && loops[j]!.start < outer.end; j++)
      outer.end = Math.max(outer.end, loops[j]!.end);
  }
  return loops;
}

/** A block that opens inside a scope and closes behind it must open where that scope does. */
function nest(loops: readonly Scope[], blocks: Scope[]): void {
  blocks.sort((a, b) => a.end - b.end);
  for (const [i, inner] of blocks.entries()) {
    for (let changed = true; changed; ) {
      changed = false;
      const check = (outer: Scope) => {
        if (inner.start <= outer.start || inner.start >= outer.end || inner.end <= outer.end) return;
        inner.start = outer.start;
        changed = true;
      };
      loops.forEach(check);
      for (let j = 0; j < i; j++) check(blocks[j]!);
    }
  }
}
