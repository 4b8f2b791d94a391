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
function repeat(
  e: Emitter,
  body: () => Value | undefined,
  many?: (count: Value, finish: (done: Value) => void) => void,
): void {
  if (e.rep === 0) {
    body();
    return;
  }
  const count = pointer(e, Reg.RCX);
  e.if(e.eqz(count), () => e.next());
  const finish = (elements: Value) => {
    const left = e.let(e.sub(count, elements));
    setPointer(e, Reg.RCX, left);
    e.if(e.eqz(left), () => e.next());
    e.again();
  };
  // Segment limits would have to be checked for the whole stretch: 64-bit code has none.
  if (many && e.mode === 64 && e.addressSize === 64) {
    // While stepping, each iteration is a step.
    const single = e.or(e.and(e.stateLoad("i32", S.EFLAGS), e.i32(S.DF)), e.stateLoad("i32", S.STEP_MODE));
    e.if(e.eqz(single), () => many(count, finish));
  }
  const done = body();
  const left = e.let(e.sub(count, e.i64(1)));
  setPointer(e, Reg.RCX, left);
  if (done) e.if(done, () => e.next());
  e.if(e.eqz(left), () => e.next());
  e.again();
}

/** How many of `count` elements from `linear` on lie in its page (0 when the first one crosses). */
function inPage(e: Emitter, linear: Value, count: Value): Value {
  const room = e.shrU(e.sub(e.i64(4096), e.and(linear, e.i64(4095))), e.i64(Math.log2(e.size / 8)));
  const r = e.let(room);
  return e.let(e.select(e.ltU(count, r), count, r));
}

const bytesOf = (e: Emitter, elements: Value) => e.let(e.shl(elements, e.i64(Math.log2(e.size / 8))));

/**
 * Whether these are a page's bytes and all of them 0 already: then nothing needs to be written. What nobody wrote to yet has no memory of
 * the host's, and reading doesn't give it any; kernels clear far more than they use.
 */
function isClear(e: Emitter, address: Value, bytes: Value): Value {
  const result = e.mutable(e.i32(0));
  e.if(e.eq(bytes, e.i32(4096)), () => {
    const at = e.mutable(address);
    const end = e.let(e.add(address, bytes));
    const found = e.mutable(e.i64(0));
    e.loop((again) => {
      for (let i = 0; i < 64; i += 8) e.set(found, e.or(e.get(found), e.load("i64", e.get(at), i)));
      e.set(at, e.add(e.get(at), e.i32(64)));
      e.brIf(again, e.and(e.eqz(e.get(found)), e.ltU(e.get(at), end)));
    });
    e.set(result, e.eqz(e.get(found)));
  });
  return e.get(result);
}

/** REP STOS of all elements in the destination's page. */
function storeMany(e: Emitter, count: Value, finish: (done: Value) => void): void {
  const to = pointer(e, Reg.RDI);
  const elements = inPage(e, to, count);
  const bytes = bytesOf(e, elements);
  const place = e.translate(to, e.size, true, Seg.ES, e.wrap(bytes));
  e.if(e.eqz(place.slow), () => {
    const value = e.gpr(Reg.RAX, e.size);
    const end = e.let(e.add(place.address, e.wrap(bytes)));
    const fill = (byte: Value) => e.memoryFill(place.address, byte, e.wrap(bytes));
    const clear = () => e.if(e.eqz(isClear(e, place.address, e.wrap(bytes))), () => fill(e.i32(0)));
    if (e.size === 8) {
      const byte = e.let(e.and(value, e.i32(0xff)));
      e.if(e.eqz(byte), clear, () => fill(byte));
    } else
      e.if(e.eqz(value), clear, () => {
        const at = e.mutable(place.address);
        e.loop((again) => {
          e.store(e.size === 64 ? "i64" : e.size === 32 ? "i32" : "i32_16", e.get(at), value);
          e.set(at, e.add(e.get(at), e.i32(e.size / 8)));
          e.brIf(again, e.ltU(e.get(at), end));
        });
      });
    setPointer(e, Reg.RDI, e.add(to, bytes));
    finish(elements);
  });
}

/** REP MOVS of all elements in one page of both sides, unless the destination overlaps what is still to be read. */
function moveMany(e: Emitter, count: Value, finish: (done: Value) => void): void {
  const from = source(e, pointer(e, Reg.RSI));
  const to = pointer(e, Reg.RDI);
  const elements = inPage(e, to, inPage(e, from, count));
  const bytes = bytesOf(e, elements);
  const read = e.translate(from, e.size, false, undefined, e.wrap(bytes));
  const write = e.translate(to, e.size, true, Seg.ES, e.wrap(bytes));
  e.if(e.eqz(e.or(read.slow, write.slow)), () => {
    e.if(e.geU(e.sub(write.address, read.address), e.wrap(bytes)), () => {
      e.memoryCopy(write.address, read.address, e.wrap(bytes));
      setPointer(e, Reg.RSI, e.add(pointer(e, Reg.RSI), bytes));
      setPointer(e, Reg.RDI, e.add(to, bytes));
      finish(elements);
    });
  });
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
    repeat(
      e,
      () => {
        const [from, to] = [pointer(e, Reg.RSI), pointer(e, Reg.RDI)];
        const value = e.readLinear(source(e, from), e.size);
        e.writeLinear(destination(e, to, true), e.size, value);
        const step = stepOf(e);
        advance(e, Reg.RSI, from, step);
        advance(e, Reg.RDI, to, step);
        return undefined;
      },
      (count, finish) => moveMany(e, count, finish),
    ),
  STOS: (e) =>
    repeat(
      e,
      () => {
        const to = pointer(e, Reg.RDI);
        e.writeLinear(destination(e, to, true), e.size, e.gpr(Reg.RAX, e.size));
        advance(e, Reg.RDI, to, stepOf(e));
        return undefined;
      },
      (count, finish) => storeMany(e, count, finish),
    ),
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
