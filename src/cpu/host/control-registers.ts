// Control and debug registers: what code at CPL 0 does on a bare CPU. SDM volume 3A, 2.5; volume 3B, 18.2.
// A PV guest never gets here: above CPL 0 these raise #GP, and the hypervisor emulates what it allows.

import { DR6_BD } from "../debug.js";
import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import { Seg } from "../state-layout.js";
import type { HostCpu, HostOperationTable } from "./host-operation.js";

const crField: Readonly<Record<number, number>> = { 0: S.CR0, 2: S.CR2, 3: S.CR3, 4: S.CR4 };

const PE = 1n;
const TS = 8n;
const ET = 0x10n;
const NW = 0x20000000n;
const CD = 0x40000000n;
const PG = 0x80000000n;
/** PE MP EM TS ET NE WP AM NW CD PG; the other bits of the low half are ignored, those of the high half must be zero. */
const CR0_KNOWN = 0xe005003fn;
/** VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT UMIP FSGSBASE OSXSAVE SMEP SMAP. */
const CR4_KNOWN = 0x350fffn;
const PAE = 0x20n;
const DE = 8n;
const LMA = 0x400n;
const LME = 0x100n;
const DR7_GD = 0x2000;
/** A page-directory-pointer entry of PAE paging: present, and what must be zero (SDM volume 3A, table 4-8). */
const PDPTE_RESERVED = 0xffffff00000001e6n;

/** MOV CR3 in PAE paging loads four entries and checks them (SDM volume 3A, 4.4.1). */
function checkPointers(cpu: HostCpu, cr0: bigint, cr3: bigint, cr4: bigint): void {
  if (!(cr0 & PG) || !(cr4 & PAE) || cpu.state.efer & LMA) return;
  const table = Number(cr3 & 0xffffffe0n);
  if (table + 32 > cpu.memory.frames * 4096) cpu.raise(Vector.GP, 0);
  for (let i = 0; i < 4; i++) {
    const entry = cpu.memory.readU64(table + 8 * i);
    if (entry & 1n && entry & PDPTE_RESERVED) cpu.raise(Vector.GP, 0);
  }
}

function writeCr0(cpu: HostCpu, wanted: bigint): void {
  const { state } = cpu;
  const { cr0, cr4, efer } = state;
  if (wanted >> 32n || (wanted & PG && !(wanted & PE)) || (wanted & NW && !(wanted & CD))) cpu.raise(Vector.GP, 0);
  const value = (wanted & CR0_KNOWN) | ET;
  let newEfer = efer;
  if (value & PG && !(cr0 & PG)) {
    if (efer & LME) {
      // Long mode starts with PAE paging, from code that isn't marked as 64-bit.
      if (!(cr4 & PAE) || state.u32(S.SEG_ATTR + 4 * Seg.CS) & 0x2000) cpu.raise(Vector.GP, 0);
      newEfer |= LMA;
    } else checkPointers(cpu, value, state.cr3, cr4);
  } else if (!(value & PG) && cr0 & PG) {
    if (state.codeMode === 2) cpu.raise(Vector.GP, 0);
    newEfer &= ~LMA;
  }
  state.setU64(S.EFER, newEfer);
  state.setU64(S.CR0, value);
}

function writeCr4(cpu: HostCpu, value: bigint): void {
  const { state } = cpu;
  if (value & ~CR4_KNOWN || (state.efer & LMA && !(value & PAE))) cpu.raise(Vector.GP, 0);
  if ((value ^ state.cr4) & PAE) checkPointers(cpu, state.cr0, state.cr3, value);
  state.setU64(S.CR4, value);
}

/** Arguments: number, value. Goes on through a lookup of the next instruction: translations may have changed. */
function writeCr(cpu: HostCpu): void {
  const { state } = cpu;
  const number = cpu.argNumber(0);
  const value = state.codeMode === 2 ? cpu.arg(1) : cpu.arg(1) & 0xffffffffn;
  if (number === 0) writeCr0(cpu, value);
  else if (number === 2) state.cr2 = value;
  else if (number === 3) {
    // Physical addresses have 40 bits here.
    if (state.efer & LMA && value >> 40n) cpu.raise(Vector.GP, 0);
    checkPointers(cpu, state.cr0, value, state.cr4);
    state.setU64(S.CR3, value);
  } else if (number === 4) writeCr4(cpu, value);
  else if (number === 8) {
    if (value > 15n) cpu.raise(Vector.GP, 0);
    state.setU32(S.CR8, Number(value));
  } else cpu.raise(Vector.UD);
  cpu.accessRightsChanged();
  cpu.flushTlb();
  cpu.jump(cpu.nextRip);
}

/** DR4 and DR5 name DR6 and DR7 unless CR4.DE forbids it; with DR7.GD every access is a #DB fault. */
function debugRegister(cpu: HostCpu): number {
  const { state } = cpu;
  let number = cpu.argNumber(0);
  if (number > 7) cpu.raise(Vector.UD);
  if (number === 4 || number === 5) {
    if (state.cr4 & DE) cpu.raise(Vector.UD);
    number += 2;
  }
  if (state.u32(S.DR + 56) & DR7_GD) {
    state.setU64(S.DR + 48, state.dr(6) | BigInt(DR6_BD));
    state.setU32(S.DR + 56, state.u32(S.DR + 56) & ~DR7_GD);
    cpu.raise(Vector.DB);
  }
  return number;
}

function readCr(cpu: HostCpu): void {
  const number = cpu.argNumber(0);
  const field = crField[number];
  if (number === 8) cpu.setResult(0, BigInt(cpu.state.u32(S.CR8)));
  else if (field === undefined) cpu.raise(Vector.UD);
  else cpu.setResult(0, cpu.state.u64(field));
}

function writeDr(cpu: HostCpu): void {
  const number = debugRegister(cpu);
  const value = cpu.arg(1);
  if (number >= 6 && value >> 32n) cpu.raise(Vector.GP, 0);
  const fixed = number === 6 ? (value & 0xe00fn) | 0xffff0ff0n : number === 7 ? (value & 0xffff2bffn) | 0x400n : value;
  cpu.state.setU64(S.DR + 8 * number, fixed);
  cpu.accessRightsChanged();
  cpu.jump(cpu.nextRip);
}

export const controlRegisterOperations: HostOperationTable = {
  readCr,
  writeCr,
  readDr: (cpu) => cpu.setResult(0, cpu.state.dr(debugRegister(cpu))),
  writeDr,
  clts: (cpu) => {
    cpu.state.setU64(S.CR0, cpu.state.cr0 & ~TS);
    cpu.accessRightsChanged();
  },
  /** LMSW can set PE, not clear it. */
  lmsw: (cpu) => {
    cpu.state.setU64(S.CR0, (cpu.state.cr0 & ~0xen) | BigInt(cpu.argNumber(0) & 0xf));
    cpu.accessRightsChanged();
    cpu.jump(cpu.nextRip);
  },
  invlpg: (cpu) => cpu.invalidatePage(cpu.arg(0)),
};
