// Control and debug registers, model-specific registers, descriptor-table registers: what code at CPL 0 does on a bare CPU.
// A PV guest never gets here: above CPL 0 these raise #GP, and the hypervisor emulates what it allows. SDM volume 3A, 2.

import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import { Reg } from "../state-layout.js";
import type { HostCpu, HostOperationTable } from "./host-operation.js";
import { parseDescriptor, readDescriptor } from "./segments.js";

const crField: Readonly<Record<number, number>> = { 0: S.CR0, 2: S.CR2, 3: S.CR3, 4: S.CR4 };
const CR4_KNOWN = 0x3707ffn;
const LMA = 0x400n;
const LME = 0x100n;
const PG = 0x80000000n;

/** MSR number to the state field that holds it. */
const msrField: Readonly<Record<number, number>> = {
  372: S.SYSENTER_CS,
  373: S.SYSENTER_ESP,
  374: S.SYSENTER_EIP,
  3221225600: S.EFER,
  3221225601: S.STAR,
  3221225602: S.LSTAR,
  3221225603: S.CSTAR,
  3221225604: S.FMASK,
  3221225728: S.SEG_BASE + 8 * S.Seg.FS,
  3221225729: S.SEG_BASE + 8 * S.Seg.GS,
  3221225730: S.KERNEL_GS_BASE,
  3221225731: S.TSC_AUX,
};

function writeCr(cpu: HostCpu): void {
  const { state } = cpu;
  const number = cpu.argNumber(0);
  const value = cpu.arg(1);
  if (number === 0) {
    if (value >> 32n || (value & PG && !(value & 1n)) || (value & 0x20000000n && !(value & 0x40000000n)))
      cpu.raise(Vector.GP, 0);
    const efer = state.efer;
    if (value & PG && !(state.cr0 & PG) && efer & LME) {
      if (!(state.cr4 & 0x20n)) cpu.raise(Vector.GP, 0);
      state.setU64(S.EFER, efer | LMA);
    } else if (!(value & PG)) state.setU64(S.EFER, efer & ~LMA);
    state.setU64(S.CR0, value | 0x10n);
  } else if (number === 3) state.setU64(S.CR3, value & ~(1n << 63n));
  else if (number === 4) {
    if (value & ~CR4_KNOWN) cpu.raise(Vector.GP, 0);
    state.setU64(S.CR4, value);
  } else if (number === 2) state.cr2 = value;
  else if (number === 8) {
    if (value > 15n) cpu.raise(Vector.GP, 0);
  } else cpu.raise(Vector.UD);
  cpu.accessRightsChanged();
  cpu.flushTlb();
  cpu.jump(cpu.nextRip);
}

/** DR4 and DR5 name DR6 and DR7 unless CR4.DE forbids it. */
function debugRegister(cpu: HostCpu): number {
  const number = cpu.argNumber(0);
  if (number !== 4 && number !== 5) {
    if (number > 7) cpu.raise(Vector.UD);
    return number;
  }
  if (cpu.state.cr4 & 8n) cpu.raise(Vector.UD);
  return number + 2;
}

function msr(cpu: HostCpu): number {
  const field = msrField[cpu.state.gprNumber(Reg.RCX)];
  if (field === undefined && cpu.state.gprNumber(Reg.RCX) !== 0x10) return cpu.raise(Vector.GP, 0);
  return field ?? -1;
}

/** SGDT, SIDT arguments: which (0 GDT, 1 IDT). Results: limit, base. */
const tableFields = [
  [S.GDTR_LIMIT, S.GDTR_BASE],
  [S.IDTR_LIMIT, S.IDTR_BASE],
] as const;

export const controlRegisterOperations: HostOperationTable = {
  readCr: (cpu) => {
    const number = cpu.argNumber(0);
    if (number === 8) return cpu.setResult(0, 0n);
    const field = crField[number];
    if (field === undefined) return cpu.raise(Vector.UD);
    cpu.setResult(0, cpu.state.u64(field));
  },
  writeCr,
  readDr: (cpu) => cpu.setResult(0, cpu.state.dr(debugRegister(cpu))),
  writeDr: (cpu) => {
    const number = debugRegister(cpu);
    const value = cpu.arg(1);
    if (number >= 6 && value >> 32n) cpu.raise(Vector.GP, 0);
    const fixed =
      number === 6 ? (value & 0xe00fn) | 0xffff0ff0n : number === 7 ? (value & 0xffff2bffn) | 0x400n : value;
    cpu.state.setU64(S.DR + 8 * number, fixed);
  },
  clts: (cpu) => {
    cpu.state.setU64(S.CR0, cpu.state.cr0 & ~8n);
    cpu.accessRightsChanged();
  },
  lmsw: (cpu) => {
    const value = (cpu.state.cr0 & ~0xen) | BigInt(cpu.argNumber(0) & 0xf);
    cpu.state.setU64(S.CR0, value);
    cpu.accessRightsChanged();
    cpu.jump(cpu.nextRip);
  },
  rdmsr: (cpu) => {
    const field = msr(cpu);
    const value = field < 0 ? cpu.hooks.rdtsc() : cpu.state.u64(field);
    cpu.state.setGpr(Reg.RAX, value & 0xffffffffn);
    cpu.state.setGpr(Reg.RDX, value >> 32n);
  },
  wrmsr: (cpu) => {
    const field = msr(cpu);
    if (field < 0) return cpu.raise(Vector.GP, 0);
    const value = (BigInt(cpu.state.gprNumber(Reg.RDX)) << 32n) | BigInt(cpu.state.gprNumber(Reg.RAX));
    if (field === S.EFER) {
      if (value & ~0xd01n) cpu.raise(Vector.GP, 0);
      cpu.state.setU64(S.EFER, (value & ~LMA) | (cpu.state.efer & LMA));
    } else cpu.state.setU64(field, value);
    cpu.accessRightsChanged();
  },
  invlpg: (cpu) => cpu.invalidatePage(cpu.arg(0)),
  readTable: (cpu) => {
    if (cpu.state.cr4 & 0x800n && cpu.state.cpl > 0) cpu.raise(Vector.GP, 0);
    const [limit, base] = tableFields[cpu.argNumber(0) & 1]!;
    cpu.setResult(0, BigInt(cpu.state.u32(limit)));
    cpu.setResult(1, cpu.state.u64(base));
  },
  writeTable: (cpu) => {
    const [limit, base] = tableFields[cpu.argNumber(0) & 1]!;
    cpu.state.setU32(limit, cpu.argNumber(1) & 0xffff);
    cpu.state.setU64(base, cpu.arg(2));
  },
  /** SLDT, STR, SMSW. Argument: 0, 1 or 2. */
  readSystem: (cpu) => {
    if (cpu.state.cr4 & 0x800n && cpu.state.cpl > 0) cpu.raise(Vector.GP, 0);
    const which = cpu.argNumber(0);
    const { state } = cpu;
    cpu.setResult(0, which === 2 ? state.cr0 : BigInt(state.u32(which ? S.TR_SELECTOR : S.LDTR_SELECTOR)));
  },
  /** LLDT (0) and LTR (1) of a selector. */
  loadSystem: (cpu) => {
    const { state } = cpu;
    const task = cpu.argNumber(0) === 1;
    const selector = cpu.argNumber(1) & 0xffff;
    const [limit, base, name] = task
      ? [S.TR_LIMIT, S.TR_BASE, S.TR_SELECTOR]
      : [S.LDTR_LIMIT, S.LDTR_BASE, S.LDTR_SELECTOR];
    if (!(selector & 0xfffc)) {
      if (task) cpu.raise(Vector.GP, 0);
      state.setU32(name, selector);
      state.setU32(limit, 0);
      return;
    }
    const raw = selector & 4 ? undefined : readDescriptor(cpu, selector);
    if (raw === undefined) return cpu.raise(Vector.GP, selector & 0xfffc);
    const d = parseDescriptor(raw);
    if (!d.system || !(task ? [1, 9] : [2]).includes(d.type)) cpu.raise(Vector.GP, selector & 0xfffc);
    if (!d.present) cpu.raise(Vector.NP, selector & 0xfffc);
    let high = 0n;
    if (state.efer & LMA) high = cpu.read(state.u64(S.GDTR_BASE) + BigInt((selector & 0xfff8) + 8), 4) << 32n;
    state.setU32(name, selector);
    state.setU32(limit, d.limit);
    state.setU64(base, d.base | high);
  },
};
