// SSE arithmetic: one definition of each operation for its packed and scalar forms of both formats (SDM volume 1, sections
// 11.2-11.5). Scalar forms compute on Wasm's floats, some rare ones on vectors whose lanes are all equal.

import type { Emitter, Operand, Semantics, SemanticsTable } from "../../emit/emitter.js";
import * as S from "../../state-layout.js";
import { Value, type Variable } from "../../wasm/function-builder.js";
import { half, I32x4, splat, V128, v1, v2 } from "../../wasm/simd.js";
import {
  all,
  and,
  callHost,
  FLOAT,
  type FloatBits,
  type FloatLanes,
  isNormal,
  isPlain,
  or,
  orHost,
  passVectors,
  precisionSettled,
} from "./float-check.js";
import { acceptExact, acceptOrdinary, exactLanes, Ordinary, type OrdinaryKind } from "./ordinary.js";
import { rangedResult, requireRanges } from "./ranged.js";
import { readAligned, readLow } from "./registers.js";
import { float, isSettled, refuseDenormal, requireOrdered, splatFloat, typeOf } from "./scalar.js";

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

/** A float or vector operand of this shape. */
function readOperand(e: Emitter, { lanes, packed }: Shape, operand: Operand): Value {
  return packed ? readAligned(e, operand) : operand.readFloat(lanes.bits);
}
function writeOperand({ lanes, packed }: Shape, dst: Operand, value: Value): void {
  if (packed) dst.write(value);
  else dst.writeFloat(lanes.bits, value);
}
const asVector = (e: Emitter, v: Value) => (v.type === "v128" ? v : splatFloat(e, v));

const rangesFor = (e: Emitter, { lanes }: Shape) => (lanes.bits === 64 ? e.ranges : undefined);

/** An operation whose results are rounded. */
interface Rounded {
  readonly shape: Shape;
  readonly host: string;
  readonly kind: OrdinaryKind;
  /** The operation on floats, and its vector form. */
  readonly scalar: "add" | "sub" | "mul" | "div" | "sqrt";
  /** Signs of b to change to make it an operation of `kind`. */
  readonly negate?: Value;
}

/**
 * Makes `value`, Wasm's result of an operation on a and b, the processor's. In the common case (operands no denormals, results
 * neither tiny nor too large, MXCSR as usual) that takes a few comparisons, while PE is clear also those of a test for exactness;
 * otherwise the whole rule is asked, then the host.
 */
function settle(e: Emitter, { shape, host, kind, scalar, negate }: Rounded, value: Variable, a: Value, b: Value): void {
  const { lanes, packed } = shape;
  const { bits } = lanes;
  const result = e.get(value);
  const signed = (v: Value) => (negate ? e.let(v2(e, V128.xor, v, negate)) : v);
  e.block((done) => {
    e.block((slow) => {
      const operands = a === b ? [a] : [a, b];
      if (packed) {
        const normal = isNormal(
          e,
          lanes,
          result,
          operands.filter((v) => !e.isPlain(v, bits)),
        );
        const exact = () => exactLanes(e, kind, bits, a, signed(b), result);
        e.if(
          e.floatLimit(bits),
          () => e.brIf(done, all(e, lanes, normal), true),
          () =>
            e.if(e.floatExact(), () => {
              const lanesKnown = exact();
              if (lanesKnown) e.brIf(done, all(e, lanes, and(e, normal, lanesKnown)), true);
            }),
        );
      } else {
        for (const v of operands) refuseDenormal(e, slow, v);
        e.brIf(done, isSettled(e, result), true);
        if (scalar === "add" || scalar === "sub" || scalar === "mul")
          e.if(e.floatExact(), () => acceptExact(e, done, scalar, a, b, result));
      }
    });
    const x = e.let(asVector(e, a));
    const y = e.let(asVector(e, b));
    acceptOrdinary(e, done, kind, bits, x, signed(y));
    callHost(e, `float.${host}.${shapeName(shape)}`, x, y);
    if (!e.leavesForHost) e.set(value, e.stateLoad(packed ? "v128" : typeOf(bits), S.ARGS));
  });
  for (const v of [a, b, result]) e.markPlain(v, bits);
}

const binary =
  (rounded: Rounded): Semantics =>
  (e, dst, src) => {
    const { shape, scalar } = rounded;
    const b = readOperand(e, shape, src);
    const a = shape.packed ? dst.read() : dst.readFloat(shape.lanes.bits);
    const { f } = shape.lanes;
    const operation = shape.packed ? v2(e, f[scalar as "add"], a, b) : float(e, scalar, a, b);
    const ranges = rangesFor(e, shape);
    if (ranges) {
      writeOperand(shape, dst, rangedResult(e, ranges, scalar, a, b, operation));
      return;
    }
    const value = e.variable(operation);
    settle(e, rounded, value, a, b);
    writeOperand(shape, dst, e.get(value));
  };

/** Signs whose change turns the subtraction into an addition. */
const negation = (lanes: FloatLanes) => {
  const half = lanes.bits === 64 ? lanes.sign : lanes.sign | (lanes.sign << 32n);
  return new Value("v128", 0xfd0c, [], 0, half | (half << 64n));
};

const squareRoot =
  (shape: Shape): Semantics =>
  (e, dst, src) => {
    const a = readOperand(e, shape, src);
    const operation = shape.packed ? v1(e, shape.lanes.f.sqrt, a) : float(e, "sqrt", a);
    const ranges = rangesFor(e, shape);
    if (ranges) {
      writeOperand(shape, dst, rangedResult(e, ranges, "sqrt", a, a, operation));
      return;
    }
    const value = e.variable(operation);
    settle(e, { shape, host: "sqrt", kind: Ordinary.Root, scalar: "sqrt" }, value, a, a);
    writeOperand(shape, dst, e.get(value));
  };

/** The processor gives the second operand unless the first is less (greater); Wasm's pmin and pmax do with a and b swapped. */
const extreme =
  (shape: Shape, host: string, opcode: "pmin" | "pmax"): Semantics =>
  (e, dst, src) => {
    const { lanes, packed } = shape;
    const b = readOperand(e, shape, src);
    const a = packed ? dst.read() : dst.readFloat(lanes.bits);
    const vector = v2(e, lanes.f[opcode], asVector(e, b), asVector(e, a));
    const result = packed ? vector : e.op(typeOf(lanes.bits), lanes.f.extract, [vector], 0);
    const ranges = rangesFor(e, shape);
    if (ranges) {
      writeOperand(shape, dst, rangedResult(e, ranges, "either", a, b, result));
      return;
    }
    const value = e.variable(result);
    e.block((done) => {
      e.block((slow) => {
        if (packed) e.brIf(done, all(e, lanes, and(e, isPlain(e, lanes, a), isPlain(e, lanes, b))));
        else {
          requireOrdered(e, slow, a, b);
          e.br(done);
        }
      });
      callHost(e, `float.${host}.${shapeName(shape)}`, e.let(asVector(e, a)), e.let(asVector(e, b)));
      if (!e.leavesForHost) e.set(value, e.stateLoad(packed ? "v128" : typeOf(lanes.bits), S.ARGS));
    });
    for (const v of [a, b, e.get(value)]) e.markPlain(v, lanes.bits);
    writeOperand(shape, dst, e.get(value));
  };

/** Even lanes subtract, odd lanes add: an addition of b with some signs changed. */
const addSub =
  (shape: Shape): Semantics =>
  (e, dst, src) => {
    const { lanes } = shape;
    const b = readAligned(e, src);
    const a = dst.read();
    const signs = lanes.bits === 64 ? e.v128(lanes.sign, 0n) : e.v128(lanes.sign, lanes.sign);
    const value = e.variable(v2(e, lanes.f.add, a, v2(e, V128.xor, b, signs)));
    settle(e, { shape, host: "addSub", kind: Ordinary.Add, scalar: "add", negate: signs }, value, a, b);
    dst.write(e.get(value));
  };

/** CMPccPS and relatives. Of plain numbers every predicate is a union of less and equal, or its complement. */
const compare =
  (shape: Shape): Semantics =>
  (e, dst, src, imm) => {
    const { lanes } = shape;
    const b = readFloat(e, shape, src);
    const a = shape.packed ? dst.read() : readFloat(e, shape, dst);
    const n = imm!.read();
    const value = e.let(n.isConst ? fixedPredicate(e, lanes, Number(n.constant), a, b) : predicate(e, lanes, n, a, b));
    const ordinary = all(e, lanes, and(e, isPlain(e, lanes, a), isPlain(e, lanes, b)));
    writeFloat(e, shape, dst, orHost(e, { value, ordinary }, `float.compare.${shapeName(shape)}`, a, b, n));
  };
function predicate(e: Emitter, lanes: FloatLanes, n: Value, a: Value, b: Value): Value {
  const spread = (bit: Value) => splat(e, 32, e.neg(e.and(bit, e.i32(1))));
  const equal = and(e, v2(e, lanes.f.eq, a, b), spread(e.xor(n, e.i32(1))));
  const less = and(e, v2(e, lanes.f.lt, a, b), spread(e.xor(n, e.shrU(n, e.i32(1)))));
  return v2(e, V128.xor, or(e, equal, less), spread(e.shrU(n, e.i32(2))));
}
/** Plain numbers are never unordered. */
function fixedPredicate(e: Emitter, lanes: FloatLanes, n: number, a: Value, b: Value): Value {
  const { f } = lanes;
  const [eq, lt, le] = n & 4 ? [f.ne, f.ge, f.gt] : [f.eq, f.lt, f.le];
  if ((n & 3) === 3) return n & 4 ? e.v128(-1n, -1n) : e.v128(0n, 0n);
  return v2(e, (n & 3) === 0 ? eq : (n & 3) === 1 ? lt : le, a, b);
}

/** COMISS and relatives: ZF, PF, CF tell the relation; OF, AF, SF are cleared. */
const compareFlags =
  (bits: FloatBits, host: string): Semantics =>
  (e, dst, src) => {
    const b = src.readFloat(bits);
    const a = dst.readFloat(bits);
    const ranges = bits === 64 ? e.ranges : undefined;
    if (ranges) {
      requireRanges(e, ranges, a, b);
      e.flagsFloat(a, b);
      return;
    }
    e.block((done) => {
      e.block((slow) => {
        requireOrdered(e, slow, a, b);
        e.br(done);
      });
      passVectors(e, e.let(splatFloat(e, a)), e.let(splatFloat(e, b)));
      e.hostFlags(`float.${host}.${bits}`);
    });
    e.markPlain(a, bits);
    e.markPlain(b, bits);
    e.flagsFloat(a, b);
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
    const value = e.variable(v2(e, shape.lanes.f[host], a, b));
    const signs = host === "sub" ? { negate: negation(shape.lanes) } : {};
    settle(e, { shape, host, kind: Ordinary.Add, scalar: host, ...signs }, value, a, b);
    dst.write(e.get(value));
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
    const sum = { shape, kind: Ordinary.Add } as const;
    table[`ADD${suffix}`] = binary({ ...sum, host: "add", scalar: "add" });
    table[`SUB${suffix}`] = binary({ ...sum, host: "sub", scalar: "sub", negate: negation(shape.lanes) });
    table[`MUL${suffix}`] = binary({ shape, kind: Ordinary.Multiply, host: "mul", scalar: "mul" });
    table[`DIV${suffix}`] = binary({ shape, kind: Ordinary.Divide, host: "div", scalar: "div" });
    table[`MIN${suffix}`] = extreme(shape, "min", "pmin");
    table[`MAX${suffix}`] = extreme(shape, "max", "pmax");
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
  ADDSUBPS: addSub(shapes.PS),
  ADDSUBPD: addSub(shapes.PD),
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
