// x87 loads, stores, exchanges and stack control (SDM volume 1, 8.3.3, 8.3.4). In line: exact conversions and copies between
// registers that aren't empty; everything else (rounding, special values, stack faults) goes to host operations.

import { Condition, type Emitter, type Operand, type Semantics, type SemanticsTable } from "../emit/emitter.js";
import { STORE_WRITES } from "../host/x87-transfer.js";
import * as S from "../state-layout.js";
import type { Value } from "../wasm/function-builder.js";
import {
  areaLinear,
  clearC1,
  extendFloat,
  extendInteger,
  formats,
  pointers,
  popStack,
  stack,
  waits,
} from "./x87-common.js";

const INTEGER_BIT = 1n << 63n;

/** Pushes when the next register is free; else `overflow` runs. */
function pushInline(e: Emitter, significand: Value, exponent: Value, overflow: () => void): void {
  const slot = stack(e, -1);
  e.if(slot.occupied, overflow, () => {
    slot.write(significand, exponent);
    slot.top();
    clearC1(e);
  });
}

/** FLD m32, m64: zeros and normal numbers in line. */
function loadFloat(e: Emitter, src: Operand): void {
  const value = e.let(e.extendU(src.read()));
  pointers(e, src);
  const { usual, significand, exponent } = extendFloat(e, value, src.size as 32 | 64);
  const slow = () => e.host("fldMemory", value, e.i32(formats[src.size as 32 | 64].kind));
  e.if(usual, () => pushInline(e, significand, exponent, slow), slow);
}

function loadExtended(e: Emitter, src: Operand): void {
  const low = src.part(0, 64).read();
  const high = src.part(8, 16).read();
  pointers(e, src);
  pushInline(e, low, high, () => e.host("fldPattern", low, high));
}

function loadRegister(e: Emitter, src: Operand): void {
  pointers(e);
  const index = e.let(src.number());
  const from = stack(e, index);
  const slow = () => e.host("fldRegister", index);
  e.if(from.occupied, () => pushInline(e, from.significand, from.exponent, slow), slow);
}

const loadInteger: Semantics = (e, src) => {
  waits(e);
  const value = e.let(e.resizeSigned(src!.read(), src!.size, 64));
  pointers(e, src);
  const { significand, exponent } = extendInteger(e, value);
  pushInline(e, significand, exponent, () => e.host("fild", value));
};

const loadConstant =
  (index: number, significand?: bigint, exponent = 0): Semantics =>
  (e) => {
    waits(e);
    pointers(e);
    const slow = () => e.host("fldConstant", e.i32(index));
    if (significand === undefined) slow();
    else pushInline(e, e.i64(significand), e.i32(exponent), slow);
  };

/** The second half of a store: writes what a host operation computed, then status word and pop. */
function finishStore(e: Emitter, dst: Operand, pops: boolean): void {
  const value = e.hostResult(0);
  const status = e.hostResult(1, "i32");
  const writes = e.let(e.and(status, e.i32(STORE_WRITES)));
  e.if(
    writes,
    () => dst.write(e.resize(value, 64, dst.size)),
    // The operand must be writable even when nothing is going to be written.
    () => dst.write(dst.readForWrite()),
  );
  e.stateStore("i32", S.FSW, e.and(status, e.i32(0xffff)));
  if (pops) e.if(writes, () => popStack(e));
}

const HALF = -(1n << 63n);
const C1 = 0x200;
const PE = 0x20;
/** RC, and PM. */
const ROUNDING = 0xc00;

/** i32: what was cut off (i64, its highest bit worth one half) makes `kept` round up to the nearest. */
function roundsUp(e: Emitter, kept: Value, cut: Value): Value {
  const half = e.i64(HALF);
  return e.or(e.gtU(cut, half), e.and(e.eq(cut, half), e.wrap(e.and(kept, e.i64(1)))));
}
/** C1 and PE after rounding. */
function noteRounding(e: Emitter, up: Value, cut: Value): void {
  const flags = e.or(e.select(up, e.i32(C1), e.i32(0)), e.select(e.eqz(cut), e.i32(0), e.i32(PE)));
  e.stateStore("i32", S.FSW, e.or(e.and(e.stateLoad("i32", S.FSW), e.i32(~C1)), flags));
}

/** FST m32, m64: results that are normal numbers in line, rounded to nearest with PE masked. */
function storeFloat(e: Emitter, dst: Operand, pops: boolean): void {
  const { fraction, exponents, rebias, kind } = formats[dst.size as 32 | 64];
  const top = stack(e, 0);
  const significand = e.let(top.significand);
  const exponent = e.let(top.exponent);
  const biased = e.let(e.sub(e.and(exponent, e.i32(0x7fff)), e.i32(rebias)));
  const cut = e.let(e.shl(significand, e.i64(fraction + 1)));
  const kept = e.let(e.shrU(significand, e.i64(63 - fraction)));
  const usual = e.eq(e.and(e.stateLoad("i32", S.FCW), e.i32(ROUNDING | PE)), e.i32(PE));
  const inRange = e.and(e.ltU(e.sub(biased, e.i32(1)), e.i32(exponents - 2)), e.wrap(e.shrU(significand, e.i64(63))));
  const zero = e.let(e.eqz(e.or(significand, e.extendU(e.and(exponent, e.i32(0x7fff))))));
  e.if(
    e.and(top.occupied, e.or(zero, e.and(inRange, e.or(usual, e.eqz(cut))))),
    () => {
      const up = e.let(roundsUp(e, kept, cut));
      const sign = e.let(e.shl(e.extendU(e.and(e.shrU(exponent, e.i32(15)), e.i32(1))), e.i64(dst.size - 1)));
      const digits = e.add(e.and(kept, e.i64((1n << BigInt(fraction)) - 1n)), e.extendU(up));
      // A carry out of the digits makes the exponent larger by one.
      const magnitude = e.add(e.shl(e.extendU(biased), e.i64(fraction)), digits);
      const bits = e.let(e.or(sign, e.select(zero, e.i64(0), magnitude)));
      dst.write(e.resize(bits, 64, dst.size));
      noteRounding(e, up, cut);
      if (pops) popStack(e);
    },
    () => {
      e.host("fst", e.i32(kind));
      finishStore(e, dst, pops);
    },
  );
}

function storeRegister(e: Emitter, dst: Operand, pops: boolean): void {
  pointers(e);
  const top = stack(e, 0);
  const index = e.let(dst.number());
  e.if(
    top.occupied,
    () => {
      stack(e, index).write(top.significand, top.exponent);
      clearC1(e);
      if (pops) popStack(e);
    },
    () => e.host("stackUnderflow", index, e.i32(pops ? 1 : 0)),
  );
}

const store =
  (pops: boolean): Semantics =>
  (e, dst) => {
    waits(e);
    if (dst!.kind === "st") return storeRegister(e, dst!, pops);
    if (dst!.size === 80) e.host("fstp80", areaLinear(e, dst!, 10, true));
    else storeFloat(e, dst!, pops);
    pointers(e, dst);
  };

/** FIST, FISTP, FISTTP: numbers that fit in line, truncated or rounded to nearest with PE masked. */
const storeInteger =
  (pops: boolean, truncate: boolean): Semantics =>
  (e, dst) => {
    waits(e);
    const { size } = dst!;
    const top = stack(e, 0);
    const significand = e.let(top.significand);
    const exponent = e.let(top.exponent);
    const negative = e.let(e.and(e.shrU(exponent, e.i32(15)), e.i32(1)));
    const biased = e.let(e.and(exponent, e.i32(0x7fff)));
    // A zero's exponent is far below, as a small number's is, and it has no digits.
    const distance = e.let(e.extendS(e.sub(e.i32(16383 + 63), biased)));
    const isNone = e.eqz(e.or(significand, e.extendU(biased)));
    const normal = e.or(isNone, e.and(e.wrap(e.shrU(significand, e.i64(63))), e.ne(biased, e.i32(0))));
    const near = e.let(e.ltU(distance, e.i64(64)));
    const whole = e.let(e.select(near, e.shrU(significand, distance), e.i64(0)));
    const nearCut = e.select(e.eqz(distance), e.i64(0), e.shl(significand, e.sub(e.i64(64), distance)));
    const farCut = e.select(e.eq(distance, e.i64(64)), significand, e.extendU(e.ne(significand, e.i64(0))));
    const cut = e.let(e.select(near, nearCut, farCut));
    const control = e.let(e.stateLoad("i32", S.FCW));
    const mode = truncate ? e.i32(ROUNDING) : e.let(e.and(control, e.i32(ROUNDING)));
    const nearest = e.and(roundsUp(e, whole, cut), e.eqz(mode));
    const up = e.let(nearest);
    const magnitude = e.let(e.add(whole, e.extendU(up)));
    const known = e.or(e.or(e.eqz(mode), e.eq(mode, e.i32(ROUNDING))), e.eqz(cut));
    const quiet = e.or(e.and(control, e.i32(PE)), e.eqz(cut));
    const limit = e.add(e.i64((1n << BigInt(size - 1)) - 1n), e.extendU(negative));
    const fits = e.and(e.gtS(distance, e.i64(0)), e.leU(magnitude, limit));
    e.if(
      e.and(e.and(e.and(top.occupied, normal), e.and(known, e.ne(quiet, e.i32(0)))), fits),
      () => {
        const sign = e.let(e.neg(e.extendU(negative)));
        dst!.write(e.resize(e.let(e.sub(e.xor(magnitude, sign), sign)), 64, size));
        noteRounding(e, up, cut);
        if (pops) popStack(e);
      },
      () => {
        e.host("fist", e.i32(size), e.i32(truncate ? 1 : 0));
        finishStore(e, dst!, pops);
      },
    );
    pointers(e, dst);
  };

const exchange: Semantics = (e, src) => {
  waits(e);
  pointers(e);
  const index = e.let(src!.number());
  const a = stack(e, 0);
  const b = stack(e, index);
  e.if(
    e.and(a.occupied, b.occupied),
    () => {
      const [significand, exponent] = [a.significand, a.exponent];
      a.write(b.significand, b.exponent);
      b.write(significand, exponent);
      clearC1(e);
    },
    () => e.host("fxch", index),
  );
};

const conditionalMove =
  (condition: number): Semantics =>
  (e, _top, src) => {
    waits(e);
    pointers(e);
    const to = stack(e, 0);
    const from = stack(e, src!.number());
    e.if(
      e.and(to.occupied, from.occupied),
      () => {
        e.if(e.condition(condition), () => to.write(from.significand, from.exponent));
      },
      () => e.host("stackUnderflow", e.i32(0), e.i32(0)),
    );
  };

/** FINCSTP, FDECSTP: TOP moves, tags stay. */
const rotate =
  (by: number): Semantics =>
  (e) => {
    waits(e);
    pointers(e);
    stack(e, by).top();
    clearC1(e);
  };

export const x87TransferSemantics: SemanticsTable = {
  FLD: (e, src) => {
    waits(e);
    if (src!.kind === "st") loadRegister(e, src!);
    else if (src!.size === 80) loadExtended(e, src!);
    else loadFloat(e, src!);
  },
  FILD: loadInteger,
  FBLD: (e, src) => {
    waits(e);
    const low = src!.part(0, 64).read();
    const high = src!.part(8, 16).read();
    pointers(e, src);
    e.host("fbld", low, high);
  },
  FLD1: loadConstant(0, INTEGER_BIT, 16383),
  FLDL2T: loadConstant(1),
  FLDL2E: loadConstant(2),
  FLDPI: loadConstant(3),
  FLDLG2: loadConstant(4),
  FLDLN2: loadConstant(5),
  FLDZ: loadConstant(6, 0n),
  FST: store(false),
  FSTP: store(true),
  FIST: storeInteger(false, false),
  FISTP: storeInteger(true, false),
  FISTTP: storeInteger(true, true),
  FBSTP: (e, dst) => {
    waits(e);
    e.host("fbstp", areaLinear(e, dst!, 10, true));
    pointers(e, dst);
  },
  FXCH: exchange,
  FCMOVB: conditionalMove(Condition.B),
  FCMOVNB: conditionalMove(Condition.NB),
  FCMOVE: conditionalMove(Condition.Z),
  FCMOVNE: conditionalMove(Condition.NZ),
  FCMOVBE: conditionalMove(Condition.BE),
  FCMOVNBE: conditionalMove(Condition.NBE),
  FCMOVU: conditionalMove(Condition.P),
  FCMOVNU: conditionalMove(Condition.NP),
  FINCSTP: rotate(1),
  FDECSTP: rotate(-1),
  FFREE: (e, dst) => {
    waits(e);
    pointers(e);
    stack(e, dst!.number()).free();
  },
  FFREEP: (e, dst) => {
    waits(e);
    pointers(e);
    stack(e, dst!.number()).free();
    popStack(e);
  },
  FNOP: waits,
  // Undocumented alias of FSTP ST(i); an empty ST(0) is popped without a fault, and nothing is copied.
  FSTPNCE: (e, dst) => {
    waits(e);
    pointers(e);
    const top = stack(e, 0);
    const to = stack(e, dst!.number());
    e.if(top.occupied, () => to.write(top.significand, top.exponent));
    clearC1(e);
    popStack(e);
  },
};
