// SSE floating point the exact way: what the fast paths of ../semantics/sse/ leave over, by the software library. Operands
// come in ARGS as two vectors, a and b, an immediate in ARG_IMMEDIATE; the result replaces a. Unmasked exceptions raise #XM,
// after MXCSR got its flags (SDM volume 1, 11.5; #UD instead without CR4.OSXMMEXCPT).

import { Vector } from "../exit.js";
import { comparePredicate, compareSse, EQUAL, LESS, UNORDERED } from "../float/compare.js";
import { createSseEnvironment, type FloatEnvironment, finishSse, setMxcsr } from "../float/environment.js";
import { sseReciprocalEstimate, sseReciprocalSqrtEstimate } from "../float/estimate.js";
import { BINARY32, BINARY64, type Format } from "../float/format.js";
import {
  sseAdd,
  sseConvert,
  sseDivide,
  sseFromInteger,
  sseMax,
  sseMin,
  sseMultiply,
  sseRound,
  sseSqrt,
  sseSubtract,
  sseToInteger,
} from "../float/sse.js";
import * as S from "../state-layout.js";
import type { HostCpu, HostOperation, HostOperationTable } from "./host-operation.js";

const CR4_OSXMMEXCPT = 0x400;

const env = createSseEnvironment();

function begin(cpu: HostCpu): void {
  setMxcsr(env, cpu.state.u32(S.MXCSR));
  env.flags = 0;
}

function finish(cpu: HostCpu): void {
  const written = finishSse(env);
  cpu.state.setU32(S.MXCSR, cpu.state.u32(S.MXCSR) | env.flags);
  if (!written) cpu.raise(cpu.state.u32(S.CR4) & CR4_OSXMMEXCPT ? Vector.XM : Vector.UD);
}

function lane(cpu: HostCpu, operand: 0 | 1, bits: number, index: number): bigint {
  const at = S.ARGS + 16 * operand + (bits / 8) * index;
  return bits === 64 ? cpu.state.u64(at) : BigInt(cpu.state.u32(at));
}

function setLane(cpu: HostCpu, bits: number, index: number, value: bigint): void {
  const at = S.ARGS + (bits / 8) * index;
  if (bits === 64) cpu.state.setU64(at, BigInt.asUintN(64, value));
  else cpu.state.setU32(at, Number(BigInt.asUintN(32, value)));
}

type LaneOperation = (env: FloatEnvironment, a: bigint, b: bigint, imm: number, index: number) => bigint;

/** `count` lanes of `from` bits become as many of `to` bits; the rest of the result is zero. */
function lanes(from: number, to: number, count: number, operation: LaneOperation): HostOperation {
  const results: bigint[] = [];
  return (cpu) => {
    begin(cpu);
    const imm = cpu.state.u32(S.ARG_IMMEDIATE);
    for (let i = 0; i < count; i++) results[i] = operation(env, lane(cpu, 0, from, i), lane(cpu, 1, from, i), imm, i);
    finish(cpu);
    cpu.state.setU64(S.ARGS, 0n);
    cpu.state.setU64(S.ARGS + 8, 0n);
    for (let i = 0; i < count; i++) setLane(cpu, to, i, results[i]!);
  };
}

const ALL_ONES = -1n;

function arithmetic(format: Format): Record<string, LaneOperation> {
  return {
    add: (env, a, b) => sseAdd(env, format, a, b),
    sub: (env, a, b) => sseSubtract(env, format, a, b),
    mul: (env, a, b) => sseMultiply(env, format, a, b),
    div: (env, a, b) => sseDivide(env, format, a, b),
    min: (env, a, b) => sseMin(env, format, a, b),
    max: (env, a, b) => sseMax(env, format, a, b),
    sqrt: (env, a) => sseSqrt(env, format, a),
    addSub: (env, a, b, _imm, index) => (index & 1 ? sseAdd : sseSubtract)(env, format, a, b),
    compare: (env, a, b, imm) => (comparePredicate(env, format, a, b, imm & 7) ? ALL_ONES : 0n),
    round: (env, a, _b, imm) => sseRound(env, format, a, imm),
  };
}

/** COMISS and relatives: the flags ZF, PF, CF in their RFLAGS places. */
function orderedFlags(format: Format, signalling: boolean): HostOperation {
  return (cpu) => {
    begin(cpu);
    const bits = format === BINARY64 ? 64 : 32;
    const relation = compareSse(env, format, lane(cpu, 0, bits, 0), lane(cpu, 1, bits, 0), signalling);
    finish(cpu);
    const flags =
      relation === UNORDERED ? S.ZF | S.PF | S.CF : relation === EQUAL ? S.ZF : relation === LESS ? S.CF : 0;
    cpu.setResult(0, BigInt(flags));
  };
}

function estimate(operation: (bits: number) => number): HostOperation {
  return (cpu) => {
    for (let i = 0; i < 4; i++) cpu.state.setU32(S.ARGS + 4 * i, operation(cpu.state.u32(S.ARGS + 4 * i)));
  };
}

/** DPPS, DPPD: products of the lanes in imm 7-4, summed in pairs, into the lanes in imm 3-0. */
function dotProduct(format: Format, bits: number, count: number): HostOperation {
  return (cpu) => {
    begin(cpu);
    // Each step is an instruction of its own: flags of one stay though the next one has an unmasked exception.
    const endStep = () => {
      finish(cpu);
      env.flags = 0;
    };
    const imm = cpu.state.u32(S.ARG_IMMEDIATE);
    const products: bigint[] = [];
    for (let i = 0; i < count; i++)
      products[i] = (imm >> (4 + i)) & 1 ? sseMultiply(env, format, lane(cpu, 0, bits, i), lane(cpu, 1, bits, i)) : 0n;
    endStep();
    let sum = sseAdd(env, format, products[0]!, products[1]!);
    if (count === 4) {
      const upper = sseAdd(env, format, products[2]!, products[3]!);
      endStep();
      sum = sseAdd(env, format, sum, upper);
    }
    finish(cpu);
    for (let i = 0; i < count; i++) setLane(cpu, bits, i, (imm >> i) & 1 ? sum : 0n);
  };
}

function table(): HostOperationTable {
  const all: Record<string, HostOperation> = {};
  for (const [bits, format] of [
    [32, BINARY32],
    [64, BINARY64],
  ] as const) {
    for (const [name, operation] of Object.entries(arithmetic(format))) {
      all[`float.${name}.${bits}x1`] = lanes(bits, bits, 1, operation);
      all[`float.${name}.${bits}x${128 / bits}`] = lanes(bits, bits, 128 / bits, operation);
    }
    for (const [suffix, truncate] of [
      ["", false],
      ["Truncated", true],
    ] as const) {
      const to =
        (width: number): LaneOperation =>
        (env, a) =>
          sseToInteger(env, format, a, width, truncate);
      all[`float.toInteger${suffix}.${bits}.32x1`] = lanes(bits, 32, 1, to(32));
      all[`float.toInteger${suffix}.${bits}.64x1`] = lanes(bits, 64, 1, to(64));
      all[`float.toInteger${suffix}.${bits}.32x2`] = lanes(bits, 32, 2, to(32));
      if (bits === 32) all[`float.toInteger${suffix}.${bits}.32x4`] = lanes(bits, 32, 4, to(32));
    }
    const from =
      (width: number): LaneOperation =>
      (env, a) =>
        sseFromInteger(env, format, BigInt.asIntN(width, a));
    all[`float.fromInteger.32.${bits}x1`] = lanes(32, bits, 1, from(32));
    all[`float.fromInteger.64.${bits}x1`] = lanes(64, bits, 1, from(64));
    all[`float.fromInteger.32.${bits}x2`] = lanes(32, bits, 2, from(32));
    if (bits === 32) all[`float.fromInteger.32.${bits}x4`] = lanes(32, bits, 4, from(32));
    const other = bits === 32 ? 64 : 32;
    const otherFormat = bits === 32 ? BINARY64 : BINARY32;
    const convert: LaneOperation = (env, a) => sseConvert(env, format, otherFormat, a);
    all[`float.convert.${bits}.${other}x1`] = lanes(bits, other, 1, convert);
    all[`float.convert.${bits}.${other}x2`] = lanes(bits, other, 2, convert);
    all[`float.ordered.${bits}`] = orderedFlags(format, true);
    all[`float.unordered.${bits}`] = orderedFlags(format, false);
    all[`float.dot.${bits}`] = dotProduct(format, bits, 128 / bits);
  }
  all["float.reciprocal"] = estimate(sseReciprocalEstimate);
  all["float.reciprocalSqrt"] = estimate(sseReciprocalSqrtEstimate);
  return all;
}

export const sseFloatOperations: HostOperationTable = table();
