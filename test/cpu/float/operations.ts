// The operations that the vectors and the native oracle (test/slow/float-native.c) know, by the oracle's numbers, each
// bound to our functions so that its result can be compared bit for bit.
import { comparePredicate, compareSse, EQUAL, LESS, UNORDERED } from "../../../src/cpu/float/compare.js";
import {
  C0,
  C1,
  C2,
  C3,
  createSseEnvironment,
  createX87Environment,
  type FloatEnvironment,
  finishSse,
  setControlWord,
  setMxcsr,
} from "../../../src/cpu/float/environment.js";
import { BINARY32, BINARY64, EXTENDED80, type Format } from "../../../src/cpu/float/format.js";
import * as sse from "../../../src/cpu/float/sse.js";
import * as x87 from "../../../src/cpu/float/x87.js";
import * as scale from "../../../src/cpu/float/x87-scale.js";
import * as transcendental from "../../../src/cpu/float/x87-transcendental.js";

export type OperandKind = "f32" | "f64" | "f80" | "f32x4" | "f64x2" | "i16" | "i32" | "i64" | "bcd" | "none";

/** What the processor leaves: results (null: not compared), exception flags, condition codes under `conditionMask`. */
export interface Outcome {
  r1: bigint | null;
  r2: bigint | null;
  flags: number;
  condition: number;
}

export interface Operation {
  code: number;
  name: string;
  unit: "x87" | "sse";
  a: OperandKind;
  b: OperandKind;
  /** Bits of r1 to compare, and status word bits. */
  width: number;
  conditionMask: number;
  run(control: number, a: bigint, b: bigint): Outcome;
}

const fpu = createX87Environment();
const vector = createSseEnvironment();
const ALL = C0 | C1 | C2 | C3;
const FILLER = 0xaaaaaaaaaaaaaaaaaaaan;
export const operations: Operation[] = [];

type Bits = bigint | null;
type Pair = readonly [bigint, bigint] | null;

function x87Operation(
  code: number,
  name: string,
  b: OperandKind,
  compute: (env: FloatEnvironment, a: bigint, b: bigint) => { r1: Bits; r2?: Bits },
  options: { mask?: number; width?: number } = {},
): void {
  operations.push({
    code,
    name,
    unit: "x87",
    a: "f80",
    b,
    width: options.width ?? 80,
    conditionMask: options.mask ?? C1,
    run(control, x, y) {
      setControlWord(fpu, control);
      fpu.flags = 0;
      fpu.condition = 0;
      const { r1, r2 = null } = compute(fpu, x, y);
      return { r1, r2, flags: fpu.flags, condition: fpu.condition };
    },
  });
}

/** Result replaces ST(0). */
function register(
  code: number,
  name: string,
  f: (env: FloatEnvironment, a: bigint, b: bigint) => Bits,
  mask = C1,
): void {
  x87Operation(code, name, "f80", (env, a, b) => ({ r1: f(env, a, b) ?? a }), { mask });
}

/** ST(0) replaced, then another value pushed. */
function pair(code: number, name: string, f: (env: FloatEnvironment, a: bigint) => Pair, mask = C1): void {
  x87Operation(
    code,
    name,
    "f80",
    (env, a, b) => {
      const result = f(env, a);
      return result === null ? { r1: a, r2: b } : { r1: result[1], r2: result[0] };
    },
    { mask },
  );
}

function store(code: number, name: string, width: number, f: (env: FloatEnvironment, a: bigint) => Bits): void {
  const filler = FILLER & ((1n << BigInt(width)) - 1n);
  x87Operation(
    code,
    name,
    "none",
    (env, a) => {
      const result = f(env, a);
      return { r1: result === null ? filler : BigInt.asUintN(width, result) };
    },
    { width },
  );
}

/** x87 operations that pop: the result lands in the old ST(1), or the stack stays. */
function popping(
  code: number,
  name: string,
  f: (env: FloatEnvironment, a: bigint, b: bigint) => Bits,
  mask = C1,
): void {
  x87Operation(code, name, "f80", (env, a, b) => ({ r1: f(env, a, b) ?? a }), { mask });
}

register(1, "fadd", (e, a, b) => x87.x87Add(e, a, b));
register(2, "fsub", (e, a, b) => x87.x87Subtract(e, a, b));
register(3, "fmul", (e, a, b) => x87.x87Multiply(e, a, b));
register(4, "fdiv", (e, a, b) => x87.x87Divide(e, a, b));
register(5, "fsqrt", (e, a) => x87.x87Sqrt(e, a));
register(6, "fprem", (e, a, b) => scale.x87PartialRemainder(e, a, b), ALL);
register(7, "fprem1", (e, a, b) => scale.x87IeeeRemainder(e, a, b), ALL);
register(8, "fscale", (e, a, b) => scale.x87Scale(e, a, b));
pair(9, "fxtract", (e, a) => scale.x87Extract(e, a));
register(10, "frndint", (e, a) => x87.x87RoundToInteger(e, a));
function compared(e: FloatEnvironment, a: bigint, b: bigint, quiet: boolean, format: Format): Bits {
  x87.x87Compare(e, a, b, quiet, format);
  return a;
}
register(11, "fcom", (e, a, b) => compared(e, a, b, false, EXTENDED80), ALL);
register(12, "fucom", (e, a, b) => compared(e, a, b, true, EXTENDED80), ALL);
register(
  13,
  "fxam",
  (e, a) => {
    e.condition = x87.x87Examine(a);
    return a;
  },
  ALL,
);
register(14, "fchs", (_e, a) => x87.x87ChangeSign(a));
register(15, "fabs", (_e, a) => x87.x87Absolute(a));

for (const [base, kind, format] of [
  [20, "f32", BINARY32],
  [30, "f64", BINARY64],
] as const) {
  const memory = (offset: number, name: string, f: (env: FloatEnvironment, a: bigint, b: bigint) => Bits, mask = C1) =>
    x87Operation(base + offset, `${name} ${kind}`, kind, (env, a, b) => ({ r1: f(env, a, b) ?? a }), { mask });
  memory(0, "fadd", (e, a, b) => x87.x87Add(e, a, b, EXTENDED80, format));
  memory(1, "fsub", (e, a, b) => x87.x87Subtract(e, a, b, EXTENDED80, format));
  memory(2, "fsubr", (e, a, b) => x87.x87Subtract(e, b, a, format, EXTENDED80));
  memory(3, "fmul", (e, a, b) => x87.x87Multiply(e, a, b, EXTENDED80, format));
  memory(4, "fdiv", (e, a, b) => x87.x87Divide(e, a, b, EXTENDED80, format));
  memory(5, "fdivr", (e, a, b) => x87.x87Divide(e, b, a, format, EXTENDED80));
  memory(6, "fcom", (e, a, b) => compared(e, a, b, false, format), ALL);
  memory(7, "fld", (e, _a, b) => x87.x87Load(e, format, b));
}
x87Operation(38, "fild", "i64", (e, _a, b) => ({ r1: x87.x87FromInteger(e, BigInt.asIntN(64, b)) }));
x87Operation(39, "fbld", "bcd", (_e, _a, b) => ({ r1: scale.x87LoadBcd(b) }));
x87Operation(40, "fiadd", "i32", (e, a, b) => ({
  r1: x87.x87Add(e, a, x87.x87FromInteger(e, BigInt.asIntN(32, b))) ?? a,
}));
x87Operation(41, "fidivr", "i16", (e, a, b) => ({
  r1: x87.x87Divide(e, x87.x87FromInteger(e, BigInt.asIntN(16, b)), a) ?? a,
}));
store(50, "fst f32", 32, (e, a) => x87.x87Store(e, BINARY32, a));
store(51, "fst f64", 64, (e, a) => x87.x87Store(e, BINARY64, a));
store(52, "fistp 16", 16, (e, a) => x87.x87ToInteger(e, a, 16, false));
store(53, "fistp 32", 32, (e, a) => x87.x87ToInteger(e, a, 32, false));
store(54, "fistp 64", 64, (e, a) => x87.x87ToInteger(e, a, 64, false));
store(55, "fisttp 16", 16, (e, a) => x87.x87ToInteger(e, a, 16, true));
store(56, "fisttp 32", 32, (e, a) => x87.x87ToInteger(e, a, 32, true));
store(57, "fisttp 64", 64, (e, a) => x87.x87ToInteger(e, a, 64, true));
store(58, "fbstp", 80, (e, a) => scale.x87StoreBcd(e, a));
for (let index = 0; index < 7; index++) {
  x87Operation(60 + index, `constant ${index}`, "none", (e) => ({ r1: scale.x87Constant(e, index) }));
}
register(70, "f2xm1", (e, a) => transcendental.x87Exp2Minus1(e, a), 0);
popping(71, "fyl2x", (e, a, b) => transcendental.x87YLog2X(e, b, a), 0);
popping(72, "fyl2xp1", (e, a, b) => transcendental.x87YLog2XPlus1(e, b, a), 0);
pair(73, "fptan", (e, a) => transcendental.x87Tangent(e, a), C2);
popping(74, "fpatan", (e, a, b) => transcendental.x87ArcTangent(e, b, a), 0);
register(75, "fsin", (e, a) => transcendental.x87Sine(e, a), C2);
register(76, "fcos", (e, a) => transcendental.x87Cosine(e, a), C2);
pair(77, "fsincos", (e, a) => transcendental.x87SineCosine(e, a), C2);

function sseOperation(
  code: number,
  name: string,
  a: OperandKind,
  b: OperandKind,
  width: number,
  compute: (env: FloatEnvironment, a: bigint, b: bigint) => { r1?: bigint; condition?: number },
): void {
  operations.push({
    code,
    name,
    unit: "sse",
    a,
    b,
    width,
    conditionMask: 0xff,
    run(control, x, y) {
      setMxcsr(vector, control);
      vector.flags = 0;
      const { r1, condition = -1 } = compute(vector, x, y);
      const written = finishSse(vector);
      return {
        r1: written && r1 !== undefined ? BigInt.asUintN(width, r1) : null,
        r2: null,
        flags: vector.flags,
        condition: written ? condition : -1,
      };
    },
  });
}

/** CF | 2 ZF | 4 PF after COMISS, as the oracle's `extra` has them. */
function eflags(relation: number): number {
  return relation === UNORDERED ? 7 : relation === LESS ? 1 : relation === EQUAL ? 2 : 0;
}

for (const [base, kind, format, other] of [
  [100, "f32", BINARY32, BINARY64],
  [120, "f64", BINARY64, BINARY32],
] as const) {
  const width = format.width;
  const two = (
    offset: number,
    name: string,
    f: (e: FloatEnvironment, format: Format, a: bigint, b: bigint) => bigint,
  ) => sseOperation(base + offset, `${name} ${kind}`, kind, kind, width, (e, a, b) => ({ r1: f(e, format, a, b) }));
  two(0, "add", sse.sseAdd);
  two(1, "sub", sse.sseSubtract);
  two(2, "mul", sse.sseMultiply);
  two(3, "div", sse.sseDivide);
  two(4, "sqrt", sse.sseSqrt);
  two(5, "min", sse.sseMin);
  two(6, "max", sse.sseMax);
  sseOperation(base + 7, `cvt ${kind}`, kind, "none", other.width, (e, a) => ({
    r1: sse.sseConvert(e, format, other, a),
  }));
  for (const [offset, bits, truncate] of [
    [8, 64, false],
    [9, 32, false],
    [10, 64, true],
    [11, 32, true],
  ] as const) {
    // The oracle gives integers in r2; the caller compares `width` bits of it.
    sseOperation(base + offset, `cvt${truncate ? "t" : ""}2si${bits} ${kind}`, kind, "none", bits, (e, a) => ({
      r1: sse.sseToInteger(e, format, a, bits, truncate),
    }));
  }
  sseOperation(base + 12, `cvtsi2 ${kind}`, "i64", "none", width, (e, a) => ({
    r1: sse.sseFromInteger(e, format, BigInt.asIntN(64, a)),
  }));
  sseOperation(base + 13, `comi ${kind}`, kind, kind, 0, (e, a, b) => ({
    condition: eflags(compareSse(e, format, a, b, true)),
  }));
  sseOperation(base + 14, `ucomi ${kind}`, kind, kind, 0, (e, a, b) => ({
    condition: eflags(compareSse(e, format, a, b, false)),
  }));
  for (let predicate = 0; predicate < 8; predicate++) {
    sseOperation((base === 100 ? 140 : 150) + predicate, `cmp${predicate} ${kind}`, kind, kind, width, (e, a, b) => ({
      r1: comparePredicate(e, format, a, b, predicate) ? -1n : 0n,
    }));
  }
  for (const imm of [0, 1, 2, 3, 4, 8, 9, 10, 11, 12]) {
    sseOperation((base === 100 ? 160 : 180) + imm, `round${imm} ${kind}`, kind, "none", width, (e, a) => ({
      r1: sse.sseRound(e, format, a, imm),
    }));
  }
}

/** Packed operations: lanes share the flags, and finishSse decides for all of them. */
function packed(code: number, name: string, format: Format, f: typeof sse.sseAdd): void {
  const kind = format === BINARY32 ? "f32x4" : "f64x2";
  sseOperation(code, `${name} ${kind}`, kind, kind, 128, (e, a, b) => {
    let r1 = 0n;
    for (let shift = 0n; shift < 128n; shift += BigInt(format.width)) {
      const lane = (x: bigint) => BigInt.asUintN(format.width, x >> shift);
      r1 |= f(e, format, lane(a), lane(b)) << shift;
    }
    return { r1 };
  });
}
packed(200, "addps", BINARY32, sse.sseAdd);
packed(201, "divps", BINARY32, sse.sseDivide);
packed(202, "divpd", BINARY64, sse.sseDivide);
packed(203, "mulps", BINARY32, sse.sseMultiply);
packed(204, "minps", BINARY32, sse.sseMin);

export function operationsByCode(): Map<number, Operation> {
  return new Map(operations.map((operation) => [operation.code, operation]));
}
