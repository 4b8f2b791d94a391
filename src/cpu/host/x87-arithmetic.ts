// x87 arithmetic, remainders, scaling and transcendental functions on the register stack (SDM volume 1, 8.3), computed by
// ../float. Register forms: ST(d) = ST(d) op ST(s); memory forms: ST(0) = ST(0) op value.

import type { CpuState } from "../cpu-state.js";
import { C0, C1, C2, C3, type FloatEnvironment, IE } from "../float/environment.js";
import { BINARY32, BINARY64, EXTENDED80, type Format } from "../float/format.js";
import {
  x87Add,
  x87Divide,
  x87Examine,
  x87FromInteger,
  x87Multiply,
  x87RoundToInteger,
  x87Sqrt,
  x87Subtract,
} from "../float/x87.js";
import { x87Extract, x87IeeeRemainder, x87PartialRemainder, x87Scale } from "../float/x87-scale.js";
import {
  x87ArcTangent,
  x87Cosine,
  x87Exp2Minus1,
  x87Sine,
  x87SineCosine,
  x87Tangent,
  x87YLog2X,
  x87YLog2XPlus1,
} from "../float/x87-transcendental.js";
import type { HostOperation, HostOperationTable } from "./host-operation.js";
import { isEmpty, pop, push, readSt, STACK_FAULT, writeSt } from "./x87-state.js";
import { ALL_CODES, begin, INDEFINITE, invalidMasked, report, underflow } from "./x87-unit.js";

type Unary = (env: FloatEnvironment, a: bigint) => bigint | null;
type Binary = (env: FloatEnvironment, a: bigint, b: bigint) => bigint | null;
type Arithmetic = (env: FloatEnvironment, a: bigint, b: bigint, fa?: Format, fb?: Format) => bigint | null;
type Double = (env: FloatEnvironment, a: bigint) => readonly [bigint, bigint] | null;

/** Kinds of memory operand, as the bodies pass them. */
export const MEMORY_FORMATS: readonly Format[] = [BINARY32, BINARY64];
export const INTEGER_OPERAND = 2;

/** A memory operand as an 80-bit pattern or in its own format. */
export function memoryOperand(env: FloatEnvironment, value: bigint, kind: number): [bits: bigint, format: Format] {
  if (kind === INTEGER_OPERAND) {
    const bits = x87FromInteger(env, BigInt.asIntN(64, value));
    env.condition = 0;
    return [bits, EXTENDED80];
  }
  return [value, MEMORY_FORMATS[kind]!];
}

const reversed =
  (operation: Arithmetic): Arithmetic =>
  (env, a, b, fa, fb) =>
    operation(env, b, a, fb, fa);

/** Arguments: destination, source, pops. */
function registerForm(operation: Binary): HostOperation {
  return (cpu) => {
    const { state } = cpu;
    const env = begin(state);
    const to = cpu.argNumber(0);
    const from = cpu.argNumber(1);
    const pops = cpu.argNumber(2);
    if (isEmpty(state, to) || isEmpty(state, from)) return underflow(cpu, to, pops);
    const result = operation(env, readSt(state, to), readSt(state, from));
    report(cpu, env.flags, env.condition);
    if (result === null) return;
    writeSt(state, to, result);
    if (pops) pop(state);
  };
}

/** FPREM, FPREM1: invalid operands and NaNs clear C2 and C1 but leave C3 and C0 alone. */
function remainder(operation: Binary): HostOperation {
  return (cpu) => {
    const { state } = cpu;
    const env = begin(state);
    if (isEmpty(state, 0) || isEmpty(state, 1)) return underflow(cpu, 0, 0, C1 | C2);
    const a = readSt(state, 0);
    const b = readSt(state, 1);
    const result = operation(env, a, b);
    const reduced = result !== null && isNumber(a) && !isInfinite(a) && isNumber(b) && !isZero(b);
    report(cpu, env.flags, reduced ? env.condition : 0, reduced ? ALL_CODES : C1 | C2);
    if (result !== null) writeSt(state, 0, result);
  };
}
const classOf = (bits: bigint): number => x87Examine(bits) & ~C1;
/** Neither NaN nor an unsupported pattern. */
const isNumber = (bits: bigint): boolean => (classOf(bits) & ~C0) !== 0;
const isInfinite = (bits: bigint): boolean => classOf(bits) === (C2 | C0);
const isZero = (bits: bigint): boolean => classOf(bits) === C3;

/** Arguments: value, kind of operand. */
function memoryForm(operation: Arithmetic): HostOperation {
  return (cpu) => {
    const { state } = cpu;
    const env = begin(state);
    if (isEmpty(state, 0)) return underflow(cpu, 0, 0);
    const [bits, format] = memoryOperand(env, cpu.arg(0), cpu.argNumber(1));
    const result = operation(env, readSt(state, 0), bits, EXTENDED80, format);
    report(cpu, env.flags, env.condition);
    if (result !== null) writeSt(state, 0, result);
  };
}

function unary(operation: Unary, codes = C1): HostOperation {
  return (cpu) => {
    const { state } = cpu;
    const env = begin(state);
    if (isEmpty(state, 0)) return underflow(cpu, 0, 0, codes);
    const result = operation(env, readSt(state, 0));
    report(cpu, env.flags, env.condition, codes);
    if (result !== null) writeSt(state, 0, result);
  };
}

/** Masked stack fault of an operation with two results: both are the indefinite NaN. */
function doubleFault(state: CpuState): void {
  if (!invalidMasked(state)) return;
  writeSt(state, 0, INDEFINITE);
  push(state, INDEFINITE);
}

/** One result replaces ST(0), the other is pushed. */
function double(operation: Double, codes = C1): HostOperation {
  return (cpu) => {
    const { state } = cpu;
    const env = begin(state);
    const empty = isEmpty(state, 0);
    if (empty || !isEmpty(state, 7)) {
      report(cpu, IE | STACK_FAULT, empty ? 0 : C1, codes);
      doubleFault(state);
      return;
    }
    const result = operation(env, readSt(state, 0));
    report(cpu, env.flags, env.condition, codes);
    if (result === null) return;
    writeSt(state, 0, result[0]);
    push(state, result[1]);
  };
}

const basic: Readonly<Record<string, Arithmetic>> = {
  fadd: x87Add,
  fmul: x87Multiply,
  fsub: x87Subtract,
  fsubr: reversed(x87Subtract),
  fdiv: x87Divide,
  fdivr: reversed(x87Divide),
};

export const x87ArithmeticOperations: HostOperationTable = {
  ...Object.fromEntries(Object.entries(basic).map(([name, operation]) => [name, registerForm(operation)])),
  ...Object.fromEntries(Object.entries(basic).map(([name, operation]) => [`${name}Memory`, memoryForm(operation)])),
  fprem: remainder(x87PartialRemainder),
  fprem1: remainder(x87IeeeRemainder),
  fscale: registerForm(x87Scale),
  fyl2x: registerForm(x87YLog2X),
  fyl2xp1: registerForm(x87YLog2XPlus1),
  fpatan: registerForm(x87ArcTangent),
  fsqrt: unary(x87Sqrt),
  frndint: unary(x87RoundToInteger),
  f2xm1: unary(x87Exp2Minus1),
  fsin: unary(x87Sine, C1 | C2),
  fcos: unary(x87Cosine, C1 | C2),
  fsincos: double(x87SineCosine, C1 | C2),
  fptan: double(x87Tangent, C1 | C2),
  fxtract: double(x87Extract),
};
