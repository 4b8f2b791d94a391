// Far jumps, calls and returns, and IRET, between code segments (SDM volume 3A, 5.8; volume 2 JMP, CALL, RET, IRET). Gates and
// task switches are refused with #GP: no guest here can install them (Xen's update_descriptor forbids them to PV guests).

import { SEGMENT_UNUSABLE } from "../cpu-state.js";
import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import { Reg, Seg } from "../state-layout.js";
import type { HostCpu, HostOperationTable } from "./host-operation.js";
import { type Descriptor, enterCodeSegment, isReal, loadSegment, parseDescriptor, readDescriptor } from "./segments.js";
import { pushAll, readStack, releaseStack, type StackSlot, setStackPointer } from "./stack.js";

const LMA = 0x400n;

function codeDescriptor(cpu: HostCpu, selector: number): Descriptor {
  if (!(selector & 0xfffc)) cpu.raise(Vector.GP, 0);
  const raw = readDescriptor(cpu, selector);
  if (raw === undefined) cpu.raise(Vector.GP, selector & 0xfffc);
  const d = parseDescriptor(raw);
  if (d.system || !(d.type & 8)) cpu.raise(Vector.GP, selector & 0xfffc);
  // 64-bit code with D set is reserved.
  if (isLong(cpu, d) && d.attributes & 0x4000) cpu.raise(Vector.GP, selector & 0xfffc);
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

const isLong = (cpu: HostCpu, d: Descriptor) => (cpu.state.efer & LMA) !== 0n && (d.attributes & 0x2000) !== 0;

/** The target's offset lies within the new code segment, or is canonical in 64-bit code. */
function checkTarget(cpu: HostCpu, d: Descriptor, offset: bigint): void {
  const inside = isLong(cpu, d) ? BigInt.asIntN(48, offset) === BigInt.asIntN(64, offset) : offset <= BigInt(d.limit);
  if (!inside) cpu.raise(Vector.GP, 0);
}

/** Real mode: segments are selectors times 16; limits stay. */
function enterReal(cpu: HostCpu, selector: number, offset: bigint): void {
  if (offset > BigInt(cpu.state.u32(S.SEG_LIMIT + 4 * Seg.CS))) cpu.raise(Vector.GP, 0);
  cpu.state.setU32(S.SEG_SELECTOR + 4 * Seg.CS, selector);
  cpu.state.setSegmentBase(Seg.CS, BigInt(selector) << 4n);
  cpu.jump(offset);
}

/** The `index`th slot of `bytes` from rSP + `extra`. */
function slot(cpu: HostCpu, bytes: StackSlot, index: number, extra = 0): bigint {
  return readStack(cpu, cpu.state.gpr(Reg.RSP) + BigInt(index * bytes + extra), bytes);
}

/** Arguments: selector, offset, operand size. */
function jumpFar(cpu: HostCpu): void {
  const selector = cpu.argNumber(0) & 0xffff;
  const offset = cpu.arg(1);
  if (isReal(cpu)) {
    enterReal(cpu, selector, offset);
    return;
  }
  const d = checkTransfer(cpu, selector);
  checkTarget(cpu, d, offset);
  enterCodeSegment(cpu, selector, d, cpu.state.cpl);
  cpu.jump(offset);
}

function callFar(cpu: HostCpu): void {
  const selector = cpu.argNumber(0) & 0xffff;
  const offset = cpu.arg(1);
  const bytes = (cpu.argNumber(2) / 8) as StackSlot;
  const d = isReal(cpu) ? undefined : checkTransfer(cpu, selector);
  if (d) checkTarget(cpu, d, offset);
  else if (offset > BigInt(cpu.state.u32(S.SEG_LIMIT + 4 * Seg.CS))) cpu.raise(Vector.GP, 0);
  const oldCs = BigInt(cpu.state.segmentSelector(Seg.CS));
  const top = pushAll(cpu, cpu.state.gpr(Reg.RSP), bytes, [oldCs, cpu.nextRip]);
  setStackPointer(cpu, top);
  if (!d) {
    enterReal(cpu, selector, offset);
    return;
  }
  enterCodeSegment(cpu, selector, d, cpu.state.cpl);
  cpu.jump(offset);
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

/** rSP of the outer stack: as wide as the return's operands, or as a 16-bit stack segment. */
function returnStackPointer(cpu: HostCpu, value: bigint, bytes: StackSlot): void {
  const { state } = cpu;
  const narrow = state.codeMode !== 2 && state.u32(S.STACK_MASK) === 0xffff;
  if (narrow) setStackPointer(cpu, value);
  else state.setGpr(Reg.RSP, BigInt.asUintN(bytes === 8 ? 64 : 32, value));
}

/** Arguments: operand size, bytes of parameters. */
function returnFar(cpu: HostCpu): void {
  const { state } = cpu;
  const bytes = (cpu.argNumber(0) / 8) as StackSlot;
  const extra = cpu.argNumber(1);
  const offset = slot(cpu, bytes, 0);
  const selector = Number(slot(cpu, bytes, 1) & 0xffffn);
  if (isReal(cpu)) {
    enterReal(cpu, selector, offset);
    releaseStack(cpu, 2 * bytes + extra);
    return;
  }
  const d = checkReturn(cpu, selector);
  const rpl = selector & 3;
  if (rpl === state.cpl) {
    checkTarget(cpu, d, offset);
    releaseStack(cpu, 2 * bytes + extra);
    enterCodeSegment(cpu, selector, d, rpl);
  } else {
    const rsp = slot(cpu, bytes, 2, extra);
    const ss = Number(slot(cpu, bytes, 3, extra) & 0xffffn);
    checkTarget(cpu, d, offset);
    loadReturnStack(cpu, ss, rpl, isLong(cpu, d));
    enterCodeSegment(cpu, selector, d, rpl);
    returnStackPointer(cpu, rsp + BigInt(extra), bytes);
    dropInnerSegments(cpu);
  }
  cpu.jump(offset);
}

/** Argument: operand size. */
function interruptReturn(cpu: HostCpu): void {
  const { state } = cpu;
  const bytes = (cpu.argNumber(0) / 8) as StackSlot;
  const long = state.codeMode === 2;
  // A nested task's return is a task switch, which long mode has not.
  if (state.u32(S.EFLAGS) & S.NT && !isReal(cpu)) cpu.raise(Vector.GP, 0);
  const offset = slot(cpu, bytes, 0);
  const selector = Number(slot(cpu, bytes, 1) & 0xffffn);
  const flags = Number(slot(cpu, bytes, 2) & 0xffffffffn);
  const { cpl } = state;
  const old = Number(state.rflags & 0xffffffffn);
  let writable = S.STATUS_FLAGS | S.TF | S.DF | S.NT;
  if (bytes !== 2) writable |= S.RF | S.AC | S.ID;
  if (cpl <= ((old >>> 12) & 3)) writable |= S.IF;
  if (cpl === 0) writable |= S.IOPL | (bytes === 2 ? 0 : S.VIF | S.VIP);
  const newFlags = BigInt(((old & ~writable) | (flags & writable)) >>> 0);
  if (isReal(cpu)) {
    enterReal(cpu, selector, offset);
    releaseStack(cpu, 3 * bytes);
    state.rflags = newFlags;
    cpu.accessRightsChanged();
    return;
  }
  if (flags & S.VM && cpl === 0 && bytes === 4 && !(state.efer & LMA)) cpu.raise(Vector.GP, 0);
  const d = checkReturn(cpu, selector);
  const rpl = selector & 3;
  if (long || rpl !== cpl) {
    const rsp = slot(cpu, bytes, 3);
    const ss = Number(slot(cpu, bytes, 4) & 0xffffn);
    checkTarget(cpu, d, offset);
    loadReturnStack(cpu, ss, rpl, isLong(cpu, d));
    state.rflags = newFlags;
    enterCodeSegment(cpu, selector, d, rpl);
    returnStackPointer(cpu, rsp, bytes);
    if (rpl !== cpl) dropInnerSegments(cpu);
  } else {
    checkTarget(cpu, d, offset);
    releaseStack(cpu, 3 * bytes);
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
