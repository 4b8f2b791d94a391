// A typed window on one vCPU's struct in linear memory. 64-bit values are unsigned bigints here; nothing on a hot path
// uses them.

import type { MachineMemory } from "../mmu/machine-memory.js";
import { WIDE_OFFSET } from "./emit/float-range.js";
import * as S from "./state-layout.js";

export interface SegmentRegister {
  selector: number;
  base: bigint;
  /** Byte-granular, inclusive. */
  limit: number;
  /** As SEG_ATTR. */
  attributes: number;
}

/** Bit 16 of a segment's attributes: a null selector was loaded. */
export const SEGMENT_UNUSABLE = 0x10000;

export class CpuState {
  readonly base: number;
  readonly #view: DataView;
  readonly #linear: Uint8Array;

  constructor(memory: MachineMemory, base: number) {
    this.base = base;
    this.#view = memory.view;
    this.#linear = memory.linear;
    this.setU32(S.EFLAGS, 2);
    this.setU64(S.FLAG_RESULT, 1n);
    this.setU32(S.FLAG_AUX, 0x100);
    this.setU32(S.MXCSR, 0x1f80);
    this.setU32(S.FCW, 0x37f);
    this.setU64(S.DR + 48, 0xffff0ff0n);
    this.setU64(S.DR + 56, 0x400n);
    this.setU64(S.XCR0, 1n);
    for (const lane of [0, 8]) this.setU64(S.WIDE_OFFSET + lane, WIDE_OFFSET);
  }

  u32(offset: number): number {
    return this.#view.getUint32(this.base + offset, true);
  }
  setU32(offset: number, value: number): void {
    this.#view.setUint32(this.base + offset, value, true);
  }
  u64(offset: number): bigint {
    return this.#view.getBigUint64(this.base + offset, true);
  }
  setU64(offset: number, value: bigint): void {
    this.#view.setBigUint64(this.base + offset, value, true);
  }
  /** A view of `length` bytes at a field, not a copy. */
  bytes(offset: number, length: number): Uint8Array {
    return this.#linear.subarray(this.base + offset, this.base + offset + length);
  }

  /** A view of one 32-bit field. */
  word(offset: number): Uint32Array {
    return new Uint32Array(this.#linear.buffer, this.base + offset, 1);
  }
  /** A view of one 64-bit field. */
  quadword(offset: number): BigUint64Array {
    return new BigUint64Array(this.#linear.buffer, this.base + offset, 1);
  }

  gpr(index: number): bigint {
    return this.u64(S.GPR + 8 * index);
  }
  setGpr(index: number, value: bigint): void {
    this.setU64(S.GPR + 8 * index, value);
  }
  /** Low 32 bits, unsigned. */
  gprNumber(index: number): number {
    return this.u32(S.GPR + 8 * index);
  }

  get rip(): bigint {
    return this.u64(S.RIP);
  }
  set rip(value: bigint) {
    this.setU64(S.RIP, value);
  }

  get rflags(): bigint {
    return BigInt((this.u32(S.EFLAGS) | this.statusFlags) >>> 0);
  }
  set rflags(value: bigint) {
    const flags = Number(value & 0xffffffffn);
    this.setU32(S.EFLAGS, ((flags & ~S.STATUS_FLAGS) | 2) >>> 0);
    this.statusFlags = flags;
  }

  /** CF PF AF ZF SF OF in their RFLAGS places; see FLAG_AUX for the lazy form. */
  get statusFlags(): number {
    const aux = this.u32(S.FLAG_AUX);
    const low = this.u32(S.FLAG_RESULT);
    const high = this.u32(S.FLAG_RESULT + 4);
    let parity = (low ^ (aux >>> 8)) & 0xff;
    parity ^= parity >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    let flags = aux >>> 31 ? S.CF : 0;
    if (!(parity & 1)) flags |= S.PF;
    if (aux & 8) flags |= S.AF;
    if ((low | high) === 0) flags |= S.ZF;
    if (((high >>> 31) ^ aux) & 1) flags |= S.SF;
    if ((aux ^ (aux << 1)) >>> 31) flags |= S.OF;
    return flags;
  }
  set statusFlags(flags: number) {
    const result = flags & S.ZF ? 0 : 1;
    const delta = result ^ (flags & S.PF ? 0 : 1);
    const cf = flags & S.CF ? 1 : 0;
    const of = flags & S.OF ? 1 : 0;
    const aux = (cf << 31) | ((cf ^ of) << 30) | (flags & S.AF ? 8 : 0) | (delta << 8) | (flags & S.SF ? 1 : 0);
    this.setU64(S.FLAG_RESULT, BigInt(result));
    this.setU32(S.FLAG_AUX, aux >>> 0);
  }

  get cpl(): number {
    return this.u32(S.CPL);
  }
  set cpl(value: number) {
    this.setU32(S.CPL, value);
  }
  get codeMode(): number {
    return this.u32(S.CODE_MODE);
  }
  set codeMode(value: number) {
    this.setU32(S.CODE_MODE, value);
  }
  get cr0(): bigint {
    return this.u64(S.CR0);
  }
  get cr2(): bigint {
    return this.u64(S.CR2);
  }
  set cr2(value: bigint) {
    this.setU64(S.CR2, value);
  }
  get cr3(): bigint {
    return this.u64(S.CR3);
  }
  get cr4(): bigint {
    return this.u64(S.CR4);
  }
  get efer(): bigint {
    return this.u64(S.EFER);
  }
  dr(index: number): bigint {
    return this.u64(S.DR + 8 * index);
  }

  segmentSelector(segment: number): number {
    return this.u32(S.SEG_SELECTOR + 4 * segment);
  }
  segmentBase(segment: number): bigint {
    return this.u64(S.SEG_BASE + 8 * segment);
  }
  setSegmentBase(segment: number, base: bigint): void {
    this.setU64(S.SEG_BASE + 8 * segment, base);
  }
  segment(segment: number): SegmentRegister {
    return {
      selector: this.segmentSelector(segment),
      base: this.segmentBase(segment),
      limit: this.u32(S.SEG_LIMIT + 4 * segment),
      attributes: this.u32(S.SEG_ATTR + 4 * segment),
    };
  }
  setSegment(segment: number, value: SegmentRegister): void {
    this.setU32(S.SEG_SELECTOR + 4 * segment, value.selector);
    this.setU64(S.SEG_BASE + 8 * segment, value.base);
    this.setU32(S.SEG_LIMIT + 4 * segment, value.limit);
    this.setU32(S.SEG_ATTR + 4 * segment, value.attributes);
  }
}
