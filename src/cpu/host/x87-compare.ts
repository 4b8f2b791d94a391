// x87 comparisons and classification: FCOM, FUCOM, FICOM, FTST, FCOMI, FXAM and their popping forms (SDM volume 1, 8.3.6).
// Condition codes (or EFLAGS) are stored even when an exception is unmasked; only the pops wait.

import { C0, C1, C2, C3, IE } from "../float/environment.js";
import { EXTENDED80, type Format } from "../float/format.js";
import { x87Compare, x87Examine, x87Faulted } from "../float/x87.js";
import * as S from "../state-layout.js";
import type { HostCpu, HostOperationTable } from "./host-operation.js";
import { memoryOperand } from "./x87-arithmetic.js";
import { isEmpty, pop, readSt, STACK_FAULT } from "./x87-state.js";
import { ALL_CODES, begin, invalidMasked, report } from "./x87-unit.js";

const UNORDERED = C3 | C2 | C0;

function popTimes(cpu: HostCpu, pops: number): void {
  for (let i = 0; i < pops; i++) pop(cpu.state);
}

/** An empty operand compares unordered. `codes`: condition codes that the instruction stores. */
function stackFault(cpu: HostCpu, pops: number, codes: number): void {
  report(cpu, IE | STACK_FAULT, UNORDERED & codes, codes);
  if (invalidMasked(cpu.state)) popTimes(cpu, pops);
}

function compare(cpu: HostCpu, bits: bigint, format: Format, quiet: boolean, pops: number): void {
  const { state } = cpu;
  const env = begin(state);
  x87Compare(env, readSt(state, 0), bits, quiet, format);
  report(cpu, env.flags, env.condition & ~C1, ALL_CODES);
  if (!x87Faulted(env)) popTimes(cpu, pops);
}

/** Condition codes C3, C2, C0 as ZF, PF, CF. */
function setFlags(cpu: HostCpu, condition: number): void {
  const zf = condition & C3 ? S.ZF : 0;
  const pf = condition & C2 ? S.PF : 0;
  const cf = condition & C0 ? S.CF : 0;
  cpu.state.statusFlags = zf | pf | cf;
}

export const x87CompareOperations: HostOperationTable = {
  /** Arguments: register, quiet, pops. */
  fcom: (cpu) => {
    const index = cpu.argNumber(0);
    const pops = cpu.argNumber(2);
    if (isEmpty(cpu.state, 0) || isEmpty(cpu.state, index)) return stackFault(cpu, pops, ALL_CODES);
    compare(cpu, readSt(cpu.state, index), EXTENDED80, cpu.argNumber(1) !== 0, pops);
  },
  /** Arguments: value, kind of operand, pops. */
  fcomMemory: (cpu) => {
    const pops = cpu.argNumber(2);
    if (isEmpty(cpu.state, 0)) return stackFault(cpu, pops, ALL_CODES);
    const [bits, format] = memoryOperand(begin(cpu.state), cpu.arg(0), cpu.argNumber(1));
    compare(cpu, bits, format, false, pops);
  },
  ftst: (cpu) => {
    if (isEmpty(cpu.state, 0)) return stackFault(cpu, 0, ALL_CODES);
    compare(cpu, 0n, EXTENDED80, false, 0);
  },
  /** Arguments as fcom. */
  fcomi: (cpu) => {
    const { state } = cpu;
    const index = cpu.argNumber(0);
    const pops = cpu.argNumber(2);
    if (isEmpty(state, 0) || isEmpty(state, index)) {
      setFlags(cpu, UNORDERED);
      return stackFault(cpu, pops, C1);
    }
    const env = begin(state);
    x87Compare(env, readSt(state, 0), readSt(state, index), cpu.argNumber(1) !== 0);
    setFlags(cpu, env.condition);
    // C1 stays as it is, as on AMD's processors.
    report(cpu, env.flags, 0, 0);
    if (!x87Faulted(env)) popTimes(cpu, pops);
  },
  fxam: (cpu) => {
    const bits = readSt(cpu.state, 0);
    const sign = bits >> 79n ? C1 : 0;
    report(cpu, 0, isEmpty(cpu.state, 0) ? sign | C3 | C0 : x87Examine(bits), ALL_CODES);
  },
};
