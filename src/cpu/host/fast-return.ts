// SYSRET and SYSEXIT: returns to CPL 3 without descriptors (SDM volume 2). For code at CPL 0 on a bare CPU.

import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import { Reg, Seg } from "../state-layout.js";
import type { HostCpu, HostOperationTable } from "./host-operation.js";

const CODE64 = 0xa0fb;
const CODE32 = 0xc0fb;
const DATA = 0xc0f3;

/** Flat segments of CPL 3 at `selector` and the one after it. */
function enterUser(cpu: HostCpu, codeSelector: number, stackSelector: number, long: boolean): void {
  const { state } = cpu;
  state.setSegment(Seg.CS, {
    selector: codeSelector | 3,
    base: 0n,
    limit: 0xffffffff,
    attributes: long ? CODE64 : CODE32,
  });
  state.setSegment(Seg.SS, { selector: stackSelector | 3, base: 0n, limit: 0xffffffff, attributes: DATA });
  state.setU32(S.STACK_MASK, 0xffffffff);
  state.codeMode = long ? 2 : 1;
  state.cpl = 3;
  cpu.accessRightsChanged();
}

export const fastReturnOperations: HostOperationTable = {
  /** Argument: operand size. */
  sysret: (cpu) => {
    const { state } = cpu;
    if (!(state.efer & 1n) || state.codeMode !== 2) cpu.raise(Vector.UD);
    const long = cpu.argNumber(0) === 64;
    const base = Number((state.u64(S.STAR) >> 48n) & 0xffffn);
    const rcx = state.gpr(Reg.RCX);
    if (long && BigInt.asIntN(48, rcx) !== BigInt.asIntN(64, rcx)) cpu.raise(Vector.GP, 0);
    const kept = BigInt(S.STATUS_FLAGS | S.TF | S.IF | S.DF | S.IOPL | S.NT | S.AC | S.VIF | S.VIP | S.ID);
    state.rflags = (state.gpr(Reg.R11) & kept) | 2n;
    enterUser(cpu, long ? base + 16 : base, base + 8, long);
    cpu.jump(long ? rcx : rcx & 0xffffffffn);
  },
  sysexit: (cpu) => {
    const { state } = cpu;
    const base = state.u32(S.SYSENTER_CS);
    if (!(base & 0xfffc)) cpu.raise(Vector.GP, 0);
    const long = cpu.argNumber(0) === 64;
    const mask = long ? 0xffffffffffffffffn : 0xffffffffn;
    const [rip, rsp] = [state.gpr(Reg.RDX) & mask, state.gpr(Reg.RCX) & mask];
    enterUser(cpu, base + (long ? 32 : 16), base + (long ? 40 : 24), long);
    state.setGpr(Reg.RSP, rsp);
    cpu.jump(rip);
  },
};
