// x87 loads and stores: what the bodies don't do in line, which is conversions that round and stack faults (SDM volume 2:
// FLD, FST, FIST, FISTTP, FBLD, FBSTP, FXCH, FLDconst).
//
// Stores to memory are computed here and performed by the body, so that a page fault leaves everything as it was:
// result 0 is the value, result 1 the next status word and STORE_WRITES.

import { type FloatEnvironment, IE } from "../float/environment.js";
import { x87FromInteger, x87Load, x87Store, x87ToInteger } from "../float/x87.js";
import { x87Constant, x87LoadBcd, x87StoreBcd } from "../float/x87-scale.js";
import * as S from "../state-layout.js";
import type { HostCpu, HostOperationTable } from "./host-operation.js";
import { MEMORY_FORMATS } from "./x87-arithmetic.js";
import { isEmpty, pop, push, readSt, STACK_FAULT, writeSt } from "./x87-state.js";
import { begin, checkAlignment, INDEFINITE, invalidMasked, pushChecked, report, underflow } from "./x87-unit.js";

/** Indefinite value of packed BCD. */
const BCD_INDEFINITE = 0xffffc000000000000000n;

function full(cpu: HostCpu): boolean {
  return !isEmpty(cpu.state, 7);
}

/** 80 bits as they lie in memory. */
function bytes80(bits: bigint): Uint8Array {
  const bytes = new Uint8Array(10);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt.asUintN(64, bits), true);
  view.setUint16(8, Number((bits >> 64n) & 0xffffn), true);
  return bytes;
}

/** The stored value, or the masked response to an empty ST(0), or null: nothing is written or popped. */
function stored(
  cpu: HostCpu,
  indefinite: bigint,
  convert: (env: FloatEnvironment, bits: bigint) => bigint | null,
): { value: bigint | null; flags: number; condition: number } {
  const { state } = cpu;
  const env = begin(state);
  if (isEmpty(state, 0))
    return { value: invalidMasked(state) ? indefinite : null, flags: IE | STACK_FAULT, condition: 0 };
  const value = convert(env, readSt(state, 0));
  return { value, flags: env.flags, condition: env.condition };
}

/** Result for the body. The status word and the opcode are final only when the body's write succeeded. */
function handOver(cpu: HostCpu, outcome: ReturnType<typeof stored>): void {
  const { state } = cpu;
  const before = state.u32(S.FSW);
  report(cpu, outcome.flags, outcome.condition);
  const after = state.u32(S.FSW);
  state.setU32(S.FSW, before);
  cpu.setResult(0, outcome.value ?? 0n);
  cpu.setResult(1, BigInt(after | (outcome.value === null ? 0 : STORE_WRITES)));
}

/** In result 1 of a store, above the status word: the value is to be written, and popped if the form pops. */
export const STORE_WRITES = 0x10000;

/** FSTP m80, FBSTP: written here, after a check of the whole operand. */
function store80(cpu: HostCpu, outcome: ReturnType<typeof stored>): void {
  const linear = cpu.arg(0);
  checkAlignment(cpu, linear, 8);
  // The operand must be writable even when nothing is going to be written.
  cpu.probeWrite(linear, 10);
  if (outcome.value !== null) cpu.writeBytes(linear, bytes80(outcome.value));
  report(cpu, outcome.flags, outcome.condition);
  if (outcome.value !== null) pop(cpu.state);
}

export const x87TransferOperations: HostOperationTable = {
  /** FLD m32, m64. Arguments: value, kind (0, 1). */
  fldMemory: (cpu) => {
    if (full(cpu)) return pushChecked(cpu, 0n, true);
    const env = begin(cpu.state);
    const result = x87Load(env, MEMORY_FORMATS[cpu.argNumber(1)]!, cpu.arg(0));
    report(cpu, env.flags, 0);
    if (result !== null) push(cpu.state, result);
  },
  /** Pushes a pattern: low 64 bits, high 16 bits. */
  fldPattern: (cpu) => pushChecked(cpu, cpu.arg(0) | (cpu.arg(1) << 64n), full(cpu)),
  /** FBLD, arguments alike. */
  fbld: (cpu) => pushChecked(cpu, x87LoadBcd(cpu.arg(0) | (cpu.arg(1) << 64n)), full(cpu)),
  fild: (cpu) => pushChecked(cpu, x87FromInteger(begin(cpu.state), BigInt.asIntN(64, cpu.arg(0))), full(cpu)),
  fldConstant: (cpu) => pushChecked(cpu, x87Constant(begin(cpu.state), cpu.argNumber(0)), full(cpu)),
  /** FLD ST(i). */
  fldRegister: (cpu) => {
    const { state } = cpu;
    const index = cpu.argNumber(0);
    if (!isEmpty(state, index)) return pushChecked(cpu, readSt(state, index), full(cpu));
    report(cpu, IE | STACK_FAULT, 0);
    if (invalidMasked(state)) push(state, INDEFINITE);
  },
  fxch: (cpu) => {
    const { state } = cpu;
    const index = cpu.argNumber(0);
    const fault = isEmpty(state, 0) || isEmpty(state, index);
    report(cpu, fault ? IE | STACK_FAULT : 0, 0);
    if (fault && !invalidMasked(state)) return;
    const a = isEmpty(state, 0) ? INDEFINITE : readSt(state, 0);
    const b = isEmpty(state, index) ? INDEFINITE : readSt(state, index);
    writeSt(state, 0, b);
    writeSt(state, index, a);
  },
  /** The response to an empty operand. Arguments: destination, pops. */
  stackUnderflow: (cpu) => underflow(cpu, cpu.argNumber(0), cpu.argNumber(1)),
  /** FST m32, m64. Argument: kind (0, 1). */
  fst: (cpu) => {
    const format = MEMORY_FORMATS[cpu.argNumber(0)]!;
    handOver(
      cpu,
      stored(cpu, format.indefinite, (env, bits) => x87Store(env, format, bits)),
    );
  },
  /** FIST, FISTTP. Arguments: bits, truncate. */
  fist: (cpu) => {
    const bits = cpu.argNumber(0);
    const truncate = cpu.argNumber(1) !== 0;
    handOver(
      cpu,
      stored(cpu, -(1n << BigInt(bits - 1)), (env, value) => x87ToInteger(env, value, bits, truncate)),
    );
  },
  /** FSTP m80, FBSTP. Argument: linear address. */
  fstp80: (cpu) =>
    store80(
      cpu,
      stored(cpu, INDEFINITE, (_env, bits) => bits),
    ),
  fbstp: (cpu) => store80(cpu, stored(cpu, BCD_INDEFINITE, x87StoreBcd)),
};
