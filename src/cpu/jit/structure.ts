// Turns the control flow among blocks in reverse postorder into nested Wasm scopes: a loop for each target of a backward jump, a
// block for each target of a forward jump that isn't a fall-through. A jump into the middle of a loop can't be expressed
// and leaves the region instead.

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
  readonly scopes: readonly Scope[];
  /** Whether the jump from block `from` to block `to` stays inside the region. */
  canJump(from: number, to: number): boolean;
}

/** `edges`: jumps [from, to] by block index; falling through to the next block needs none. */
export function structureOf(edges: readonly (readonly [number, number])[]): Structure {
  const loops = new Map<number, Scope>();
  for (const [from, to] of edges) {
    if (to > from) continue;
    const loop = loops.get(to);
    if (!loop) loops.set(to, { kind: "loop", start: to, end: from + 1, target: to });
    else loop.end = Math.max(loop.end, from + 1);
  }
  // Loops nest: one that starts inside another ends inside it.
  const ordered = [...loops.values()].sort((a, b) => a.start - b.start);
  for (let changed = true; changed; ) {
    changed = false;
    for (const outer of ordered) {
      for (const inner of ordered) {
        if (inner.start > outer.start && inner.start < outer.end && inner.end > outer.end) {
          outer.end = inner.end;
          changed = true;
        }
      }
    }
  }
  const enters = (from: number, to: number) =>
    ordered.some((l) => to > l.start && to < l.end && (from < l.start || from >= l.end));
  const canJump = (from: number, to: number) => to <= from || to === from + 1 || !enters(from, to);
  const blocks = new Map<number, Scope>();
  for (const [from, to] of edges) {
    if (to <= from || !canJump(from, to)) continue;
    const block = blocks.get(to);
    if (!block) blocks.set(to, { kind: "block", start: from, end: to, target: to });
    else block.start = Math.min(block.start, from);
  }
  const scopes = [...ordered, ...blocks.values()];
  for (let changed = true; changed; ) {
    changed = false;
    for (const inner of blocks.values()) {
      for (const outer of scopes) {
        if (outer === inner) continue;
        // A block that opens inside a scope and closes behind it must open where that scope does.
        if (inner.start > outer.start && inner.start < outer.end && inner.end > outer.end) {
          inner.start = outer.start;
          changed = true;
        }
      }
    }
  }
  return { scopes, canJump };
}

/** Scopes that open before a block's code, outermost first. */
export function openingAt(structure: Structure, index: number): Scope[] {
  return structure.scopes
    .filter((s) => s.start === index)
    .sort((a, b) => b.end - a.end || (a.kind === "block" ? -1 : 1) - (b.kind === "block" ? -1 : 1));
}
