// x87 arithmetic, comparisons and transcendental functions: operands to host operations (SDM volume 1, 8.3.5 to 8.3.8).
// Register forms name both operands; memory forms have the source alone and work on ST(0).

import type { Emitter, Operand, Semantics, SemanticsTable } from "../emit/emitter.js";
import type { Value } from "../wasm/function-builder.js";
import { clearC1, DOUBLE, INTEGER, pointers, SINGLE, stack, waits } from "./x87-common.js";

/** A memory operand's value as i64: float patterns as they are, integers extended. */
function memoryValue(e: Emitter, src: Operand, integer: boolean): Value {
  const value = src.read();
  return integer ? e.let(e.resizeSigned(value, src.size, 64)) : value;
}
function kindOf(src: Operand, integer: boolean): number {
  return integer ? INTEGER : src.size === 32 ? SINGLE : DOUBLE;
}

const arithmetic =
  (operation: string, pops: number, integer = false): Semantics =>
  (e, first, second) => {
    waits(e);
    if (second === undefined) {
      const src = first!;
      const value = memoryValue(e, src, integer);
      pointers(e, src);
      e.host(`${operation}Memory`, value, e.i32(kindOf(src, integer)));
      return;
    }
    pointers(e);
    e.host(operation, first!.number(), second.number(), e.i32(pops));
  };

/** Operations whose operands are fixed: destination and source registers. */
const fixed =
  (operation: string, destination: number, source: number, pops = 0): Semantics =>
  (e) => {
    waits(e);
    pointers(e);
    e.host(operation, e.i32(destination), e.i32(source), e.i32(pops));
  };
const onTop =
  (operation: string): Semantics =>
  (e) => {
    waits(e);
    pointers(e);
    e.host(operation);
  };

/** FCOM, FUCOM, FICOM. No operand: ST(1). */
const compare =
  (pops: number, quiet: boolean, integer = false): Semantics =>
  (e, src) => {
    waits(e);
    if (src?.kind === "memory") {
      const value = memoryValue(e, src, integer);
      pointers(e, src);
      e.host("fcomMemory", value, e.i32(kindOf(src, integer)), e.i32(pops));
      return;
    }
    pointers(e);
    e.host("fcom", src ? src.number() : e.i32(1), e.i32(quiet ? 1 : 0), e.i32(pops));
  };
const compareFlags =
  (pops: number, quiet: boolean): Semantics =>
  (e, _top, src) => {
    waits(e);
    pointers(e);
    e.host("fcomi", src!.number(), e.i32(quiet ? 1 : 0), e.i32(pops));
  };

/** FCHS, FABS: the sign of any pattern. */
const onSign =
  (change: (e: Emitter, exponent: Value) => Value): Semantics =>
  (e) => {
    waits(e);
    pointers(e);
    const top = stack(e, 0);
    e.if(
      top.occupied,
      () => {
        top.write(top.significand, e.let(change(e, top.exponent)));
        clearC1(e);
      },
      () => e.host("stackUnderflow", e.i32(0), e.i32(0)),
    );
  };

const basic = ["FADD", "FMUL", "FSUB", "FSUBR", "FDIV", "FDIVR"];

export const x87ArithmeticSemantics: SemanticsTable = {
  ...Object.fromEntries(
    basic.flatMap((name): [string, Semantics][] => [
      [name, arithmetic(name.toLowerCase(), 0)],
      [`${name}P`, arithmetic(name.toLowerCase(), 1)],
      [`FI${name.slice(1)}`, arithmetic(name.toLowerCase(), 0, true)],
    ]),
  ),
  FCOM: compare(0, false),
  FCOMP: compare(1, false),
  FCOMPP: compare(2, false),
  FUCOM: compare(0, true),
  FUCOMP: compare(1, true),
  FUCOMPP: compare(2, true),
  FICOM: compare(0, false, true),
  FICOMP: compare(1, false, true),
  FCOMI: compareFlags(0, false),
  FCOMIP: compareFlags(1, false),
  FUCOMI: compareFlags(0, true),
  FUCOMIP: compareFlags(1, true),
  FTST: onTop("ftst"),
  FXAM: onTop("fxam"),
  FCHS: onSign((e, exponent) => e.xor(exponent, e.i32(0x8000))),
  FABS: onSign((e, exponent) => e.and(exponent, e.i32(0x7fff))),
  FPREM: fixed("fprem", 0, 1),
  FPREM1: fixed("fprem1", 0, 1),
  FSCALE: fixed("fscale", 0, 1),
  FYL2X: fixed("fyl2x", 1, 0, 1),
  FYL2XP1: fixed("fyl2xp1", 1, 0, 1),
  FPATAN: fixed("fpatan", 1, 0, 1),
  FSQRT: onTop("fsqrt"),
  FRNDINT: onTop("frndint"),
  F2XM1: onTop("f2xm1"),
  FSIN: onTop("fsin"),
  FCOS: onTop("fcos"),
  FSINCOS: onTop("fsincos"),
  FPTAN: onTop("fptan"),
  FXTRACT: onTop("fxtract"),
};
