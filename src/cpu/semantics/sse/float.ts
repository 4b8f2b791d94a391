// SSE arithmetic: one definition of each operation for its packed and scalar forms of both formats (SDM volume 1, sections
// 11.2-11.5). Scalar forms compute on vectors whose lanes are all equal.

import type { Emitter, Operand, Semantics, SemanticsTable } from "../../emit/emitter.js";
import * as S from "../../state-layout.js";
import type { Value } from "../../wasm/function-builder.js";
import { half, I32x4, splat, splatConstant, V128, v1, v2 } from "../../wasm/simd.js";
import {
  all,
  and,
  areShort,
  callHost,
  exactly,
  type Fast,
  FLOAT,
  type FloatBits,
  type FloatLanes,
  isAboveLeast,
  isFiniteLane,
  isPlain,
  isZero,
  or,
  ordinaryMxcsr,
  orHost,
  precisionSettled,
} from "./float-check.js";
import { readAligned, readLow } from "./registers.js";

export interface Shape {
  readonly lanes: FloatLanes;
  readonly packed: boolean;
}

/** Suffix of host operations. */
export function shapeName({ lanes, packed }: Shape): string {
  return `${lanes.bits}x${packed ? 128 / lanes.bits : 1}`;
}

/** The source of an operation of this shape, as a vector. */
export function readFloat(e: Emitter, { lanes, packed }: Shape, operand: Operand): Value {
  if (packed) return readAligned(e, operand);
  return e.let(splat(e, lanes.bits, readLow(operand, lanes.bits)));
}

/** Lane 0 as an integer value. */
export function lowLane(e: Emitter, bits: FloatBits, v: Value): Value {
  return bits === 64 ? half(e, v, 0) : e.op("i32", I32x4.extract, [v], 0);
}

/** Writes a result: all of the destination, or its lowest lane. */
export function writeFloat(e: Emitter, { lanes, packed }: Shape, dst: Operand, v: Value): void {
  if (packed) dst.write(v);
  else dst.part(0, lanes.bits).write(lowLane(e, lanes.bits, v));
}

type FastOperation = (e: Emitter, shape: Shape, a: Value, b: Value) => Fast;

/** A rounded result whose lanes in `plain` raise nothing but PE, those in `exact` not even that. */
function rounded(e: Emitter, lanes: FloatLanes, value: Value, plain: Value, exact: () => Value): Fast {
  const allPlain = e.let(all(e, lanes, plain));
  return {
    value,
    ordinary: e.and(ordinaryMxcsr(e), allPlain),
    otherwise: exactly(e, lanes, allPlain, exact),
  };
}

/** Sums of plain numbers have no tiny inexact results. Knuth's two-sum gives their rounding error. */
const sum: FastOperation = (e, { lanes }, a, b) => {
  const { f } = lanes;
  const value = e.let(v2(e, f.add, a, b));
  const mask = and(e, isFiniteLane(e, lanes, value), isPlain(e, lanes, a), isPlain(e, lanes, b));
  return rounded(e, lanes, value, mask, () => {
    const part = e.let(v2(e, f.sub, value, a));
    const errorA = v2(e, f.sub, a, v2(e, f.sub, value, part));
    return isZero(e, lanes, v2(e, f.add, errorA, v2(e, f.sub, b, part)));
  });
};

const difference: FastOperation = (e, shape, a, b) =>
  sum(e, shape, a, e.let(v2(e, V128.xor, b, splatConstant(e, shape.lanes.bits, shape.lanes.sign))));

const product: FastOperation = (e, { lanes }, a, b) => {
  const value = e.let(v2(e, lanes.f.mul, a, b));
  const exactZero = or(e, isZero(e, lanes, a), isZero(e, lanes, b));
  const large = or(e, isAboveLeast(e, lanes, value), exactZero);
  const mask = and(e, isFiniteLane(e, lanes, value), large, isPlain(e, lanes, a), isPlain(e, lanes, b));
  return rounded(e, lanes, value, mask, () => areShort(e, lanes, a, b));
};

const quotient: FastOperation = (e, { lanes }, a, b) => {
  const value = e.let(v2(e, lanes.f.div, a, b));
  const large = or(e, isAboveLeast(e, lanes, value), isZero(e, lanes, a));
  const mask = and(e, isFiniteLane(e, lanes, value), large, isPlain(e, lanes, a), isPlain(e, lanes, b));
  return rounded(e, lanes, value, mask, () =>
    and(e, areShort(e, lanes, value, b), v2(e, lanes.f.eq, v2(e, lanes.f.mul, value, b), a)),
  );
};

/** The processor gives the second operand unless the first is less (greater); Wasm's pmin and pmax do with a and b swapped. */
const extreme =
  (opcode: "pmin" | "pmax"): FastOperation =>
  (e, { lanes }, a, b) => {
    const value = e.let(v2(e, lanes.f[opcode], b, a));
    return { value, ordinary: all(e, lanes, and(e, isPlain(e, lanes, a), isPlain(e, lanes, b))) };
  };

/** Even lanes subtract, odd lanes add. */
const addSub: FastOperation = (e, shape, a, b) => {
  const { lanes } = shape;
  const signs = lanes.bits === 64 ? e.v128(lanes.sign, 0n) : e.v128(lanes.sign, lanes.sign);
  const plus = e.let(v2(e, V128.xor, b, signs));
  return sum(e, shape, a, plus);
};

const binary =
  (shape: Shape, host: string, operation: FastOperation): Semantics =>
  (e, dst, src) => {
    const b = readFloat(e, shape, src);
    const a = shape.packed ? dst.read() : readFloat(e, shape, dst);
    const fast = operation(e, shape, a, b);
    writeFloat(e, shape, dst, orHost(e, fast, `float.${host}.${shapeName(shape)}`, a, b));
  };

const squareRoot =
  (shape: Shape): Semantics =>
  (e, dst, src) => {
    const { lanes } = shape;
    const a = readFloat(e, shape, src);
    const value = e.let(v1(e, lanes.f.sqrt, a));
    const notNegative = or(e, v2(e, lanes.f.gt, a, e.v128(0n, 0n)), isZero(e, lanes, a));
    const mask = and(e, notNegative, isFiniteLane(e, lanes, a), isPlain(e, lanes, a));
    const fast = rounded(e, lanes, value, mask, () =>
      and(e, areShort(e, lanes, value, value), v2(e, lanes.f.eq, v2(e, lanes.f.mul, value, value), a)),
    );
    writeFloat(e, shape, dst, orHost(e, fast, `float.sqrt.${shapeName(shape)}`, a));
  };

/** CMPccPS and relatives. Of plain numbers every predicate is a union of less and equal, or its complement. */
const compare =
  (shape: Shape): Semantics =>
  (e, dst, src, imm) => {
    const { lanes } = shape;
    const b = readFloat(e, shape, src);
    const a = shape.packed ? dst.read() : readFloat(e, shape, dst);
    const n = imm!.read();
    const spread = (bit: Value) => splat(e, 32, e.neg(e.and(bit, e.i32(1))));
    const equal = and(e, v2(e, lanes.f.eq, a, b), spread(e.xor(n, e.i32(1))));
    const less = and(e, v2(e, lanes.f.lt, a, b), spread(e.xor(n, e.shrU(n, e.i32(1)))));
    const value = e.let(v2(e, V128.xor, or(e, equal, less), spread(e.shrU(n, e.i32(2)))));
    const ordinary = all(e, lanes, and(e, isPlain(e, lanes, a), isPlain(e, lanes, b)));
    writeFloat(e, shape, dst, orHost(e, { value, ordinary }, `float.compare.${shapeName(shape)}`, a, b, n));
  };

/** COMISS and relatives: ZF, PF, CF tell the relation; OF, AF, SF are cleared. */
const compareFlags =
  (bits: FloatBits, host: string): Semantics =>
  (e, dst, src) => {
    const lanes = FLOAT[bits];
    const shape = { lanes, packed: false };
    const b = readFloat(e, shape, src);
    const a = readFloat(e, shape, dst);
    const bit = (opcode: number) => e.and(e.op("i32", I32x4.extract, [v2(e, opcode, a, b)], 0), e.i32(1));
    const flags = e.mutable(e.or(e.shl(bit(lanes.f.eq), e.i32(6)), bit(lanes.f.lt)));
    e.if(e.eqz(all(e, lanes, and(e, isPlain(e, lanes, a), isPlain(e, lanes, b)))), () => {
      callHost(e, `float.${host}.${bits}`, a, b);
      e.set(flags, e.hostResult(0, "i32"));
    });
    e.setStatusFlags(e.get(flags));
  };

/** ROUNDPS and relatives: imm 1-0 rounding mode, 2: MXCSR's instead, 3: keep PE quiet. */
const round =
  (shape: Shape): Semantics =>
  (e, dst, src, imm) => {
    const { lanes } = shape;
    const a = readFloat(e, shape, src);
    const n = imm!.read();
    const fromMxcsr = e.and(e.shrU(e.stateLoad("i32", S.MXCSR), e.i32(13)), e.i32(3));
    const mode = e.let(e.select(e.and(n, e.i32(4)), fromMxcsr, e.and(n, e.i32(3))));
    const result = e.mutable(v1(e, lanes.f.nearest, a));
    e.if(mode, () => {
      const upOrTrunc = e.select(e.eq(mode, e.i32(2)), v1(e, lanes.f.ceil, a), v1(e, lanes.f.trunc, a));
      e.set(result, e.select(e.eq(mode, e.i32(1)), v1(e, lanes.f.floor, a), upOrTrunc));
    });
    const value = e.get(result);
    const exact = all(e, lanes, v2(e, lanes.f.eq, a, value));
    const quiet = e.or(e.or(e.and(n, e.i32(8)), precisionSettled(e)), exact);
    const ordinary = e.and(e.ne(quiet, e.i32(0)), all(e, lanes, isPlain(e, lanes, a)));
    writeFloat(e, shape, dst, orHost(e, { value, ordinary }, `float.round.${shapeName(shape)}`, a, a, n));
  };

/** Neighbouring lanes combined, those of dst below those of src. */
const horizontal =
  (bits: FloatBits, host: "add" | "sub"): Semantics =>
  (e, dst, src) => {
    const shape = { lanes: FLOAT[bits], packed: true };
    const y = readAligned(e, src);
    const x = dst.read();
    const bytes = bits / 8;
    const pick = (odd: number) =>
      Array.from({ length: 16 }, (_, i) => 2 * bytes * Math.floor(i / bytes) + odd * bytes + (i % bytes));
    const a = e.let(e.shuffle(x, y, pick(0)));
    const b = e.let(e.shuffle(x, y, pick(1)));
    const fast = (host === "add" ? sum : difference)(e, shape, a, b);
    dst.write(orHost(e, fast, `float.${host}.${shapeName(shape)}`, a, b));
  };

const dotProduct =
  (bits: FloatBits): Semantics =>
  (e, dst, src, imm) => {
    const b = readAligned(e, src);
    callHost(e, `float.dot.${bits}`, dst.read(), b, imm!.read());
    dst.write(e.stateLoad("v128", S.ARGS));
  };

const estimate =
  (host: string, packed: boolean): Semantics =>
  (e, dst, src) => {
    const shape = { lanes: FLOAT[32], packed };
    callHost(e, `float.${host}`, readFloat(e, shape, src));
    writeFloat(e, shape, dst, e.stateLoad("v128", S.ARGS));
  };

const shapes = {
  PS: { lanes: FLOAT[32], packed: true },
  SS: { lanes: FLOAT[32], packed: false },
  PD: { lanes: FLOAT[64], packed: true },
  SD: { lanes: FLOAT[64], packed: false },
} as const;

function forShapes(): SemanticsTable {
  const table: Record<string, Semantics> = {};
  for (const [suffix, shape] of Object.entries(shapes)) {
    table[`ADD${suffix}`] = binary(shape, "add", sum);
    table[`SUB${suffix}`] = binary(shape, "sub", difference);
    table[`MUL${suffix}`] = binary(shape, "mul", product);
    table[`DIV${suffix}`] = binary(shape, "div", quotient);
    table[`MIN${suffix}`] = binary(shape, "min", extreme("pmin"));
    table[`MAX${suffix}`] = binary(shape, "max", extreme("pmax"));
    table[`SQRT${suffix}`] = squareRoot(shape);
    table[`ROUND${suffix}`] = round(shape);
    table[suffix === "SD" ? "CMPSD_XMM" : `CMP${suffix}`] = compare(shape);
  }
  return table;
}

export const sseFloatSemantics: SemanticsTable = {
  ...forShapes(),
  COMISS: compareFlags(32, "ordered"),
  COMISD: compareFlags(64, "ordered"),
  UCOMISS: compareFlags(32, "unordered"),
  UCOMISD: compareFlags(64, "unordered"),
  ADDSUBPS: binary(shapes.PS, "addSub", addSub),
  ADDSUBPD: binary(shapes.PD, "addSub", addSub),
  HADDPS: horizontal(32, "add"),
  HADDPD: horizontal(64, "add"),
  HSUBPS: horizontal(32, "sub"),
  HSUBPD: horizontal(64, "sub"),
  DPPS: dotProduct(32),
  DPPD: dotProduct(64),
  RCPPS: estimate("reciprocal", true),
  RCPSS: estimate("reciprocal", false),
  RSQRTPS: estimate("reciprocalSqrt", true),
  RSQRTSS: estimate("reciprocalSqrt", false),
};
