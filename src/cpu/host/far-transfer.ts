// Far jumps, calls and returns, and IRET, between code segments (SDM volume 3A, 5.8; volume 2 JMP, CALL, RET, IRET). Gates and
// task switches are refused with #GP: no guest here can install them (Xen's update_descriptor forbids them to PV guests).

import { SEGMENT_UNUSABLE } from "../cpu-state.js";
import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import { Reg, Seg } from "../state-layout.js";
import type { HostCpu, HostOperationTable } from "./host-operation.js";
import { type Descriptor, enterCodeSegment, loadSegment, parseDescriptor, readDescriptor } from "./segments.js";

const isReal = (cpu: HostCpu) => !(cpu.state.u32(S.CR0) & 1) && !cpu.hooks.readDescriptor;

function codeDescriptor(cpu: HostCpu, selector: number): Descriptor {
  if (!(selector & 0xfffc)) cpu.raise(Vector.GP, 0);
  const raw = readDescriptor(cpu, selector);
  if (raw === undefined) return cpu.raise(Vector.GP, selector & 0xfffc);
  const d = parseDescriptor(raw);
  if (d.system || !(d.type & 8)) cpu.raise(Vector.GP, selector & 0xfffc);
  return d;
}

/** Target of a far JMP or CALL: same privilege, or a conforming segment. */
function checkTransfer(cpu: HostCpu, selector: number): Descriptor {
  const d = codeDescriptor(cpu, selector);
  const { cpl } = cpu.state;
  const conforming = (d.type & 4) !== 0;
  if (conforming ? d.dpl > cpl : d.dpl !== cpl || (selector & 3) > cpl) cpu.raise(Vector.GP, selector & 0xfffc);
  if (!d.present) cpu.raise(Vector.NP, selector & 0xfffc);
  return d;
}

function enterReal(cpu: HostCpu, selector: number, offset: bigint): void {
  cpu.state.setU32(S.SEG_SELECTOR + 4 * Seg.CS, selector);
  cpu.state.setSegmentBase(Seg.CS, BigInt(selector) << 4n);
  cpu.jump(offset);
}

/** A linear address `offset` bytes from rSP. */
function stackAddress(cpu: HostCpu, offset: number): bigint {
  const { state } = cpu;
  const rsp = BigInt.asUintN(64, state.gpr(Reg.RSP) + BigInt(offset));
  if (state.codeMode === 2) return rsp;
  return ((rsp & BigInt(state.u32(S.STACK_MASK))) + state.segmentBase(Seg.SS)) & 0xffffffffn;
}

function moveStack(cpu: HostCpu, bytes: number): void {
  const { state } = cpu;
  const rsp = state.gpr(Reg.RSP);
  const mask = state.codeMode === 2 ? 0xffffffffffffffffn : BigInt(state.u32(S.STACK_MASK));
  state.setGpr(Reg.RSP, (rsp & ~mask) | (BigInt.asUintN(64, rsp + BigInt(bytes)) & mask));
}

/** Arguments: selector, offset, operand size. */
function jumpFar(cpu: HostCpu): void {
  const selector = cpu.argNumber(0) & 0xffff;
  const offset = cpu.arg(1);
  if (isReal(cpu)) return enterReal(cpu, selector, offset);
  const d = checkTransfer(cpu, selector);
  enterCodeSegment(cpu, selector, d, cpu.state.cpl);
  cpu.jump(offset);
}

function callFar(cpu: HostCpu): void {
  const selector = cpu.argNumber(0) & 0xffff;
  const offset = cpu.arg(1);
  const bytes = (cpu.argNumber(2) / 8) as 2 | 4 | 8;
  const d = isReal(cpu) ? undefined : checkTransfer(cpu, selector);
  const oldCs = BigInt(cpu.state.segmentSelector(Seg.CS));
  cpu.probeWrite(stackAddress(cpu, -2 * bytes), 2 * bytes);
  cpu.write(stackAddress(cpu, -bytes), bytes, oldCs);
  cpu.write(stackAddress(cpu, -2 * bytes), bytes, cpu.nextRip);
  moveStack(cpu, -2 * bytes);
  if (d) enterCodeSegment(cpu, selector, d, cpu.state.cpl);
  if (d) cpu.jump(offset);
  else enterReal(cpu, selector, offset);
}

/** Registers that a return to an outer level may not keep (SDM volume 3A, 5.8.6). */
function dropInnerSegments(cpu: HostCpu): void {
  const { state } = cpu;
  for (const segment of [Seg.ES, Seg.DS, Seg.FS, Seg.GS]) {
    const { attributes } = state.segment(segment);
    const conforming = (attributes & 0xc) === 0xc;
    if (attributes & SEGMENT_UNUSABLE || conforming || ((attributes >> 5) & 3) >= state.cpl) continue;
    state.setSegment(segment, { selector: 0, base: 0n, limit: 0, attributes: SEGMENT_UNUSABLE });
  }
}

/** Code segment of a return: RPL is the new CPL, never a more privileged one. */
function checkReturn(cpu: HostCpu, selector: number): Descriptor {
  const rpl = selector & 3;
  const d = codeDescriptor(cpu, selector);
  if (rpl < cpu.state.cpl) cpu.raise(Vector.GP, selector & 0xfffc);
  const conforming = (d.type & 4) !== 0;
  if (conforming ? d.dpl > rpl : d.dpl !== rpl) cpu.raise(Vector.GP, selector & 0xfffc);
  if (!d.present) cpu.raise(Vector.NP, selector & 0xfffc);
  return d;
}

/** Loads SS for the level `cpl` that a return goes to. */
function loadReturnStack(cpu: HostCpu, selector: number, cpl: number, toLong: boolean): void {
  const { state } = cpu;
  if (!(selector & 0xfffc)) {
    if (!toLong || cpl === 3) cpu.raise(Vector.GP, 0);
    state.setSegment(Seg.SS, { selector, base: 0n, limit: 0, attributes: SEGMENT_UNUSABLE });
    return;
  }
  const before = state.cpl;
  state.cpl = cpl;
  try {
    loadSegment(cpu, Seg.SS, selector);
  } finally {
    state.cpl = before;
  }
}

/** Arguments: operand size, bytes of parameters. */
function returnFar(cpu: HostCpu): void {
  const { state } = cpu;
  const bytes = (cpu.argNumber(0) / 8) as 2 | 4 | 8;
  const extra = cpu.argNumber(1);
  const offset = cpu.read(stackAddress(cpu, 0), bytes);
  const selector = Number(cpu.read(stackAddress(cpu, bytes), bytes) & 0xffffn);
  if (isReal(cpu)) {
    moveStack(cpu, 2 * bytes + extra);
    return enterReal(cpu, selector, offset);
  }
  const d = checkReturn(cpu, selector);
  const rpl = selector & 3;
  if (rpl === state.cpl) {
    moveStack(cpu, 2 * bytes + extra);
    enterCodeSegment(cpu, selector, d, rpl);
  } else {
    const rsp = cpu.read(stackAddress(cpu, 2 * bytes + extra), bytes);
    const ss = Number(cpu.read(stackAddress(cpu, 3 * bytes + extra), bytes) & 0xffffn);
    loadReturnStack(cpu, ss, rpl, (d.attributes & 0x2000) !== 0);
    enterCodeSegment(cpu, selector, d, rpl);
    state.setGpr(Reg.RSP, BigInt.asUintN(64, rsp + BigInt(extra)));
    dropInnerSegments(cpu);
  }
  cpu.jump(offset);
}

/** Argument: operand size. */
function interruptReturn(cpu: HostCpu): void {
  const { state } = cpu;
  const bytes = (cpu.argNumber(0) / 8) as 2 | 4 | 8;
  const slot = (i: number) => cpu.read(stackAddress(cpu, i * bytes), bytes);
  const long = state.codeMode === 2;
  if (state.u32(S.EFLAGS) & S.NT && !isReal(cpu)) cpu.raise(Vector.GP, 0);
  const offset = slot(0);
  const selector = Number(slot(1) & 0xffffn);
  const flags = Number(slot(2) & 0xffffffffn);
  const { cpl } = state;
  const old = Number(state.rflags & 0xffffffffn);
  let writable = S.STATUS_FLAGS | S.TF | S.DF | S.NT;
  if (bytes !== 2) writable |= S.RF | S.AC | S.ID;
  if (cpl <= ((old >>> 12) & 3)) writable |= S.IF;
  if (cpl === 0) writable |= S.IOPL | (bytes === 2 ? 0 : S.VIF | S.VIP);
  const newFlags = BigInt(((old & ~writable) | (flags & writable)) >>> 0);
  if (isReal(cpu)) {
    moveStack(cpu, 3 * bytes);
    state.rflags = newFlags;
    return enterReal(cpu, selector, offset);
  }
  const d = checkReturn(cpu, selector);
  const rpl = selector & 3;
  if (long || rpl !== cpl) {
    const rsp = slot(3);
    const ss = Number(slot(4) & 0xffffn);
    loadReturnStack(cpu, ss, rpl, (d.attributes & 0x2000) !== 0);
    state.rflags = newFlags;
    enterCodeSegment(cpu, selector, d, rpl);
    state.setGpr(Reg.RSP, rsp);
    if (rpl !== cpl) dropInnerSegments(cpu);
  } else {
    moveStack(cpu, 3 * bytes);
    state.rflags = newFlags;
    enterCodeSegment(cpu, selector, d, rpl);
  }
  cpu.jump(offset);
}

export const farTransferOperations: HostOperationTable = {
  jumpFar,
  callFar,
  returnFar,
  interruptReturn,
};
