// Loading segment registers in protected mode (SDM volume 3A, 3.4.5, 5.4-5.8) and the instructions that inspect descriptors.

import { SEGMENT_UNUSABLE } from "../cpu-state.js";
import { Shadow } from "../debug.js";
import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import { Seg } from "../state-layout.js";
import type { HostCpu, HostOperationTable } from "./host-operation.js";

/** Real mode: no descriptors. */
export const isReal = (cpu: HostCpu): boolean => !(cpu.state.u32(S.CR0) & 1) && !cpu.hooks.readDescriptor;

/** A descriptor's fields. Attributes as in SEG_ATTR. */
export interface Descriptor {
  readonly base: bigint;
  readonly limit: number;
  readonly attributes: number;
  readonly type: number;
  readonly system: boolean;
  readonly dpl: number;
  readonly present: boolean;
}

export function parseDescriptor(raw: bigint): Descriptor {
  const attributes = Number((raw >> 40n) & 0xffn) | (Number((raw >> 52n) & 0xfn) << 12);
  const raw20 = Number(raw & 0xffffn) | (Number((raw >> 48n) & 0xfn) << 16);
  const limit = attributes & 0x8000 ? ((raw20 << 12) | 0xfff) >>> 0 : raw20;
  const base = ((raw >> 16n) & 0xffffffn) | (((raw >> 56n) & 0xffn) << 24n);
  return {
    base,
    limit,
    attributes,
    type: attributes & 15,
    system: !(attributes & 0x10),
    dpl: (attributes >> 5) & 3,
    present: (attributes & 0x80) !== 0,
  };
}

/** Raw descriptor of a non-null selector, or undefined when it lies outside its table. */
export function readDescriptor(cpu: HostCpu, selector: number): bigint | undefined {
  if (cpu.hooks.readDescriptor) return cpu.hooks.readDescriptor(selector);
  const { state } = cpu;
  const local = (selector & 4) !== 0;
  const limit = state.u32(local ? S.LDTR_LIMIT : S.GDTR_LIMIT);
  const offset = selector & 0xfff8;
  if (offset + 7 > limit || (local && !(state.u32(S.LDTR_SELECTOR) & ~3))) return undefined;
  return cpu.read(state.u64(local ? S.LDTR_BASE : S.GDTR_BASE) + BigInt(offset), 8, "system");
}

/** Sets a descriptor's accessed bit, when the table is in guest memory. */
function markAccessed(cpu: HostCpu, selector: number, d: Descriptor): void {
  if (cpu.hooks.readDescriptor || d.attributes & 1) return;
  const { state } = cpu;
  const table = state.u64(selector & 4 ? S.LDTR_BASE : S.GDTR_BASE);
  cpu.write(table + BigInt(selector & 0xfff8) + 5n, 1, BigInt((d.attributes & 0xff) | 1), "system");
}

/** Loads ES, SS, DS, FS or GS. CS is loaded by far transfers only. */
export function loadSegment(cpu: HostCpu, segment: number, selector: number): void {
  const { state } = cpu;
  if (isReal(cpu)) {
    state.setU32(S.SEG_SELECTOR + 4 * segment, selector);
    state.setSegmentBase(segment, BigInt(selector) << 4n);
    return;
  }
  const { cpl } = state;
  const rpl = selector & 3;
  if (!(selector & 0xfffc)) {
    if (segment === Seg.SS && !(state.codeMode === 2 && cpl < 3 && rpl === cpl)) cpu.raise(Vector.GP, 0);
    state.setSegment(segment, { selector, base: 0n, limit: 0, attributes: SEGMENT_UNUSABLE });
    return;
  }
  const errorCode = selector & 0xfffc;
  const raw = readDescriptor(cpu, selector);
  if (raw === undefined) cpu.raise(Vector.GP, errorCode);
  const d = parseDescriptor(raw);
  const code = (d.type & 8) !== 0;
  if (segment === Seg.SS) {
    if (rpl !== cpl || d.system || code || !(d.type & 2) || d.dpl !== cpl) cpu.raise(Vector.GP, errorCode);
    if (!d.present) cpu.raise(Vector.SS, errorCode);
  } else {
    const conforming = code && (d.type & 4) !== 0;
    if (d.system || (code && !(d.type & 2))) cpu.raise(Vector.GP, errorCode);
    if (!conforming && d.dpl < Math.max(cpl, rpl)) cpu.raise(Vector.GP, errorCode);
    if (!d.present) cpu.raise(Vector.NP, errorCode);
  }
  markAccessed(cpu, selector, d);
  state.setSegment(segment, { selector, base: d.base, limit: d.limit, attributes: d.attributes | 1 });
  if (segment === Seg.SS) state.setU32(S.STACK_MASK, d.attributes & 0x4000 ? 0xffffffff : 0xffff);
}

/** Makes a checked code segment current: selector with the new CPL, code size, privilege. */
export function enterCodeSegment(cpu: HostCpu, selector: number, d: Descriptor, cpl: number): void {
  const { state } = cpu;
  const long = (Number(state.efer) & 0x400) !== 0 && (d.attributes & 0x2000) !== 0;
  markAccessed(cpu, selector, d);
  const base = long ? 0n : d.base;
  state.setSegment(Seg.CS, { selector: (selector & ~3) | cpl, base, limit: d.limit, attributes: d.attributes | 1 });
  state.codeMode = long ? 2 : d.attributes & 0x4000 ? 1 : 0;
  state.cpl = cpl;
  cpu.accessRightsChanged();
}

/** LAR, LSL: descriptor visible to the current privilege, or undefined. */
function visible(cpu: HostCpu, selector: number, systemTypes: readonly number[]): Descriptor | undefined {
  if (!(selector & 0xfffc)) return undefined;
  const raw = readDescriptor(cpu, selector);
  if (raw === undefined) return undefined;
  const d = parseDescriptor(raw);
  if (d.system) {
    if (!systemTypes.includes(d.type)) return undefined;
  } else if ((d.type & 0xc) === 0xc) return d;
  return d.dpl >= Math.max(cpu.state.cpl, selector & 3) ? d : undefined;
}

function setZf(cpu: HostCpu, zf: boolean): void {
  cpu.state.statusFlags = (cpu.state.statusFlags & ~S.ZF) | (zf ? S.ZF : 0);
}

/** LAR, LSL, VERR, VERW and their like don't exist in real mode. */
export function needsProtectedMode(cpu: HostCpu): void {
  if (isReal(cpu)) cpu.raise(Vector.UD);
}

function verify(cpu: HostCpu, write: boolean): void {
  const d = visible(cpu, cpu.argNumber(0) & 0xffff, []);
  const code = d !== undefined && (d.type & 8) !== 0;
  setZf(cpu, d !== undefined && (write ? !code && (d.type & 2) !== 0 : !code || (d.type & 2) !== 0));
}

const longModeSystem = (cpu: HostCpu) => (Number(cpu.state.efer) & 0x400) !== 0;

export const segmentOperations: HostOperationTable = {
  readSegment: (cpu) => cpu.setResult(0, BigInt(cpu.state.segmentSelector(cpu.argNumber(0)))),
  loadSegment: (cpu) => {
    if (cpu.argNumber(0) === Seg.CS || cpu.argNumber(0) > 5) cpu.raise(Vector.UD);
    loadSegment(cpu, cpu.argNumber(0), cpu.argNumber(1) & 0xffff);
    // Argument 2: MOV and POP to SS hold off interrupts for one instruction; LSS does not need to.
    if (cpu.argNumber(0) === Seg.SS && cpu.argNumber(2)) cpu.setInterruptShadow(Shadow.MovSs);
  },
  /** Result 0: ZF; result 1: the access rights as LAR stores them. */
  lar: (cpu) => {
    const types = longModeSystem(cpu) ? [2, 9, 11, 12] : [1, 2, 3, 4, 5, 9, 11, 12];
    const selector = cpu.argNumber(0) & 0xffff;
    const d = visible(cpu, selector, types);
    setZf(cpu, d !== undefined);
    cpu.setResult(0, d ? 1n : 0n);
    const raw = d ? (readDescriptor(cpu, selector) ?? 0n) : 0n;
    // Bits 16-19, undefined by the manual, are the limit's on processors.
    cpu.setResult(1, (raw >> 32n) & 0xffff00n);
  },
  lsl: (cpu) => {
    const types = longModeSystem(cpu) ? [2, 9, 11] : [1, 2, 3, 9, 11];
    const d = visible(cpu, cpu.argNumber(0) & 0xffff, types);
    setZf(cpu, d !== undefined);
    cpu.setResult(0, d ? 1n : 0n);
    cpu.setResult(1, BigInt(d?.limit ?? 0));
  },
  needsProtectedMode,
  verr: (cpu) => verify(cpu, false),
  verw: (cpu) => verify(cpu, true),
};
