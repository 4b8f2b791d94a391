// What every x87 host operation does around its computation (SDM volume 1, 8.1.3, 8.5): the environment from the control
// word, stack faults, exception flags and condition codes into the status word, the last opcode.
//
// Error pointers: the bodies keep FIP (and FDP for memory operands) of the last instruction; FOP, as on Intel's
// processors, is that of the last one with an unmasked exception, read back from the code.

import type { CpuState } from "../cpu-state.js";
import { Vector } from "../exit.js";
import { C1, createX87Environment, type FloatEnvironment, IE, setControlWord } from "../float/environment.js";
import { EXTENDED80 } from "../float/format.js";
import * as S from "../state-layout.js";
import type { HostCpu } from "./host-operation.js";
import { pop, push, STACK_FAULT, updateSummary, writeSt } from "./x87-state.js";

export const INDEFINITE: bigint = EXTENDED80.indefinite;
export const ALL_CODES = 0x4700;

/** Scratch of one operation, which never outlives it: shared by all vCPUs. */
const environment = createX87Environment();

/** The environment of an operation that starts. */
export function begin(state: CpuState): FloatEnvironment {
  setControlWord(environment, state.u32(S.FCW));
  environment.flags = 0;
  environment.condition = 0;
  return environment;
}

const PREFIXES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);

/** FOP: the low three bits of the first opcode byte and the ModRM byte of the current instruction. */
function currentOpcode(cpu: HostCpu): number {
  const { state } = cpu;
  const long = state.codeMode === 2;
  let at = cpu.currentRip + (long ? 0n : state.segmentBase(S.Seg.CS));
  for (let i = 0; i < 14; i++, at += 1n) {
    const byte = Number(cpu.read(at, 1));
    if (PREFIXES.has(byte) || (long && byte >> 4 === 4)) continue;
    return ((byte & 7) << 8) | Number(cpu.read(at + 1n, 1));
  }
  return 0;
}

/** The status word with an operation's flags and the condition codes in `mask` replaced. */
export function nextStatus(state: CpuState, flags: number, condition: number, mask: number): number {
  return (state.u32(S.FSW) & ~mask) | (condition & mask) | flags;
}

/** Ends an operation: flags, condition codes, summary, opcode of an unmasked exception. */
export function report(cpu: HostCpu, flags: number, condition: number, mask = C1): void {
  const { state } = cpu;
  state.setU32(S.FSW, nextStatus(state, flags, condition, mask));
  if (flags === 0) return;
  updateSummary(state);
  if (flags & ~state.u32(S.FCW) & 0x3f) state.setU32(S.FOP, currentOpcode(cpu));
}

/** #AC for operands that host operations read and write as bytes (SDM volume 3A, table 6-7). */
export function checkAlignment(cpu: HostCpu, linear: bigint, alignment: number): void {
  if ((Number(linear & 0xfn) & (alignment - 1)) === 0) return;
  const { state } = cpu;
  const enabled = state.cpl === 3 && (state.u32(S.EFLAGS) & S.AC) !== 0 && (state.u32(S.CR0) & 0x40000) !== 0;
  // An address that isn't canonical has its own fault, at the access.
  if (enabled && BigInt.asUintN(64, BigInt.asIntN(48, linear)) === linear) cpu.raise(Vector.AC, 0);
}

export function invalidMasked(state: CpuState): boolean {
  return (state.u32(S.FCW) & IE) !== 0;
}

/** An operand is empty: the masked response puts the indefinite NaN into ST(destination), and pops. `codes` become 0. */
export function underflow(cpu: HostCpu, destination: number, pops: number, codes = C1): void {
  const { state } = cpu;
  report(cpu, IE | STACK_FAULT, 0, codes);
  if (!invalidMasked(state)) return;
  writeSt(state, destination, INDEFINITE);
  for (let i = 0; i < pops; i++) pop(state);
}

/** Pushes, or meets a stack overflow: C1 set, and the masked response pushes the indefinite NaN. */
export function pushChecked(cpu: HostCpu, bits: bigint, full: boolean): void {
  const { state } = cpu;
  if (!full) {
    report(cpu, 0, 0);
    push(state, bits);
    return;
  }
  report(cpu, IE | STACK_FAULT, C1);
  if (invalidMasked(state)) push(state, INDEFINITE);
}
