// Arithmetic on doubles of known ranges (../../emit/float-range.ts): what comes from memory is checked when it is used first, what
// is computed not at all until the range got too wide. What fails leaves generated code before the instruction.

import type { Emitter } from "../../emit/emitter.js";
import { type FloatRange, isSafe, isWide, type RangeTracker, rangeRules, WIDE } from "../../emit/float-range.js";
import type { FunctionBuilder, Value } from "../../wasm/function-builder.js";
import { F64x2, I64x2, splatConstant, V128, v1, v2 } from "../../wasm/simd.js";
import { Ordinary, type OrdinaryKind, operationOf } from "./ordinary.js";
import { float, floatConstant, splatFloat, toBits } from "./scalar.js";

/** Of a doubled upper half: what to add for the two topmost bits to be clear in the wide range (exponent field - 768). */
const OFFSET = -0x60000000;
const OUTSIDE = 0xc0000000 | 0;
const LEAST = 0x3000000000000000n; // 2^-255
const END = 0x5000000000000000n; // 2^257

/** i32, 1 when a double, or each lane of a vector of doubles, lies in the wide range or is zero. */
export function isWideOrZero(f: FunctionBuilder, v: Value): Value {
  if (v.type === "v128") {
    const magnitude = f.let(v1(f, F64x2.abs, v));
    const large = v2(f, F64x2.ge, magnitude, splatConstant(f, 64, LEAST));
    const small = v2(f, F64x2.lt, magnitude, splatConstant(f, 64, END));
    const wide = v2(f, V128.and, large, small);
    return f.op("i32", I64x2.allTrue, [v2(f, V128.or, wide, v2(f, F64x2.eq, v, f.v128(0n, 0n)))]);
  }
  const magnitude = f.let(float(f, "abs", v));
  const large = float(f, "ge", magnitude, floatConstant(f, 64, LEAST));
  const wide = f.and(large, float(f, "lt", magnitude, floatConstant(f, 64, END)));
  return f.or(wide, float(f, "eq", magnitude, floatConstant(f, 64, 0n)));
}

/** `refuse` is told where one of these is neither in the wide range nor zero. One comparison as a rule. `offset`: for vectors. */
export function checkWide(
  f: FunctionBuilder,
  values: readonly Value[],
  offset: () => Value,
  refuse: (condition: Value) => void,
): void {
  if (values.length === 0) return;
  const terms: Value[] = [];
  const scalars = values.filter((v) => v.type === "f64");
  const high = (v: Value) => f.wrap(f.shrU(toBits(f, v), f.i64(32)));
  const fields = scalars.map((v) => f.add(f.shl(high(v), f.i32(1)), f.i32(OFFSET)));
  if (fields.length > 0)
    terms.push(
      f.and(
        fields.reduce((a, b) => f.or(a, b)),
        f.i32(OUTSIDE),
      ),
    );
  const vectors = values.filter((v) => v.type === "v128");
  if (vectors.length > 0) {
    const lanes = vectors.map((v) => v2(f, I64x2.add, v2(f, I64x2.add, v, v), offset()));
    const all = f.let(lanes.reduce((a, b) => v2(f, V128.or, a, b)));
    terms.push(f.op("i32", I64x2.bitmask, [v2(f, V128.or, all, v2(f, I64x2.add, all, all))]));
  }
  f.ifRare(
    terms.reduce((a, b) => f.or(a, b)),
    () => refuse(f.eqz(values.map((v) => isWideOrZero(f, v)).reduce((a, b) => f.and(a, b)))),
  );
}

const WIDE_LANES = [WIDE, WIDE];

/** Has these checked of which nothing is known, or little, and gives all ranges. */
function rangesOf(
  e: Emitter,
  tracker: RangeTracker,
  values: readonly Value[],
  enough: (range: FloatRange) => boolean = () => true,
): (readonly FloatRange[])[] {
  const unknown = values.filter((v) => !tracker.of(v).every((range) => range && enough(range)));
  const different = unknown.filter((v, i) => unknown.findIndex((other) => other.imm === v.imm) === i);
  checkWide(
    e,
    different,
    () => tracker.offset,
    (condition) => tracker.refuse(condition),
  );
  for (const v of different) tracker.note(v, WIDE_LANES);
  return values.map((v) => tracker.of(v) as readonly FloatRange[]);
}

/** Makes sure that these are numbers that compare without exceptions. */
export function requireRanges(e: Emitter, tracker: RangeTracker, ...values: Value[]): void {
  rangesOf(e, tracker, values);
}

/** Leaves where the result of an operation on numbers of known ranges isn't exact. */
function requireExact(
  e: Emitter,
  tracker: RangeTracker,
  operation: keyof typeof rangeRules,
  a: Value,
  b: Value,
  value: Value,
): void {
  const isVector = a.type === "v128";
  const compute = (name: "add" | "sub", x: Value, y: Value) =>
    isVector ? v2(e, F64x2[name], x, y) : float(e, name, x, y);
  /** The whole rule, which sets PE. */
  const ask = (kind: OrdinaryKind) => {
    const vector = (v: Value) => (isVector ? v : e.let(splatFloat(e, v)));
    tracker.refuse(e.eqz(e.ordinary(operationOf(kind, 64), vector(a), vector(b))));
  };
  if (operation === "add" || operation === "sub") {
    // As in ordinary.ts: of an exact sum both differences give the other number.
    const isSum = operation === "add";
    const other = isSum ? compute("sub", value, a) : compute("sub", a, value);
    const one = compute(isSum ? "sub" : "add", value, b);
    if (isVector) {
      const differs = v2(e, V128.or, v2(e, F64x2.ne, other, b), v2(e, F64x2.ne, one, a));
      tracker.refuse(e.op("i32", I64x2.bitmask, [differs]));
    } else {
      tracker.refuse(float(e, "ne", other, b));
      tracker.refuse(float(e, "ne", one, a));
    }
  } else if (operation === "mul") {
    // Two short significands make no long one. The topmost 27 bits of the shifted value are their last ones.
    const digits = isVector ? v2(e, V128.or, a, b) : e.or(toBits(e, a), toBits(e, b));
    const long = isVector
      ? e.op("i32", V128.anyTrue, [e.op("v128", I64x2.shl, [digits, e.i32(37)])])
      : e.ne(e.shl(digits, e.i64(37)), e.i64(0));
    e.ifRare(long, () => ask(Ordinary.Multiply));
  } else if (operation !== "either") ask(operation === "div" ? Ordinary.Divide : Ordinary.Root);
}

/** `result` (not yet computed) of an operation on a and b: snapshots of doubles, or of vectors of them. */
export function rangedResult(
  e: Emitter,
  tracker: RangeTracker,
  operation: keyof typeof rangeRules,
  a: Value,
  b: Value,
  result: Value,
): Value {
  const rule = rangeRules[operation];
  const combine = ([x, y]: (readonly FloatRange[])[]) => x!.map((range, i) => rule(range, y![i]!));
  let operands = rangesOf(e, tracker, [a, b]);
  if (!combine(operands).every(isSafe)) operands = rangesOf(e, tracker, [a, b], isWide);
  const zero = (v: Value) => (v.type === "v128" ? e.v128(0n, 0n) : floatConstant(e, 64, 0n));
  if (operation === "div" && operands[1]!.some((range) => range.zero)) {
    if (b.type === "v128") tracker.refuse(e.op("i32", V128.anyTrue, [v2(e, F64x2.eq, b, zero(b))]));
    else tracker.refuse(float(e, "eq", b, zero(b)));
  }
  if (operation === "sqrt") {
    if (a.type === "v128") tracker.refuse(e.op("i32", V128.anyTrue, [v2(e, F64x2.lt, a, zero(a))]));
    else tracker.refuse(float(e, "lt", a, zero(a)));
  }
  const value = e.let(result);
  if (tracker.exact) requireExact(e, tracker, operation, a, b, value);
  tracker.note(value, combine(operands));
  return value;
}
