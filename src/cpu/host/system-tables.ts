// Registers of descriptor tables: GDTR, IDTR, LDTR, TR (SDM volume 3A, 2.4, 7.2; volume 2 LGDT, LLDT, LTR, SGDT, SLDT, STR).

import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import type { HostCpu, HostOperationTable } from "./host-operation.js";
import { isCanonical } from "./model-specific.js";
import { parseDescriptor, readDescriptor } from "./segments.js";

const LMA = 0x400n;
const UMIP = 0x800n;

/** By argument: 0 GDT, 1 IDT. */
const tableFields = [
  [S.GDTR_LIMIT, S.GDTR_BASE],
  [S.IDTR_LIMIT, S.IDTR_BASE],
] as const;

/** User-mode instruction prevention: the stores of system registers are for CPL 0. */
function checkUmip(cpu: HostCpu): void {
  if (cpu.state.cr4 & UMIP && cpu.state.cpl > 0) cpu.raise(Vector.GP, 0);
}

/** LLDT (argument 0) and LTR (1) of a selector. */
function loadSystem(cpu: HostCpu): void {
  const { state } = cpu;
  const task = cpu.argNumber(0) === 1;
  const selector = cpu.argNumber(1) & 0xffff;
  const errorCode = selector & 0xfffc;
  const [limit, base, name] = task
    ? [S.TR_LIMIT, S.TR_BASE, S.TR_SELECTOR]
    : [S.LDTR_LIMIT, S.LDTR_BASE, S.LDTR_SELECTOR];
  if (!errorCode) {
    if (task) cpu.raise(Vector.GP, 0);
    state.setU32(name, selector);
    state.setU32(limit, 0);
    return;
  }
  const long = (state.efer & LMA) !== 0n;
  const at = state.u64(S.GDTR_BASE) + BigInt(selector & 0xfff8);
  // System descriptors of long mode have 16 bytes.
  const inside = !(selector & 4) && (selector & 0xfff8) + (long ? 15 : 7) <= state.u32(S.GDTR_LIMIT);
  const raw = inside ? readDescriptor(cpu, selector) : undefined;
  if (raw === undefined) cpu.raise(Vector.GP, errorCode);
  const d = parseDescriptor(raw);
  const types = task ? (long ? [9] : [1, 9]) : [2];
  if (!d.system || !types.includes(d.type)) cpu.raise(Vector.GP, errorCode);
  if (!d.present) cpu.raise(Vector.NP, errorCode);
  const upper = long ? cpu.read(at + 8n, 8, "system") : 0n;
  const address = d.base | ((upper & 0xffffffffn) << 32n);
  if ((upper >> 40n) & 0x1fn || !isCanonical(address)) cpu.raise(Vector.GP, errorCode);
  // The task is busy from now on.
  if (task) cpu.write(at + 5n, 1, BigInt((d.attributes & 0xff) | 2), "system");
  state.setU32(name, selector);
  state.setU32(limit, d.limit);
  state.setU64(base, address);
}

export const systemTableOperations: HostOperationTable = {
  /** SGDT, SIDT. Results: limit, base. */
  readTable: (cpu) => {
    checkUmip(cpu);
    const [limit, base] = tableFields[cpu.argNumber(0) & 1]!;
    cpu.setResult(0, BigInt(cpu.state.u32(limit)));
    cpu.setResult(1, cpu.state.u64(base));
  },
  /** LGDT, LIDT. Arguments: which, limit, base. */
  writeTable: (cpu) => {
    const [limit, base] = tableFields[cpu.argNumber(0) & 1]!;
    if (cpu.state.codeMode === 2 && !isCanonical(cpu.arg(2))) cpu.raise(Vector.GP, 0);
    cpu.state.setU32(limit, cpu.argNumber(1) & 0xffff);
    cpu.state.setU64(base, cpu.arg(2));
  },
  /** SLDT (argument 0), STR (1), SMSW (2). */
  readSystem: (cpu) => {
    checkUmip(cpu);
    const which = cpu.argNumber(0);
    const { state } = cpu;
    cpu.setResult(0, which === 2 ? state.cr0 : BigInt(state.u32(which ? S.TR_SELECTOR : S.LDTR_SELECTOR)));
  },
  loadSystem,
};
