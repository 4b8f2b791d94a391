// x87 loads, stores, exchanges and stack control (SDM volume 1, 8.3.3, 8.3.4). In line: exact conversions and copies between
// registers that aren't empty; everything else (rounding, special values, stack faults) goes to host operations.

import { Condition, type Emitter, type Operand, type Semantics, type SemanticsTable } from "../emit/emitter.js";
import { STORE_WRITES } from "../host/x87-transfer.js";
import * as S from "../state-layout.js";
import type { Value } from "../wasm/function-builder.js";
import { areaLinear, clearC1, DOUBLE, pointers, popStack, SINGLE, stack, waits } from "./x87-common.js";

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

/** Exponent fields of the formats: width, bias difference to the extended format. */
const formats = {
  32: { fraction: 23, exponents: 255, rebias: 16383 - 127, kind: SINGLE },
  64: { fraction: 52, exponents: 2047, rebias: 16383 - 1023, kind: DOUBLE },
} as const;

/** FLD m32, m64: zeros and normal numbers in line. */
function loadFloat(e: Emitter, src: Operand): void {
  const { fraction, exponents, rebias, kind } = formats[src.size as 32 | 64];
  const value = e.let(e.extendU(src.read()));
  pointers(e, src);
  const sign = e.let(e.shl(e.wrap(e.shrU(value, e.i64(src.size - 1))), e.i32(15)));
  const biased = e.let(e.and(e.wrap(e.shrU(value, e.i64(fraction))), e.i32(exponents)));
  const shifted = e.let(e.shl(value, e.i64(63 - fraction)));
  const normal = e.let(e.ltU(e.sub(biased, e.i32(1)), e.i32(exponents - 1)));
  const zero = e.let(e.eqz(e.shl(value, e.i64(65 - src.size))));
  const slow = () => e.host("fldMemory", value, e.i32(kind));
  e.if(
    e.or(normal, zero),
    () => {
      const significand = e.select(zero, e.i64(0), e.or(shifted, e.i64(INTEGER_BIT)));
      const exponent = e.select(zero, sign, e.or(sign, e.add(biased, e.i32(rebias))));
      pushInline(e, e.let(significand), e.let(exponent), slow);
    },
    slow,
  );
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
  const negative = e.let(e.shrU(value, e.i64(63)));
  const magnitude = e.let(e.sub(e.xor(value, e.neg(negative)), e.neg(negative)));
  const shift = e.let(e.clz(magnitude));
  const exponent = e.or(e.shl(e.wrap(negative), e.i32(15)), e.sub(e.i32(16383 + 63), e.wrap(shift)));
  const isZero = e.let(e.eqz(value));
  const significand = e.let(e.shl(magnitude, shift));
  const signExponent = e.let(e.select(isZero, e.i32(0), exponent));
  pushInline(e, significand, signExponent, () => e.host("fild", value));
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

/** FST m32, m64: numbers that the format holds exactly in line. */
function storeFloat(e: Emitter, dst: Operand, pops: boolean): void {
  const { fraction, exponents, rebias, kind } = formats[dst.size as 32 | 64];
  const top = stack(e, 0);
  const significand = e.let(top.significand);
  const exponent = e.let(top.exponent);
  const biased = e.let(e.sub(e.and(exponent, e.i32(0x7fff)), e.i32(rebias)));
  const dropped = e.i64((1n << BigInt(63 - fraction)) - 1n);
  const normal = e.and(
    e.ltU(e.sub(biased, e.i32(1)), e.i32(exponents - 1)),
    e.and(e.wrap(e.shrU(significand, e.i64(63))), e.eqz(e.and(significand, dropped))),
  );
  e.if(
    e.and(top.occupied, normal),
    () => {
      const sign = e.shl(e.extendU(e.shrU(exponent, e.i32(15))), e.i64(dst.size - 1));
      const digits = e.and(e.shrU(significand, e.i64(63 - fraction)), e.i64((1n << BigInt(fraction)) - 1n));
      const bits = e.let(e.or(e.or(sign, e.shl(e.extendU(biased), e.i64(fraction))), digits));
      dst.write(e.resize(bits, 64, dst.size));
      clearC1(e);
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

const storeInteger =
  (pops: boolean, truncate: boolean): Semantics =>
  (e, dst) => {
    waits(e);
    e.host("fist", e.i32(dst!.size), e.i32(truncate ? 1 : 0));
    finishStore(e, dst!, pops);
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
