// The page walks of TLB misses in WebAssembly, for what nearly all misses of a Xen PV guest are: 4-level tables of 4 KiB
// pages, rights by R/W and NX alone. They fill the TLBs as AddressSpaces.fill and fillCode do; that of data sets accessed and dirty bits
// in leaves (SDM volume 3A, 4.8). Whatever else they meet (a fault, a large page, a frame with decoded code that is written, code not
// decoded yet) they leave to TypeScript unchanged, which walks again.

import { FRAME_HAS_CODE, type MachineMemory, PAGE_SIZE } from "../../mmu/machine-memory.js";
import * as S from "../state-layout.js";
import {
  CODE_TLB_ENTRIES,
  CODE_TLB_ENTRY_SHIFT,
  CODE_TLB_PAGE,
  CODE_TLB_TAG,
  emptyTag,
  TLB_ENTRY_SHIFT,
  TLB_INDEX_MASK,
  TLB_LINEAR,
  TLB_PART_SHIFT,
  TLB_READ,
  TLB_WRITE,
} from "../tlb-layout.js";
import type { FunctionBody } from "../wasm/code-writer.js";
import { FunctionBuilder, type Value, type Variable } from "../wasm/function-builder.js";

const WRITE = 0x100;
const P = 1;
const RW = 2;
const A = 0x20;
const D = 0x40;
const PS = 0x80;
/** Bits 40-51: beyond our physical address width. */
const RESERVED = 0x000fff0000000000n;
const FRAME = 0x000000fffffff000n;
const FOUR_LEVELS = [4, 3, 2, 1] as const;
/** CODE_MODE of 64-bit code. */
const LONG_MODE = 2;

interface Walk {
  /** The leaf entry, the linear address it was read from, and the machine address of its table. */
  readonly entry: Variable;
  readonly at: Variable;
  readonly table: Variable;
  /** Machine address of the page. */
  readonly page: Value;
}

/** Leaves the function with 0 when the condition isn't met. */
function unless(f: FunctionBuilder, condition: Value): void {
  f.ifRare(f.eqz(condition), () => f.return(f.i32(0)));
}

/** Descends to the leaf of `va`, and shows each entry to `note`. */
function descend(
  f: FunctionBuilder,
  memory: MachineMemory,
  state: Value,
  va: Value,
  note: (entry: Variable) => void,
): Walk {
  const top = f.let(f.shrS(va, f.i64(47)));
  unless(f, f.or(f.eqz(top), f.eq(top, f.i64(-1))));
  const end = f.i64(memory.frames * PAGE_SIZE);
  const table = f.variable(f.load("i64_32u", state, S.CR3));
  const entry = f.local("i64");
  const at = f.local("i32");
  for (const level of FOUR_LEVELS) {
    unless(f, f.ltU(f.get(table), end));
    const index = f.and(f.shrU(va, f.i64(12 + 9 * (level - 1) - 3)), f.i64(0xff8));
    f.set(at, f.wrap(f.add(f.add(f.get(table), index), f.i64(memory.ramBase))));
    f.set(entry, f.load("i64", f.get(at)));
    // Tables whose accessed bit is missing are rare.
    const bits = level === 1 ? P : P | A | PS;
    unless(f, f.eq(f.and(f.wrap(f.get(entry)), f.i32(bits)), f.i32(bits & ~PS)));
    unless(f, f.eqz(f.and(f.get(entry), f.i64(RESERVED))));
    note(entry);
    if (level > 1) f.set(table, f.and(f.get(entry), f.i64(FRAME)));
  }
  const page = f.let(f.and(f.get(entry), f.i64(FRAME)));
  unless(f, f.ltU(page, end));
  return { entry, at, table, page };
}

/** Linear address of a code TLB's entry for an address in the current slot. */
export function codeEntry(f: FunctionBuilder, state: Value, va: Value): Value {
  const mask = f.i32((CODE_TLB_ENTRIES - 1) << CODE_TLB_ENTRY_SHIFT);
  const index = f.and(f.wrap(f.shrU(va, f.i64(12 - CODE_TLB_ENTRY_SHIFT))), mask);
  return f.let(f.add(f.load("i32", state, S.CODE_TLB), index));
}

/**
 * (state, page: i64) -> linear address of the record table of 64-bit code at a page's address, entered into the code TLB; or 0 when
 * it is not for this function. `frameTables`: linear address of the tables' addresses by frame (code-cache.ts).
 */
export function codeWalkFunction(memory: MachineMemory, frameTables: number): FunctionBody {
  const f = new FunctionBuilder(["i32", "i64"]);
  const [state, va] = [f.param(0), f.param(1)];
  unless(f, f.load("i32", state, S.PV_WALK));
  unless(f, f.eq(f.load("i32", state, S.CODE_MODE), f.i32(LONG_MODE)));
  // Bit 63: no execution.
  const { entry, page } = descend(f, memory, state, va, (each) => unless(f, f.geS(f.get(each), f.i64(0))));
  unless(f, f.and(f.wrap(f.get(entry)), f.i32(A)));
  const slot = f.shl(f.wrap(f.shrU(page, f.i64(12))), f.i32(2));
  const table = f.let(f.load("i32", slot, frameTables));
  unless(f, table);
  const tlb = codeEntry(f, state, va);
  f.store("i64", tlb, f.or(va, f.i64(LONG_MODE)), CODE_TLB_TAG);
  f.store("i32", tlb, table, CODE_TLB_PAGE);
  f.return(table);
  f.unreachable();
  return f.finish();
}

/** (state, record, va: i64, bytes | WRITE | …) -> linear address, or 0 when it is not for this function. */
export function walkFunction(memory: MachineMemory): FunctionBody {
  const f = new FunctionBuilder(["i32", "i32", "i64", "i32"]);
  const [state, va, access] = [f.param(0), f.param(2), f.param(3)];
  unless(f, f.load("i32", state, S.PV_WALK));
  const inPage = f.let(f.and(f.wrap(va), f.i32(PAGE_SIZE - 1)));
  unless(f, f.leU(f.add(inPage, f.and(access, f.i32(0xff))), f.i32(PAGE_SIZE)));
  const rights = f.variable(f.i32(RW));
  const { entry, at, table, page } = descend(f, memory, state, va, (each) =>
    f.set(rights, f.and(f.get(rights), f.wrap(f.get(each)))),
  );
  const write = f.let(f.and(access, f.i32(WRITE)));
  const writable = f.let(f.and(f.get(rights), f.i32(RW)));
  unless(f, f.or(f.eqz(write), writable));
  const frame = (address: Value) => f.wrap(f.shrU(address, f.i64(12)));
  const flags = f.load("i32_8u", f.add(frame(page), f.i32(memory.frameFlagsBase)));
  const hasCode = f.let(f.and(flags, f.i32(FRAME_HAS_CODE)));
  unless(f, f.eqz(f.and(hasCode, f.ne(write, f.i32(0)))));

  const wanted = f.let(f.select(write, f.i32(A | D), f.i32(A)));
  const leaf = f.variable(f.wrap(f.get(entry)));
  f.if(f.ne(f.and(f.get(leaf), wanted), wanted), () => {
    const tableFlags = f.load("i32_8u", f.add(frame(f.get(table)), f.i32(memory.frameFlagsBase)));
    unless(f, f.eqz(f.and(tableFlags, f.i32(FRAME_HAS_CODE))));
    f.set(leaf, f.or(f.get(leaf), wanted));
    f.store("i32", f.get(at), f.get(leaf));
  });

  const virtualPage = f.let(f.and(va, f.i64(-PAGE_SIZE)));
  const slot = f.and(f.wrap(f.shrU(va, f.i64(12 - TLB_ENTRY_SHIFT))), f.i32(TLB_INDEX_MASK << TLB_ENTRY_SHIFT));
  const tlb = f.let(f.add(f.load("i32", state, S.SPACE), slot));
  const linear = f.let(f.add(f.wrap(page), f.i32(memory.ramBase)));
  const tag = f.let(f.sub(f.i64(0), virtualPage));
  f.store("i64", tlb, tag, TLB_READ);
  f.store("i32", tlb, f.sub(linear, f.wrap(virtualPage)), TLB_LINEAR);
  const dirty = f.ne(f.and(f.get(leaf), f.i32(D)), f.i32(0));
  f.if(
    f.and(f.and(f.ne(writable, f.i32(0)), dirty), f.eqz(hasCode)),
    () => {
      const word = f.let(f.shl(frame(page), f.i32(2)));
      const part = f.shl(f.i32(1), f.shrU(slot, f.i32(TLB_ENTRY_SHIFT + TLB_PART_SHIFT)));
      f.store("i32", word, f.or(f.load("i32", word, memory.frameWritersBase), part), memory.frameWritersBase);
      f.store("i64", tlb, tag, TLB_WRITE);
    },
    () => f.store("i64", tlb, f.select(slot, f.i64(emptyTag(1)), f.i64(emptyTag(0))), TLB_WRITE),
  );
  f.return(f.add(linear, inPage));
  f.unreachable();
  return f.finish();
}
