// The stack as host operations use it: addresses within the stack's width, limits and rights of SS, rSP. SDM volume 1, 6.2.

import * as S from "../state-layout.js";
import { Reg, Seg } from "../state-layout.js";
import type { HostCpu } from "./host-operation.js";

export type StackSlot = 2 | 4 | 8;

/** The bits of RSP that take part in stack addresses. */
function stackMask(cpu: HostCpu): bigint {
  return cpu.state.codeMode === 2 ? 0xffffffffffffffffn : BigInt(cpu.state.u32(S.STACK_MASK));
}

/** The linear address of a stack pointer's value, after the segment checks for `bytes` there. */
function stackLinear(cpu: HostCpu, pointer: bigint, bytes: number, write: boolean): bigint {
  const offset = pointer & stackMask(cpu);
  if (cpu.state.codeMode === 2) return offset;
  cpu.checkSegment(Seg.SS, offset, bytes, write);
  return (offset + cpu.state.segmentBase(Seg.SS)) & 0xffffffffn;
}

/** Reads at a stack pointer's value; wraps within the stack's width. */
export function readStack(cpu: HostCpu, pointer: bigint, bytes: StackSlot): bigint {
  return cpu.read(stackLinear(cpu, pointer, bytes, false), bytes, "stack");
}

/** Writes `values` downwards from `pointer`: all of them, or none after a fault. Returns the new top. */
export function pushAll(cpu: HostCpu, pointer: bigint, bytes: StackSlot, values: readonly bigint[]): bigint {
  const places = values.map((_, i) => stackLinear(cpu, pointer - BigInt((i + 1) * bytes), bytes, true));
  for (const place of places) cpu.probeWrite(place, bytes, "stack");
  for (const [i, value] of values.entries()) cpu.write(places[i]!, bytes, value, "stack");
  return pointer - BigInt(values.length * bytes);
}

/** Checks that a stack pointer's value could be written through. */
export function probeStack(cpu: HostCpu, pointer: bigint, bytes: StackSlot): void {
  cpu.probeWrite(stackLinear(cpu, pointer, bytes, true), bytes, "stack");
}

/** Sets rSP, keeping the bits that a narrower stack leaves alone. */
export function setStackPointer(cpu: HostCpu, value: bigint): void {
  const mask = stackMask(cpu);
  const { state } = cpu;
  state.setGpr(Reg.RSP, (state.gpr(Reg.RSP) & ~mask) | (value & mask));
}

/** Moves rSP up by `bytes` within the stack's width. */
export function releaseStack(cpu: HostCpu, bytes: number): void {
  setStackPointer(cpu, cpu.state.gpr(Reg.RSP) + BigInt(bytes));
}
