// Decimal adjustment (DAA DAS AAA AAS AAM AAD) and the multi-register stack forms (PUSHA POPA ENTER). SDM volume 2.

import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import { Reg } from "../state-layout.js";
import type { HostCpu, HostOperationTable } from "./host-operation.js";
import { probeStack, pushAll, readStack, setStackPointer } from "./stack.js";

function setAx(cpu: HostCpu, ax: number): void {
  cpu.state.setGpr(Reg.RAX, (cpu.state.gpr(Reg.RAX) & ~0xffffn) | BigInt(ax & 0xffff));
}

/** SF, ZF and PF of AL, with the other flags as given. */
function setFlags(cpu: HostCpu, al: number, rest: number): void {
  let parity = al ^ (al >> 4);
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  const byResult = (al === 0 ? S.ZF : 0) | (al & 0x80 ? S.SF : 0) | (parity & 1 ? 0 : S.PF);
  cpu.state.statusFlags = byResult | rest;
}

function adjustPacked(cpu: HostCpu, sign: 1 | -1): void {
  const ax = cpu.state.gprNumber(Reg.RAX) & 0xffff;
  const flags = cpu.state.statusFlags;
  const old = ax & 0xff;
  let al = old;
  let rest = 0;
  if ((al & 15) > 9 || flags & S.AF) {
    al += 6 * sign;
    rest |= S.AF;
    if (flags & S.CF || al < 0 || al > 0xff) rest |= S.CF;
  }
  if (old > 0x99 || flags & S.CF) {
    al += 0x60 * sign;
    rest |= S.CF;
  } else if (sign === 1) rest &= ~S.CF;
  al &= 0xff;
  setAx(cpu, (ax & 0xff00) | al);
  setFlags(cpu, al, rest);
}

function adjustAscii(cpu: HostCpu, sign: 1 | -1): void {
  let ax = cpu.state.gprNumber(Reg.RAX) & 0xffff;
  const adjust = (ax & 15) > 9 || (cpu.state.statusFlags & S.AF) !== 0;
  if (adjust) ax += sign === 1 ? 0x106 : -0x106;
  ax &= 0xff0f;
  setAx(cpu, ax);
  setFlags(cpu, ax & 0xff, adjust ? S.AF | S.CF : 0);
}

/** Writes a register's low `bits`; 32 bits clear the rest. */
function setSized(cpu: HostCpu, register: number, bits: number, value: bigint): void {
  const old = cpu.state.gpr(register);
  cpu.state.setGpr(register, bits === 16 ? (old & ~0xffffn) | (value & 0xffffn) : value);
}

/**
 * What a read of the old frame's pointers finds at `pointer`, given that `pushed` values lie below `rsp` already: processors
 * push each one before they read the next, and the two may overlap.
 */
function withPushed(read: bigint, pointer: bigint, rsp: bigint, bytes: number, pushed: readonly bigint[]): bigint {
  const ones = (1n << BigInt(8 * bytes)) - 1n;
  let value = read;
  for (const [i, one] of pushed.entries()) {
    const distance = Number(BigInt.asIntN(64, rsp - BigInt((i + 1) * bytes) - pointer));
    if (Math.abs(distance) >= bytes) continue;
    const shift = BigInt(8 * Math.abs(distance));
    const move = (v: bigint) => (distance > 0 ? (v << shift) & ones : v >> shift);
    value = (value & ~move(ones)) | move(one & ones);
  }
  return value;
}

export const decimalOperations: HostOperationTable = {
  daa: (cpu) => adjustPacked(cpu, 1),
  das: (cpu) => adjustPacked(cpu, -1),
  aaa: (cpu) => adjustAscii(cpu, 1),
  aas: (cpu) => adjustAscii(cpu, -1),
  aam: (cpu) => {
    const base = cpu.argNumber(0) & 0xff;
    if (base === 0) cpu.raise(Vector.DE);
    const al = cpu.state.gprNumber(Reg.RAX) & 0xff;
    setAx(cpu, (Math.floor(al / base) << 8) | (al % base));
    setFlags(cpu, al % base, 0);
  },
  aad: (cpu) => {
    const ax = cpu.state.gprNumber(Reg.RAX) & 0xffff;
    const al = ((ax & 0xff) + (ax >> 8) * (cpu.argNumber(0) & 0xff)) & 0xff;
    setAx(cpu, al);
    setFlags(cpu, al, 0);
  },
  /** Argument: operand size. Order: AX CX DX BX SP BP SI DI, SP as before. */
  pusha: (cpu) => {
    const bytes = (cpu.argNumber(0) / 8) as 2 | 4;
    const rsp = cpu.state.gpr(Reg.RSP);
    const values = Array.from({ length: 8 }, (_, i) => cpu.state.gpr(i));
    setStackPointer(cpu, pushAll(cpu, rsp, bytes, values));
  },
  popa: (cpu) => {
    const bits = cpu.argNumber(0);
    const bytes = (bits / 8) as 2 | 4;
    const rsp = cpu.state.gpr(Reg.RSP);
    const values = Array.from({ length: 8 }, (_, i) => readStack(cpu, rsp + BigInt(i * bytes), bytes));
    for (const [i, value] of values.entries()) if (7 - i !== Reg.RSP) setSized(cpu, 7 - i, bits, value);
    setStackPointer(cpu, rsp + BigInt(8 * bytes));
  },
  /** Arguments: bytes of locals, nesting level, operand size. */
  enter: (cpu) => {
    const { state } = cpu;
    const locals = BigInt(cpu.argNumber(0));
    const level = cpu.argNumber(1) & 31;
    const bits = cpu.argNumber(2);
    const bytes = (bits / 8) as 2 | 4 | 8;
    const step = BigInt(bytes);
    const rsp = state.gpr(Reg.RSP);
    let rbp = state.gpr(Reg.RBP);
    const frame = rsp - step;
    const pushes: bigint[] = [rbp];
    // Faults come in the order of the pushes and reads.
    probeStack(cpu, frame, bytes);
    for (let i = 1; i < level; i++) {
      rbp -= step;
      pushes.push(withPushed(readStack(cpu, rbp, bytes), rbp, rsp, bytes, pushes));
      probeStack(cpu, rsp - step * BigInt(pushes.length), bytes);
    }
    if (level > 0) pushes.push(frame);
    const end = rsp - step * BigInt(pushes.length) - locals;
    pushAll(cpu, rsp, bytes, pushes);
    // The new top of the stack is touched as by a write (SDM volume 2, ENTER).
    probeStack(cpu, end, bytes);
    setSized(cpu, Reg.RBP, bits, bits === 32 ? frame & 0xffffffffn : BigInt.asUintN(64, frame));
    setStackPointer(cpu, end);
  },
};
