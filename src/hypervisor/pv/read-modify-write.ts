// What an instruction with a memory destination does to it: enough of the general instructions (SDM volume 2) to carry out a
// guest kernel's writes to page tables. Pure: values in, values and flags out.

import { AF, CF, OF, PF, SF, ZF } from "../../cpu/state-layout.js";

export interface RmwInput {
  /** Old memory operand, source operand, and for CMPXCHG the accumulator; unsigned, `bits` wide. */
  readonly memory: bigint;
  readonly source: bigint;
  readonly accumulator: bigint;
  readonly bits: number;
  readonly rflags: bigint;
}

export interface RmwResult {
  memory: bigint;
  /** New value of the source register (XCHG, XADD). */
  source?: bigint;
  accumulator?: bigint;
  rflags: bigint;
}

type Operation = (input: RmwInput) => RmwResult;

const LOGIC = BigInt(CF | PF | AF | ZF | SF | OF);
const ARITHMETIC = LOGIC;

/** PF, ZF and SF of a result. */
function resultFlags(value: bigint, bits: number): number {
  let parity = Number(value & 0xffn);
  parity ^= parity >> 4;
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  return (parity & 1 ? 0 : PF) | (value === 0n ? ZF : 0) | ((value >> BigInt(bits - 1)) & 1n ? SF : 0);
}

function logic(combine: (a: bigint, b: bigint) => bigint): Operation {
  return ({ memory, source, bits, rflags }) => {
    const value = BigInt.asUintN(bits, combine(memory, source));
    return { memory: value, rflags: (rflags & ~LOGIC) | BigInt(resultFlags(value, bits)) };
  };
}

function sum(a: bigint, b: bigint, carryIn: bigint, bits: number): { value: bigint; flags: number } {
  const value = BigInt.asUintN(bits, a + b + carryIn);
  const carries = (a & b) | ((a | b) & ~value);
  const top = BigInt(bits - 1);
  const carry = Number((carries >> top) & 1n);
  const overflow = carry ^ Number((carries >> (top - 1n)) & 1n);
  return { value, flags: resultFlags(value, bits) | (carry ? CF : 0) | (overflow ? OF : 0) | (carries & 8n ? AF : 0) };
}

function difference(a: bigint, b: bigint, borrowIn: bigint, bits: number): { value: bigint; flags: number } {
  const value = BigInt.asUintN(bits, a - b - borrowIn);
  const borrows = (~a & b) | ((~a | b) & value);
  const top = BigInt(bits - 1);
  const borrow = Number((borrows >> top) & 1n);
  const overflow = borrow ^ Number((borrows >> (top - 1n)) & 1n);
  return { value, flags: resultFlags(value, bits) | (borrow ? CF : 0) | (overflow ? OF : 0) | (borrows & 8n ? AF : 0) };
}

const withFlags = (rflags: bigint, mask: bigint, flags: number): bigint => (rflags & ~mask) | (BigInt(flags) & mask);

function arithmetic(compute: typeof sum, withCarry: boolean): Operation {
  return ({ memory, source, bits, rflags }) => {
    const { value, flags } = compute(memory, source, withCarry ? rflags & 1n : 0n, bits);
    return { memory: value, rflags: withFlags(rflags, ARITHMETIC, flags) };
  };
}

/** INC and DEC: by one, CF kept. */
function step(compute: typeof sum): Operation {
  return ({ memory, bits, rflags }) => {
    const { value, flags } = compute(memory, 1n, 0n, bits);
    return { memory: value, rflags: withFlags(rflags, ARITHMETIC & ~BigInt(CF), flags) };
  };
}

function bitTest(change: (memory: bigint, bit: bigint) => bigint): Operation {
  return ({ memory, source, bits, rflags }) => {
    const index = source % BigInt(bits);
    const old = (memory >> index) & 1n;
    return { memory: change(memory, 1n << index), rflags: (rflags & ~1n) | old };
  };
}

/** By semantics name of src/cpu/isa. */
export const readModifyWrite: Readonly<Record<string, Operation>> = {
  MOV: ({ source, rflags }) => ({ memory: source, rflags }),
  MOVNTI: ({ source, rflags }) => ({ memory: source, rflags }),
  XCHG: ({ memory, source, rflags }) => ({ memory: source, source: memory, rflags }),
  XADD: ({ memory, source, bits, rflags }) => {
    const { value, flags } = sum(memory, source, 0n, bits);
    return { memory: value, source: memory, rflags: withFlags(rflags, ARITHMETIC, flags) };
  },
  CMPXCHG: ({ memory, source, accumulator, bits, rflags }) => {
    const { flags } = difference(accumulator, memory, 0n, bits);
    const after = withFlags(rflags, ARITHMETIC, flags);
    return memory === accumulator ? { memory: source, rflags: after } : { memory, accumulator: memory, rflags: after };
  },
  AND: logic((a, b) => a & b),
  OR: logic((a, b) => a | b),
  XOR: logic((a, b) => a ^ b),
  NOT: ({ memory, bits, rflags }) => ({ memory: BigInt.asUintN(bits, ~memory), rflags }),
  ADD: arithmetic(sum, false),
  ADC: arithmetic(sum, true),
  SUB: arithmetic(difference, false),
  SBB: arithmetic(difference, true),
  INC: step(sum),
  DEC: step(difference),
  BTS: bitTest((memory, bit) => memory | bit),
  BTR: bitTest((memory, bit) => memory & ~bit),
  BTC: bitTest((memory, bit) => memory ^ bit),
};
