// x87 arithmetic, comparisons and transcendental functions (SDM volume 1, 8.3.5 to 8.3.8): ordinary numbers in the core module
// (x87-arithmetic-core.ts), everything else by host operations. Register forms name both operands; memory forms have the source alone and work on ST(0).

import type { Emitter, Operand, Semantics, SemanticsTable } from "../emit/emitter.js";
import * as S from "../state-layout.js";
import type { Value } from "../wasm/function-builder.js";
import { X87Operation } from "./x87-arithmetic-core.js";
import {
  clearC1,
  DOUBLE,
  type Extended,
  extendFloat,
  extendInteger,
  INTEGER,
  pointers,
  popStack,
  SINGLE,
  type Slot,
  stack,
  waits,
} from "./x87-common.js";

/** A memory operand's value as i64: float patterns as they are, integers extended. */
function memoryValue(e: Emitter, src: Operand, integer: boolean): Value {
  const value = src.read();
  return integer ? e.let(e.resizeSigned(value, src.size, 64)) : value;
}
function kindOf(src: Operand, integer: boolean): number {
  return integer ? INTEGER : src.size === 32 ? SINGLE : DOUBLE;
}

/** A memory operand as a register would hold it; `usual` when that is so (i32). */
function extend(e: Emitter, value: Value, src: Operand, integer: boolean): Extended & { usual: Value } {
  if (integer) return { ...extendInteger(e, value), usual: e.i32(1) };
  return extendFloat(e, e.let(e.extendU(value)), src.size as 32 | 64);
}

interface Basic {
  readonly host: string;
  readonly operation: number;
  /** The second operand's sign changes; the operands are exchanged. */
  readonly negates?: boolean;
  readonly reversed?: boolean;
}

/** Asks the core module's routine: i32, 1 when it has left a result in ARGS. */
function compute(e: Emitter, { operation, negates, reversed }: Basic, a: Extended, b: Extended): Value {
  const [x, y] = reversed ? [b, a] : [a, b];
  return e.x87(operation, x, negates ? { ...y, exponent: e.xor(y.exponent, e.i32(0x8000)) } : y);
}

const arithmetic =
  (basic: Basic, pops: number, integer = false): Semantics =>
  (e, first, second) => {
    waits(e);
    const takeResult = (to: Slot) => to.write(e.stateLoad("i64", S.ARGS), e.stateLoad("i32", S.ARGS + 8));
    if (second === undefined) {
      const src = first!;
      const value = memoryValue(e, src, integer);
      pointers(e, src);
      const slow = () => e.host(`${basic.host}Memory`, value, e.i32(kindOf(src, integer)));
      const top = stack(e, 0);
      const operand = extend(e, value, src, integer);
      e.if(
        e.and(top.occupied, operand.usual),
        () => e.if(compute(e, basic, top, operand), () => takeResult(top), slow),
        slow,
      );
      return;
    }
    pointers(e);
    const [to, from] = [e.let(first!.number()), e.let(second.number())];
    const [a, b] = [stack(e, to), stack(e, from)];
    const slow = () => e.host(basic.host, to, from, e.i32(pops));
    const fast = () => {
      takeResult(a);
      if (pops) popStack(e);
    };
    e.if(e.and(a.occupied, b.occupied), () => e.if(compute(e, basic, a, b), fast, slow), slow);
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

const CODES = 0x4700;

/** Compares numbers in line and gives what their relation is stored with, C3, C2 and C0; else `slow`. */
function relate(e: Emitter, a: Extended, b: Extended, store: (codes: Value) => void, slow: () => void): void {
  e.if(e.x87(X87Operation.Compare, a, b), () => store(e.let(e.stateLoad("i32", S.ARGS))), slow);
}

/** FCOM, FUCOM, FICOM. No operand: ST(1). */
const compare =
  (pops: number, quiet: boolean, integer = false): Semantics =>
  (e, src) => {
    waits(e);
    const store = (codes: Value) => {
      e.stateStore("i32", S.FSW, e.or(e.and(e.stateLoad("i32", S.FSW), e.i32(~CODES)), codes));
      for (let i = 0; i < pops; i++) popStack(e);
    };
    const top = stack(e, 0);
    if (src?.kind === "memory") {
      const value = memoryValue(e, src, integer);
      pointers(e, src);
      const slow = () => e.host("fcomMemory", value, e.i32(kindOf(src, integer)), e.i32(pops));
      const operand = extend(e, value, src, integer);
      e.if(e.and(top.occupied, operand.usual), () => relate(e, top, operand, store, slow), slow);
      return;
    }
    pointers(e);
    const index = e.let(src ? src.number() : e.i32(1));
    const other = stack(e, index);
    const slow = () => e.host("fcom", index, e.i32(quiet ? 1 : 0), e.i32(pops));
    e.if(e.and(top.occupied, other.occupied), () => relate(e, top, other, store, slow), slow);
  };
/** FCOMI: C3, C2 and C0 go to ZF, PF and CF. */
const compareFlags =
  (pops: number, quiet: boolean): Semantics =>
  (e, _top, src) => {
    waits(e);
    pointers(e);
    const index = e.let(src!.number());
    const [top, other] = [stack(e, 0), stack(e, index)];
    const slow = () => e.host("fcomi", index, e.i32(quiet ? 1 : 0), e.i32(pops));
    const store = (codes: Value) => {
      e.setStatusFlags(e.and(e.shrU(codes, e.i32(8)), e.i32(0x45)));
      for (let i = 0; i < pops; i++) popStack(e);
    };
    e.if(e.and(top.occupied, other.occupied), () => relate(e, top, other, store, slow), slow);
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

const basic: Readonly<Record<string, Basic>> = {
  FADD: { host: "fadd", operation: X87Operation.Add },
  FMUL: { host: "fmul", operation: X87Operation.Multiply },
  FSUB: { host: "fsub", operation: X87Operation.Add, negates: true },
  FSUBR: { host: "fsubr", operation: X87Operation.Add, negates: true, reversed: true },
  FDIV: { host: "fdiv", operation: X87Operation.Divide },
  FDIVR: { host: "fdivr", operation: X87Operation.Divide, reversed: true },
};

export const x87ArithmeticSemantics: SemanticsTable = {
  ...Object.fromEntries(
    Object.entries(basic).flatMap(([name, operation]): [string, Semantics][] => [
      [name, arithmetic(operation, 0)],
      [`${name}P`, arithmetic(operation, 1)],
      [`FI${name.slice(1)}`, arithmetic(operation, 0, true)],
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
