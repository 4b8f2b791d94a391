// Where jumps and calls to computed addresses led while the dispatch loop noted what runs (RAN): it writes each one to a ring in
// linear memory, and what compiles regions asks. A hint: whoever goes by it compares the address.

import type { MachineMemory } from "../../mmu/machine-memory.js";
import type { FunctionBuilder, Value } from "../wasm/function-builder.js";
import * as R from "./record.js";

/** The ring: u32 how many were written since it was read last, and from byte 16 on entries of the jump's record, the target's, and between their pages. */
const ENTRY_SHIFT = 4;
const ENTRIES = 256;
/** Targets that are kept of one jump. */
const MAX_TARGETS = 64;

/** Code of the dispatch loop: control came from a jump to `target`; `distance`: how far its page lies from the jump's, i32. */
export function noteComputedJump(f: FunctionBuilder, ring: number, jump: Value, target: Value, distance: Value): void {
  const count = f.let(f.load("i32", f.i32(0), ring));
  f.store("i32", f.i32(0), f.add(count, f.i32(1)), ring);
  const entry = f.let(f.shl(f.and(count, f.i32(ENTRIES - 1)), f.i32(ENTRY_SHIFT)));
  f.store("i32", entry, jump, ring + 16);
  f.store("i32", entry, target, ring + 20);
  f.store("i32", entry, distance, ring + 24);
}

export class ComputedJumps {
  readonly #memory: MachineMemory;
  /** By the jump's record: distances from its page. */
  readonly #targets = new Map<number, Set<number>>();
  /** Linear address. */
  readonly ring: number;

  constructor(memory: MachineMemory) {
    this.#memory = memory;
    this.ring = memory.allocateEngine(16 + (ENTRIES << ENTRY_SHIFT), 64);
  }

  /** Takes what was noted since. */
  collect(): void {
    const { view } = this.#memory;
    const count = Math.min(view.getUint32(this.ring, true), ENTRIES);
    view.setUint32(this.ring, 0, true);
    for (let i = 0; i < count; i++) {
      const entry = this.ring + 16 + (i << ENTRY_SHIFT);
      const jump = view.getUint32(entry, true);
      const target = view.getUint32(entry + 4, true);
      // A region that begins with the jump: control left it elsewhere.
      if (view.getUint8(jump + R.COMPILED) & R.Compiled.Enters) continue;
      const targets = this.#targets.get(jump) ?? new Set();
      if (targets.size === 0) this.#targets.set(jump, targets);
      if (targets.size < MAX_TARGETS)
        targets.add(view.getInt32(entry + 8, true) + view.getUint16(target + R.OFFSET, true));
    }
  }

  /** Where a jump was seen to lead, as distances from its page. */
  of(jump: number): Iterable<number> {
    return this.#targets.get(jump) ?? [];
  }

  /** All records are gone. */
  reset(): void {
    this.#targets.clear();
    this.#memory.view.setUint32(this.ring, 0, true);
  }
}
