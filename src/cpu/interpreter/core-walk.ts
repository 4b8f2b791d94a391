// The page walk of the TLB miss path in WebAssembly, for what nearly all misses of a Xen PV guest are: 4-level tables of 4 KiB
// pages, rights by R/W alone. It fills the TLB as AddressSpaces.fill does and sets accessed and dirty bits in leaves (SDM volume
// 3A, 4.8). Whatever else it meets (a fault, a large page, a frame with decoded code) it leaves to MemoryAccess.miss unchanged,
// which walks again.

import { FRAME_HAS_CODE, FRAME_WRITE_CACHED, type MachineMemory, PAGE_SIZE } from "../../mmu/machine-memory.js";
import * as S from "../state-layout.js";
import { TLB_ENTRY_SHIFT, TLB_INDEX_MASK, TLB_LINEAR, TLB_READ, TLB_WRITE } from "../tlb-layout.js";
import { FunctionBuilder, type Value } from "../wasm/function-builder.js";

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

/** (state, record, va: i64, bytes | WRITE | …) -> linear address, or 0 when it is not for this function. */
export function walkFunction(memory: MachineMemory): Uint8Array {
  const f = new FunctionBuilder(["i32", "i32", "i64", "i32"]);
  const [state, va, access] = [f.param(0), f.param(2), f.param(3)];
  const unless = (condition: Value) => f.if(f.eqz(condition), () => f.return(f.i32(0)));
  unless(f.load("i32", state, S.PV_WALK));
  const inPage = f.let(f.and(f.wrap(va), f.i32(PAGE_SIZE - 1)));
  unless(f.leU(f.add(inPage, f.and(access, f.i32(0xff))), f.i32(PAGE_SIZE)));
  const top = f.let(f.shrS(va, f.i64(47)));
  unless(f.or(f.eqz(top), f.eq(top, f.i64(-1))));

  const end = f.i64(memory.frames * PAGE_SIZE);
  const table = f.variable(f.load("i64_32u", state, S.CR3));
  const rights = f.variable(f.i32(RW));
  const entry = f.local("i64");
  const at = f.local("i32");
  for (const level of FOUR_LEVELS) {
    unless(f.ltU(f.get(table), end));
    const index = f.and(f.shrU(va, f.i64(12 + 9 * (level - 1) - 3)), f.i64(0xff8));
    f.set(at, f.wrap(f.add(f.add(f.get(table), index), f.i64(memory.ramBase))));
    f.set(entry, f.load("i64", f.get(at)));
    const low = f.wrap(f.get(entry));
    // Tables whose accessed bit is missing are rare.
    const bits = level === 1 ? P : P | A | PS;
    unless(f.eq(f.and(low, f.i32(bits)), f.i32(bits & ~PS)));
    unless(f.eqz(f.and(f.get(entry), f.i64(RESERVED))));
    f.set(rights, f.and(f.get(rights), low));
    if (level > 1) f.set(table, f.and(f.get(entry), f.i64(FRAME)));
  }
  const write = f.let(f.and(access, f.i32(WRITE)));
  const writable = f.let(f.and(f.get(rights), f.i32(RW)));
  unless(f.or(f.eqz(write), writable));
  const page = f.let(f.and(f.get(entry), f.i64(FRAME)));
  unless(f.ltU(page, end));
  const frame = (address: Value) => f.wrap(f.shrU(address, f.i64(12)));
  const flagsAt = f.let(f.add(frame(page), f.i32(memory.frameFlagsBase)));
  const flags = f.let(f.load("i32_8u", flagsAt));
  const hasCode = f.let(f.and(flags, f.i32(FRAME_HAS_CODE)));
  unless(f.eqz(f.and(hasCode, f.ne(write, f.i32(0)))));

  const wanted = f.let(f.select(write, f.i32(A | D), f.i32(A)));
  const leaf = f.variable(f.wrap(f.get(entry)));
  f.if(f.ne(f.and(f.get(leaf), wanted), wanted), () => {
    const tableFlags = f.load("i32_8u", f.add(frame(f.get(table)), f.i32(memory.frameFlagsBase)));
    unless(f.eqz(f.and(tableFlags, f.i32(FRAME_HAS_CODE))));
    f.set(leaf, f.or(f.get(leaf), wanted));
    f.store("i32", f.get(at), f.get(leaf));
  });

  const virtualPage = f.let(f.and(va, f.i64(-PAGE_SIZE)));
  const slot = f.and(f.wrap(f.shrU(va, f.i64(12 - TLB_ENTRY_SHIFT))), f.i32(TLB_INDEX_MASK << TLB_ENTRY_SHIFT));
  const tlb = f.let(f.add(f.load("i32", state, S.SPACE), slot));
  const linear = f.let(f.add(f.wrap(page), f.i32(memory.ramBase)));
  f.store("i64", tlb, virtualPage, TLB_READ);
  f.store("i32", tlb, f.sub(linear, f.wrap(virtualPage)), TLB_LINEAR);
  const dirty = f.ne(f.and(f.get(leaf), f.i32(D)), f.i32(0));
  f.if(
    f.and(f.and(f.ne(writable, f.i32(0)), dirty), f.eqz(hasCode)),
    () => {
      f.store("i32_8", flagsAt, f.or(flags, f.i32(FRAME_WRITE_CACHED)));
      f.store("i64", tlb, virtualPage, TLB_WRITE);
    },
    () => f.store("i64", tlb, f.i64(-1), TLB_WRITE),
  );
  f.return(f.add(linear, inPage));
  f.unreachable();
  return f.finish();
}
