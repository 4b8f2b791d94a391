// Accesses that cross from one page into the next, where the TLB has both: the bytes are put together in SCRATCH, and taken apart
// again when a write is committed. Whatever else such an access meets TypeScript sees to (memory-access.ts), which keeps the order of
// faults. A tag for writes stands for memory that may simply be written: no decoded code, dirty bit set, nothing watched.

import { PAGE_SIZE } from "../../mmu/machine-memory.js";
import * as S from "../state-layout.js";
import { TLB_ENTRY_SHIFT, TLB_INDEX_MASK, TLB_LINEAR, TLB_READ, TLB_WRITE } from "../tlb-layout.js";
import type { FunctionBody } from "../wasm/code-writer.js";
import { FunctionBuilder, type Value } from "../wasm/function-builder.js";

const WRITE = 0x100;

/** (state, va: i64, bytes | WRITE | …) -> linear address of SCRATCH, or 0 when it is not for this function. */
export function crossFunction(): FunctionBody {
  const f = new FunctionBuilder(["i32", "i64", "i32"]);
  const [state, va, access] = [f.param(0), f.param(1), f.param(2)];
  const bytes = f.let(f.and(access, f.i32(0xff)));
  const inPage = f.let(f.and(f.wrap(va), f.i32(PAGE_SIZE - 1)));
  f.if(f.leU(f.add(inPage, bytes), f.i32(PAGE_SIZE)), () => f.return(f.i32(0)));
  const write = f.let(f.and(access, f.i32(WRITE)));
  const tlb = f.let(f.load("i32", state, S.TLB));
  /** Linear address of a page's byte 0. */
  const page = (at: Value): Value => {
    const mask = f.i32(TLB_INDEX_MASK << TLB_ENTRY_SHIFT);
    const slot = f.and(f.wrap(f.shrU(at, f.i64(12 - TLB_ENTRY_SHIFT))), mask);
    const entry = f.let(f.add(tlb, slot));
    const tag = f.let(f.select(write, f.load("i64", entry, TLB_WRITE), f.load("i64", entry, TLB_READ)));
    f.if(f.ne(f.add(tag, at), f.i64(0)), () => f.return(f.i32(0)));
    return f.let(f.add(f.wrap(at), f.load("i32", entry, TLB_LINEAR)));
  };
  const firstPage = f.let(f.and(va, f.i64(-PAGE_SIZE)));
  const first = f.let(f.add(page(firstPage), inPage));
  const second = page(f.let(f.add(firstPage, f.i64(PAGE_SIZE))));
  const split = f.let(f.sub(f.i32(PAGE_SIZE), inPage));
  const scratch = f.let(f.add(state, f.i32(S.SCRATCH)));
  f.memoryCopy(scratch, first, split);
  f.memoryCopy(f.add(scratch, split), second, f.sub(bytes, split));
  f.store("i32", state, f.select(write, bytes, f.i32(0)), S.CROSSING);
  f.store("i32", state, split, S.CROSSING_SPLIT);
  f.store("i32", state, first, S.CROSSING_FIRST);
  f.store("i32", state, second, S.CROSSING_SECOND);
  f.return(scratch);
  return f.finish();
}

/** (state, record): completes a write that was sent to SCRATCH; `otherwise`: by TypeScript. */
export function commitFunction(otherwise: number): FunctionBody {
  const f = new FunctionBuilder(["i32", "i32"]);
  const [state, record] = [f.param(0), f.param(1)];
  const bytes = f.let(f.load("i32", state, S.CROSSING));
  f.if(
    bytes,
    () => {
      const split = f.let(f.load("i32", state, S.CROSSING_SPLIT));
      const scratch = f.let(f.add(state, f.i32(S.SCRATCH)));
      f.memoryCopy(f.load("i32", state, S.CROSSING_FIRST), scratch, split);
      f.memoryCopy(f.load("i32", state, S.CROSSING_SECOND), f.add(scratch, split), f.sub(bytes, split));
      f.store("i32", state, f.i32(0), S.CROSSING);
    },
    () => f.callStatement(otherwise, [state, record]),
  );
  return f.finish();
}
