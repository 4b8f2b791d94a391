// String instructions. One execution does one element (or, for repeated moves and stores, as many as lie in one page) and
// then repeats the instruction, so that interrupts and faults find rSI, rDI and rCX consistent. SDM volume 2, REP.

import type { Emitter, SemanticsTable } from "../emit/emitter.js";
import * as S from "../state-layout.js";
import { Reg, Seg } from "../state-layout.js";
import type { Value } from "../wasm/function-builder.js";

/** A pointer or count register within the address size, as i64. */
function pointer(e: Emitter, register: number): Value {
  return e.addressSize === 64
    ? e.gpr(register, 64)
    : e.let(e.resize(e.gpr(register, e.addressSize), e.addressSize, 64));
}

function setPointer(e: Emitter, register: number, value: Value): void {
  e.setGpr(register, e.addressSize, e.addressSize === 64 ? value : e.wrap(value));
}

/** Bytes from one element to the next: negative with DF. */
function stepOf(e: Emitter): Value {
  const bytes = e.size / 8;
  const df = e.and(e.stateLoad("i32", S.EFLAGS), e.i32(S.DF));
  return e.let(e.select(df, e.i64(-bytes), e.i64(bytes)));
}

function advance(e: Emitter, register: number, from: Value, step: Value): void {
  setPointer(e, register, e.add(from, step));
}

/** Runs `body` under REP: nothing for a count of zero, then counts down; `until` ends the repetition early. */
function repeat(e: Emitter, body: () => Value | undefined): void {
  if (e.rep === 0) {
    body();
    return;
  }
  const count = pointer(e, Reg.RCX);
  e.if(e.eqz(count), () => e.next());
  const done = body();
  const left = e.let(e.sub(count, e.i64(1)));
  setPointer(e, Reg.RCX, left);
  if (done) e.if(done, () => e.next());
  e.if(e.eqz(left), () => e.next());
  e.again();
}

const source = (e: Emitter, at: Value, write = false) => e.segmentLinear("operand", at, e.size, write);
const destination = (e: Emitter, at: Value, write: boolean) => e.segmentLinear(Seg.ES, at, e.size, write);

/** What ends REPE or REPNE: ZF after the comparison. */
function compareEnds(e: Emitter): Value | undefined {
  if (e.rep === 0) return undefined;
  return e.let(e.rep === 3 ? e.xor(e.zf(), e.i32(1)) : e.zf());
}

export const stringSemantics: SemanticsTable = {
  MOVS: (e) =>
    repeat(e, () => {
      const [from, to] = [pointer(e, Reg.RSI), pointer(e, Reg.RDI)];
      const value = e.readLinear(source(e, from), e.size);
      e.writeLinear(destination(e, to, true), e.size, value);
      const step = stepOf(e);
      advance(e, Reg.RSI, from, step);
      advance(e, Reg.RDI, to, step);
      return undefined;
    }),
  STOS: (e) =>
    repeat(e, () => {
      const to = pointer(e, Reg.RDI);
      e.writeLinear(destination(e, to, true), e.size, e.gpr(Reg.RAX, e.size));
      advance(e, Reg.RDI, to, stepOf(e));
      return undefined;
    }),
  LODS: (e) =>
    repeat(e, () => {
      const from = pointer(e, Reg.RSI);
      e.setGpr(Reg.RAX, e.size, e.readLinear(source(e, from), e.size));
      advance(e, Reg.RSI, from, stepOf(e));
      return undefined;
    }),
  CMPS: (e) =>
    repeat(e, () => {
      const [from, to] = [pointer(e, Reg.RSI), pointer(e, Reg.RDI)];
      const a = e.readLinear(source(e, from), e.size);
      const b = e.readLinear(destination(e, to, false), e.size);
      e.flagsSub(e.size, a, b, e.let(e.sub(a, b)));
      const step = stepOf(e);
      advance(e, Reg.RSI, from, step);
      advance(e, Reg.RDI, to, step);
      return compareEnds(e);
    }),
  SCAS: (e) =>
    repeat(e, () => {
      const to = pointer(e, Reg.RDI);
      const a = e.gpr(Reg.RAX, e.size);
      const b = e.readLinear(destination(e, to, false), e.size);
      e.flagsSub(e.size, a, b, e.let(e.sub(a, b)));
      advance(e, Reg.RDI, to, stepOf(e));
      return compareEnds(e);
    }),
};
