// Model-specific registers that live in the vCPU's state (SDM volume 4, AMD APM volume 2 appendix A), for code at CPL 0.

import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import { Reg, Seg } from "../state-layout.js";
import type { HostCpu, HostOperationTable } from "./host-operation.js";

const LMA = 0x400n;
const LME = 0x100n;
/** SCE LME LMA NXE. */
const EFER_KNOWN = 0xd01n;
const TSC = 0x10;
const EFER = 0xc0000080;

interface Register {
  readonly field: number;
  /** Values that are not canonical addresses raise #GP. */
  readonly address?: true;
  /** The upper half must be zero. */
  readonly narrow?: true;
}

/** By number; all others raise #GP. */
const registers: ReadonlyMap<number, Register> = new Map([
  [0x174, { field: S.SYSENTER_CS, narrow: true }],
  [0x175, { field: S.SYSENTER_ESP, address: true }],
  [0x176, { field: S.SYSENTER_EIP, address: true }],
  [EFER, { field: S.EFER }],
  [0xc0000081, { field: S.STAR }],
  [0xc0000082, { field: S.LSTAR, address: true }],
  [0xc0000083, { field: S.CSTAR, address: true }],
  [0xc0000084, { field: S.FMASK }],
  [0xc0000100, { field: S.SEG_BASE + 8 * Seg.FS, address: true }],
  [0xc0000101, { field: S.SEG_BASE + 8 * Seg.GS, address: true }],
  [0xc0000102, { field: S.KERNEL_GS_BASE, address: true }],
  [0xc0000103, { field: S.TSC_AUX, narrow: true }],
] satisfies [number, Register][]);

export function isCanonical(address: bigint): boolean {
  return BigInt.asIntN(48, address) === BigInt.asIntN(64, address);
}

function readMsr(cpu: HostCpu): void {
  const { state } = cpu;
  const number = state.gprNumber(Reg.RCX);
  const register = registers.get(number);
  if (!register && number !== TSC) cpu.raise(Vector.GP, 0);
  const value = register ? state.u64(register.field) : cpu.hooks.rdtsc();
  state.setGpr(Reg.RAX, value & 0xffffffffn);
  state.setGpr(Reg.RDX, value >> 32n);
}

function writeMsr(cpu: HostCpu): void {
  const { state } = cpu;
  const number = state.gprNumber(Reg.RCX);
  const register = registers.get(number);
  if (!register) cpu.raise(Vector.GP, 0);
  const value = (BigInt(state.gprNumber(Reg.RDX)) << 32n) | BigInt(state.gprNumber(Reg.RAX));
  if (register.address && !isCanonical(value)) cpu.raise(Vector.GP, 0);
  if (register.narrow && value >> 32n) cpu.raise(Vector.GP, 0);
  if (number !== EFER) {
    state.setU64(register.field, value);
    return;
  }
  const { efer } = state;
  const paging = state.u32(S.CR0) & 0x80000000;
  if (value & ~EFER_KNOWN || (paging && (value ^ efer) & LME)) cpu.raise(Vector.GP, 0);
  // LMA follows CR0.PG and LME.
  state.setU64(S.EFER, (value & ~LMA) | (efer & LMA));
  cpu.accessRightsChanged();
  cpu.flushTlb();
  cpu.jump(cpu.nextRip);
}

export const modelSpecificOperations: HostOperationTable = { rdmsr: readMsr, wrmsr: writeMsr };
