// IN, OUT, INS and OUTS of PV guests (SDM 2A/2B). String forms commit after each element, so a page fault inside a REP
// restarts where it happened.

import type { Decoded } from "../../cpu/decode/decoded.js";
import { OperandKind } from "../../cpu/decode/decoded.js";
import { DF, Reg, Seg } from "../../cpu/state-layout.js";
import { EmulationResult, type EmulatorTable } from "./emulation.js";
import { injectPageFault } from "./inject.js";
import { ioInstructionAllowed, readPort, writePort } from "./io-ports.js";
import type { PvContext, PvHost } from "./pv-context.js";
import { translate } from "./translate.js";

const PF_WRITE = 2;
/** Elements of a REP INS/OUTS carried out before the guest may be interrupted. */
const REP_SLICE = 1024;

function portOf(vcpu: PvContext, decoded: Decoded, operand: number): number {
  const isImmediate = decoded.form.operands[operand]!.kind === OperandKind.Immediate;
  return isImmediate ? decoded.immLo & 0xff : vcpu.cpu.state.gprNumber(Reg.RDX) & 0xffff;
}

/** Bytes: 1, 2 or 4 (I/O has no 64-bit form). */
function sizeOf(decoded: Decoded, operand: number): number {
  return Math.min(decoded.form.operands[operand]!.size || decoded.form.operandSize, 32) / 8;
}

function writeAccumulator(vcpu: PvContext, size: number, value: number): void {
  const { state } = vcpu.cpu;
  if (size === 4) {
    state.setGpr(Reg.RAX, BigInt(value >>> 0));
    return;
  }
  const mask = size === 2 ? 0xffffn : 0xffn;
  state.setGpr(Reg.RAX, (state.gpr(Reg.RAX) & ~mask) | BigInt(value));
}

function lowBits(value: number, size: number): number {
  return size === 4 ? value >>> 0 : value & ((1 << (size * 8)) - 1);
}

function stringTransfer(host: PvHost, vcpu: PvContext, decoded: Decoded, isIn: boolean): EmulationResult {
  const { state } = vcpu.cpu;
  const size = Math.min(decoded.form.operandSize, 32) / 8;
  const port = state.gprNumber(Reg.RDX) & 0xffff;
  if (!ioInstructionAllowed(host, vcpu, port, size)) return EmulationResult.Refused;
  const addressMask = (1n << BigInt(decoded.addressSize)) - 1n;
  const pointer = isIn ? Reg.RDI : Reg.RSI;
  const segment = isIn ? Seg.ES : decoded.segment;
  const step = BigInt(state.rflags & BigInt(DF) ? -size : size);
  const usesSegmentBase = state.codeMode !== 2 || segment === Seg.FS || segment === Seg.GS;
  const segmentBase = usesSegmentBase ? state.segmentBase(segment) : 0n;

  for (let done = 0; done < REP_SLICE; done++) {
    if (decoded.rep !== 0 && (state.gpr(Reg.RCX) & addressMask) === 0n) return EmulationResult.Done;
    const offset = state.gpr(pointer) & addressMask;
    let linear = BigInt.asUintN(64, segmentBase + offset);
    if (state.codeMode !== 2) linear &= 0xffff_ffffn;
    if (!transferElement(host, vcpu, linear, port, size, isIn)) return EmulationResult.Handled;
    setAddressRegister(vcpu, pointer, BigInt.asUintN(64, offset + step), decoded.addressSize);
    if (decoded.rep === 0) return EmulationResult.Done;
    setAddressRegister(vcpu, Reg.RCX, BigInt.asUintN(64, state.gpr(Reg.RCX) - 1n), decoded.addressSize);
  }
  return EmulationResult.Handled;
}

function setAddressRegister(vcpu: PvContext, register: number, value: bigint, addressSize: number): void {
  const { state } = vcpu.cpu;
  if (addressSize === 64) state.setGpr(register, value);
  else if (addressSize === 32) state.setGpr(register, value & 0xffff_ffffn);
  else state.setGpr(register, (state.gpr(register) & ~0xffffn) | (value & 0xffffn));
}

/** One element; false after it raised #PF. Bytes are translated one by one, so that page crossings need no case of their own. */
function transferElement(
  host: PvHost,
  vcpu: PvContext,
  linear: bigint,
  port: number,
  size: number,
  isIn: boolean,
): boolean {
  const { memory } = host;
  const at: number[] = [];
  for (let i = 0; i < size; i++) {
    const va = BigInt.asUintN(64, linear + BigInt(i));
    const maddr = translate(host, vcpu, va, isIn);
    if (maddr < 0) {
      injectPageFault(host, vcpu, isIn ? PF_WRITE : 0, va);
      return false;
    }
    at.push(maddr);
  }
  if (isIn) {
    const value = readPort(host, vcpu, port, size);
    at.forEach((maddr, i) => {
      memory.writeU8(maddr, (value >>> (i * 8)) & 0xff);
    });
  } else {
    let value = 0;
    at.forEach((maddr, i) => {
      value |= memory.readU8(maddr) << (i * 8);
    });
    writePort(host, vcpu, port, size, value >>> 0);
  }
  return true;
}

export const ioEmulators: EmulatorTable = {
  IN: (host, vcpu, decoded) => {
    const port = portOf(vcpu, decoded, 1);
    const size = sizeOf(decoded, 0);
    if (!ioInstructionAllowed(host, vcpu, port, size)) return EmulationResult.Refused;
    writeAccumulator(vcpu, size, readPort(host, vcpu, port, size));
    return EmulationResult.Done;
  },
  OUT: (host, vcpu, decoded) => {
    const port = portOf(vcpu, decoded, 0);
    const size = sizeOf(decoded, 1);
    if (!ioInstructionAllowed(host, vcpu, port, size)) return EmulationResult.Refused;
    writePort(host, vcpu, port, size, lowBits(vcpu.cpu.state.gprNumber(Reg.RAX), size));
    return EmulationResult.Done;
  },
  INS: (host, vcpu, decoded) => stringTransfer(host, vcpu, decoded, true),
  OUTS: (host, vcpu, decoded) => stringTransfer(host, vcpu, decoded, false),
};
