// SYSRET and SYSEXIT: returns to CPL 3 without descriptors (SDM volume 2; where processors differ, AMD APM volume 3, since CPUID
// says we are one). For code at CPL 0 on a bare CPU.

import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import { Reg, Seg } from "../state-layout.js";
import type { HostCpu, HostOperationTable } from "./host-operation.js";
import { isReal } from "./segments.js";

const CODE64 = 0xa0fb;
const CODE32 = 0xc0fb;
const DATA = 0xc0f3;
const LMA = 0x400n;

/** Flat segments of CPL 3. */
function enterUser(cpu: HostCpu, codeSelector: number, stackSelector: number, long: boolean): void {
  const { state } = cpu;
  const flat = { base: 0n, limit: 0xffffffff };
  state.setSegment(Seg.CS, { ...flat, selector: (codeSelector & 0xffff) | 3, attributes: long ? CODE64 : CODE32 });
  state.setSegment(Seg.SS, { ...flat, selector: (stackSelector & 0xffff) | 3, attributes: DATA });
  state.setU32(S.STACK_MASK, 0xffffffff);
  state.codeMode = long ? 2 : 1;
  state.cpl = 3;
  cpu.accessRightsChanged();
}

/** Argument: operand size. A RIP that isn't canonical faults at its fetch, as on AMD processors. */
function sysret(cpu: HostCpu): void {
  const { state } = cpu;
  if (!(state.efer & 1n)) cpu.raise(Vector.UD);
  if (isReal(cpu)) cpu.raise(Vector.UD);
  const from64 = state.codeMode === 2;
  const long = from64 && cpu.argNumber(0) === 64;
  const base = Number((state.u64(S.STAR) >> 48n) & 0xffffn);
  const rcx = state.gpr(Reg.RCX);
  if (from64) {
    const kept = BigInt(S.STATUS_FLAGS | S.TF | S.IF | S.DF | S.IOPL | S.NT | S.AC | S.VIF | S.VIP | S.ID);
    state.rflags = (state.gpr(Reg.R11) & kept) | 2n;
  } else state.setU32(S.EFLAGS, state.u32(S.EFLAGS) | S.IF);
  enterUser(cpu, long ? base + 16 : base, base + 8, long);
  cpu.jump(long ? rcx : rcx & 0xffffffffn);
}

/** Argument: operand size. Not in long mode, as on AMD processors. */
function sysexit(cpu: HostCpu): void {
  const { state } = cpu;
  if (state.efer & LMA) cpu.raise(Vector.UD);
  const base = state.u32(S.SYSENTER_CS);
  if (isReal(cpu) || !(base & 0xfffc)) cpu.raise(Vector.GP, 0);
  const [rip, rsp] = [state.gpr(Reg.RDX) & 0xffffffffn, state.gpr(Reg.RCX) & 0xffffffffn];
  enterUser(cpu, base + 16, base + 24, false);
  state.setGpr(Reg.RSP, rsp);
  cpu.jump(rip);
}

export const fastReturnOperations: HostOperationTable = { sysret, sysexit };
