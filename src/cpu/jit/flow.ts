// How control gets from one block of a region to another: what the emitter asks of the region's structure, and the checks of
// the code TLB on ways that lead to another page or to a computed address.

import type { Decoded } from "../decode/decoded.js";
import type { RuntimeImports } from "../emit/interpreter-emitter.js";
import { codeEntry } from "../interpreter/core-walk.js";
import { CODE_TLB_PAGE, CODE_TLB_TAG } from "../tlb-layout.js";
import type { FunctionBuilder, Label, Value } from "../wasm/function-builder.js";
import type { Edge } from "./request.js";

/** What the emitter asks of the region's structure. */
export interface RegionContext {
  readonly runtime: RuntimeImports;
  /** Label to branch to for an edge's block, after setting the selector unless it is 0. */
  route(block: number): Route;
  /** The selector of an entry. */
  entry(block: number): number;
  /** Whether the current block's computed jumps are edges: else they lead to entries. */
  jumpsDirectly(): boolean;
}

export interface RegionInstruction {
  /** Distance from the region's first page. */
  readonly at: number;
  readonly length: number;
  readonly decoded: Decoded;
  /** Number of its memory operand's segment. */
  readonly segment: number;
  /** Its place in the block. */
  readonly position: number;
  /** Place in the pool of its record for the interpreter. */
  readonly record: number;
  /** As the block's, for the last instruction. */
  readonly crosses: number;
  readonly target: Edge | undefined;
  /** Where its computed address was seen to lead. */
  readonly jumps: readonly Edge[];
  readonly returnTo: Edge | undefined;
  readonly behindCalls: readonly Edge[];
}

export interface Route {
  readonly label: Label;
  readonly selector: number;
  /** The block belongs to the same group as the one that control comes from. */
  readonly free: boolean;
}

/** How a block counts its instructions: a group of blocks with one way in is paid for together. */
export interface BlockCost {
  /** Instructions that must still be allowed at the block's start; 0: its group's first block has seen to it. */
  readonly needs: number;
  /** Instructions of the group before this block. */
  readonly before: number;
}

/** CODE_MODE of 64-bit code, as in the tags of the code TLB. */
const MODE = 2;

/** Whether the page with this record table is mapped at `va` for execution; i32. */
export function isMapped(f: FunctionBuilder, state: Value, va: Value, table: Value): Value {
  const entry = codeEntry(f, state, va);
  const mapped = f.eq(f.load("i64", entry, CODE_TLB_TAG), f.or(va, f.i64(MODE)));
  return f.and(mapped, f.eq(f.load("i32", entry, CODE_TLB_PAGE), table));
}

/** Runs `found` with the record at an address and the page's address, where the code TLB leads to one. */
export function ifRecord(
  f: FunctionBuilder,
  state: Value,
  target: Value,
  found: (record: Value, va: Value) => void,
): void {
  const va = f.let(f.and(target, f.i64(-4096)));
  const entry = codeEntry(f, state, va);
  f.ifUsual(f.eq(f.load("i64", entry, CODE_TLB_TAG), f.or(va, f.i64(MODE))), () => {
    const offset = f.shl(f.and(f.wrap(target), f.i32(0xfff)), f.i32(2));
    const record = f.let(f.load("i32", f.add(f.load("i32", entry, CODE_TLB_PAGE), offset)));
    f.ifUsual(record, () => found(record, va));
  });
}
