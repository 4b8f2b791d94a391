// Host operations of the system family that every guest needs: CPUID, time, random numbers, flags.

import { Shadow } from "../debug.js";
import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import { Reg } from "../state-layout.js";
import type { HostCpu, HostOperationTable } from "./host-operation.js";
import { releaseStack } from "./stack.js";

const cpuidOut = new Uint32Array(4);

/** POPF: which flags change depends on CPL and IOPL (SDM volume 2, table 4-15). */
function popFlags(cpu: HostCpu): void {
  const { state } = cpu;
  const size = cpu.argNumber(1);
  const old = Number(state.rflags & 0xffffffffn);
  const { cpl } = state;
  let writable = S.STATUS_FLAGS | S.TF | S.DF | S.NT;
  if (size !== 16) writable |= S.AC | S.ID;
  if (cpl === 0) writable |= S.IOPL;
  if (cpl <= ((old >>> 12) & 3)) writable |= S.IF;
  const flags = ((old & ~writable) | (cpu.argNumber(0) & writable)) & ~S.RF;
  state.rflags = BigInt(flags >>> 0);
  releaseStack(cpu, cpu.argNumber(2));
  if ((flags ^ old) & (S.TF | S.AC)) {
    cpu.accessRightsChanged();
    cpu.jump(cpu.nextRip);
  }
}

export const systemOperations: HostOperationTable = {
  cpuid: (cpu) => {
    const { state } = cpu;
    cpu.hooks.cpuid(state.gprNumber(Reg.RAX), state.gprNumber(Reg.RCX), cpuidOut);
    for (const [i, register] of [Reg.RAX, Reg.RBX, Reg.RCX, Reg.RDX].entries())
      state.setGpr(register, BigInt(cpuidOut[i]!));
  },
  rdtsc: (cpu) => {
    if (cpu.state.u32(S.CR4) & 4 && cpu.state.cpl > 0) cpu.raise(Vector.GP, 0);
    cpu.setResult(0, cpu.hooks.rdtsc());
  },
  /** STI with IF clear before it. */
  stiShadow: (cpu) => cpu.setInterruptShadow(Shadow.Sti),
  random: (cpu) => cpu.setResult(0, cpu.hooks.random64()),
  popFlags,
  /** CLAC, STAC. Argument: the new AC. */
  setAc: (cpu) => {
    if (cpu.state.cpl > 0) cpu.raise(Vector.UD);
    const flags = cpu.state.u32(S.EFLAGS);
    cpu.state.setU32(S.EFLAGS, cpu.argNumber(0) ? flags | S.AC : flags & ~S.AC);
    cpu.accessRightsChanged();
  },
  xgetbv: (cpu) => {
    if (!(cpu.state.u32(S.CR4) & 0x40000)) cpu.raise(Vector.UD);
    if (cpu.state.gprNumber(Reg.RCX) !== 0) cpu.raise(Vector.GP, 0);
    const value = cpu.state.u64(S.XCR0);
    cpu.state.setGpr(Reg.RAX, value & 0xffffffffn);
    cpu.state.setGpr(Reg.RDX, value >> 32n);
  },
  xsetbv: (cpu) => {
    const { state } = cpu;
    if (!(state.u32(S.CR4) & 0x40000)) cpu.raise(Vector.UD);
    if (state.cpl > 0) cpu.raise(Vector.GP, 0);
    const value = (BigInt(state.gprNumber(Reg.RDX)) << 32n) | BigInt(state.gprNumber(Reg.RAX));
    // x87 always, SSE optional; nothing else is there to enable.
    if (state.gprNumber(Reg.RCX) !== 0 || (value !== 1n && value !== 3n)) cpu.raise(Vector.GP, 0);
    state.setU64(S.XCR0, value);
  },
};
