// The hypercall mmu_update without leaving WebAssembly, for what a guest kernel does page by page: one request that puts a present entry
// for a frame of its own into a level-1 table where none was (a page fault maps up to sixteen so). No translation of it can exist, and
// nothing is given back; the references taken are those of page-types.ts (modify) and frame-table.ts. Anything else leaves.

import * as S from "../../cpu/state-layout.js";
import { Reg } from "../../cpu/state-layout.js";
import { TLB_READ } from "../../cpu/tlb-layout.js";
import type { Value } from "../../cpu/wasm/function-builder.js";
import { FrameFlag, FrameTableOffset, FrameType } from "../frame-table.js";
import { PTE_G, PTE_HIGH_GUEST_KERNEL, PTE_P, PTE_RW, PTE_US } from "../pte.js";
import { DOMID_SELF, MMU_NORMAL_PT_UPDATE } from "../public/xen.js";
import type { GateEmitter } from "./gate-emitter.js";

const REQUEST_BYTES = 16;
/** Bits 12-51 of an entry: where those beyond machine addresses are set the frame doesn't exist. */
const FRAME_MASK = 0x000f_ffff_ffff_f000n;
const GUEST_KERNEL = BigInt(PTE_HIGH_GUEST_KERNEL) << 32n;
/** The address of an entry: bits 40 and up are beyond machine addresses, bits 0-1 the kind of update, bit 2 must be clear. */
const POINTER_BEYOND = 0xffff_ff00_0000_0000n;

/** RAX is the hypercall's number; returns from the function. */
export function emitMmuUpdate(g: GateEmitter): void {
  const { memory } = g;
  g.leaveIf(g.ne(g.stateLoad("i32", S.GPR + 8 * Reg.RSI), g.i32(1)));
  g.leaveIf(g.ne(g.gpr(Reg.RDX, 64), g.i64(0)));
  g.leaveIf(g.ne(g.stateLoad("i32", S.GPR + 8 * Reg.R10), g.i32(DOMID_SELF)));
  g.leaveIfUpcallIsDue();

  const va = g.gpr(Reg.RDI, 64);
  g.leaveIf(g.inHole(va, g.add(va, g.i64(REQUEST_BYTES))));
  const request = g.probe(g.stateLoad("i32", S.SPACE), va, REQUEST_BYTES, TLB_READ);
  const pointer = g.let(g.load("i64", request, 0));
  const entry = g.let(g.load("i64", request, 8));
  g.leaveIf(g.ne(g.and(pointer, g.i64(BigInt.asIntN(64, POINTER_BEYOND) | 7n)), g.i64(MMU_NORMAL_PT_UPDATE)));

  const frames = g.let(g.stateLoad("i32", S.PV_FRAMES));
  const domain = g.let(g.stateLoad("i32", S.PV_DOMAIN));
  /** Address of what the frame table has of a frame; `offset` is in the element. */
  const of = (frame: Value, array: keyof typeof FrameTableOffset, shift: number) =>
    g.add(g.add(frames, g.i32(FrameTableOffset[array] * memory.frames)), g.shl(frame, g.i32(shift)));
  const frameIn = (address: Value) => {
    const frame = g.let(g.shrU(g.and(address, g.i64(FRAME_MASK)), g.i64(12)));
    g.leaveIf(g.geU(frame, g.i64(memory.frames)));
    return g.let(g.wrap(frame));
  };
  const leaveUnlessOwn = (frame: Value) => g.leaveIf(g.ne(g.load("i32_16u", of(frame, "owners", 1)), domain));

  const table = frameIn(pointer);
  leaveUnlessOwn(table);
  g.leaveIf(g.ne(g.load("i32_8u", of(table, "types", 0)), g.i32(FrameType.L1)));
  g.leaveIf(g.eqz(g.and(g.load("i32_8u", of(table, "flags", 0)), g.i32(FrameFlag.Validated))));
  const at = g.let(g.add(g.wrap(pointer), g.i32(memory.ramBase)));
  g.leaveIf(g.and(g.load("i32", at), g.i32(PTE_P)));
  g.leaveIfCode(at);

  g.leaveIf(g.eqz(g.and(g.wrap(entry), g.i32(PTE_P))));
  const page = frameIn(entry);
  leaveUnlessOwn(page);
  const referencesAt = g.let(of(page, "referenceCounts", 2));
  const references = g.let(g.load("i32", referencesAt));
  g.leaveIf(g.eqz(references));
  const writable = g.let(g.and(g.wrap(entry), g.i32(PTE_RW)));
  g.if(writable, () => {
    // A frame of another type would need more than a count.
    g.leaveIf(g.ne(g.load("i32_8u", of(page, "types", 0)), g.i32(FrameType.Writable)));
    const countAt = g.let(of(page, "typeCounts", 2));
    g.store("i32", countAt, g.add(g.load("i32", countAt), g.i32(1)));
  });
  g.store("i32", referencesAt, g.add(references, g.i32(1)));

  const forKernel = g.or(entry, g.i64(GUEST_KERNEL | BigInt(PTE_US)));
  const marked = g.ne(g.and(entry, g.i64(GUEST_KERNEL)), g.i64(0));
  const forUser = g.select(marked, entry, g.or(entry, g.i64(PTE_G)));
  g.store("i64", at, g.select(g.and(g.wrap(entry), g.i32(PTE_US)), forUser, forKernel));

  g.finishHypercall(S.PV_MMU_UPDATE_COUNT);
}
