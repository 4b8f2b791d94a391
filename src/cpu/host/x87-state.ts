// The x87 register file in the vCPU struct: status word with TOP, tags, and the stack of 80-bit patterns (SDM volume 1,
// 8.1). FSW in the struct never holds TOP (FTOP does); its ES and B bits always summarise FSW's flags and FCW's masks.

import type { CpuState } from "../cpu-state.js";
import * as S from "../state-layout.js";

/** Status word bits. */
export const STACK_FAULT = 0x40;
export const SUMMARY = 0x8080;
const TOP_MASK = 0x3800;
const EXCEPTIONS = 0x3f;
/** Control word bits that can be written; bit 6 reads as one. */
const CONTROL_BITS = 0x1f3f;
const CONTROL_FIXED = 0x40;
export const CONTROL_INITIAL = 0x37f;

/** The status word as FNSTSW stores it. */
export function statusWord(state: CpuState): number {
  return state.u32(S.FSW) | (state.u32(S.FTOP) << 11);
}

/** Makes ES and B agree with the exception flags and their masks. */
export function updateSummary(state: CpuState): void {
  const status = state.u32(S.FSW);
  const pending = (status & ~state.u32(S.FCW) & EXCEPTIONS) !== 0;
  state.setU32(S.FSW, pending ? status | SUMMARY : status & ~SUMMARY);
}

export function setControlAndStatus(state: CpuState, control: number, status: number): void {
  state.setU32(S.FCW, (control & CONTROL_BITS) | CONTROL_FIXED);
  state.setU32(S.FSW, status & 0xffff & ~TOP_MASK);
  state.setU32(S.FTOP, (status >> 11) & 7);
  updateSummary(state);
}

function place(state: CpuState, index: number): number {
  return S.FPR + 16 * ((state.u32(S.FTOP) + index) & 7);
}

/** The 80-bit pattern in ST(index), whatever its tag. */
export function readSt(state: CpuState, index: number): bigint {
  const at = place(state, index);
  return state.u64(at) | (BigInt(state.u32(at + 8) & 0xffff) << 64n);
}

/** Writes ST(index) without touching its tag. */
export function storeSt(state: CpuState, index: number, bits: bigint): void {
  const at = place(state, index);
  state.setU64(at, BigInt.asUintN(64, bits));
  state.setU64(at + 8, bits >> 64n);
}

function tagBit(state: CpuState, index: number): number {
  return 1 << ((state.u32(S.FTOP) + index) & 7);
}

export function isEmpty(state: CpuState, index: number): boolean {
  return (state.u32(S.FTW) & tagBit(state, index)) === 0;
}

/** Writes ST(index) and marks it not empty. */
export function writeSt(state: CpuState, index: number, bits: bigint): void {
  storeSt(state, index, bits);
  state.setU32(S.FTW, state.u32(S.FTW) | tagBit(state, index));
}

export function free(state: CpuState, index: number): void {
  state.setU32(S.FTW, state.u32(S.FTW) & ~tagBit(state, index));
}

export function pop(state: CpuState): void {
  free(state, 0);
  state.setU32(S.FTOP, (state.u32(S.FTOP) + 1) & 7);
}

export function push(state: CpuState, bits: bigint): void {
  state.setU32(S.FTOP, (state.u32(S.FTOP) - 1) & 7);
  writeSt(state, 0, bits);
}

/** FNINIT: everything but the registers' contents. */
export function initialise(state: CpuState): void {
  state.setU32(S.FCW, CONTROL_INITIAL);
  for (const field of [S.FSW, S.FTW, S.FTOP, S.FOP, S.FIP_SEL, S.FDP_SEL]) state.setU32(field, 0);
  state.setU64(S.FIP, 0n);
  state.setU64(S.FDP, 0n);
}

const TAG_VALID = 0;
const TAG_ZERO = 1;
const TAG_SPECIAL = 2;
const TAG_EMPTY = 3;

/** The full tag word of FNSTENV: two bits for each physical register, from the registers' contents. */
export function fullTagWord(state: CpuState): number {
  const tags = state.u32(S.FTW);
  let word = 0;
  for (let i = 7; i >= 0; i--) {
    const at = S.FPR + 16 * i;
    const exponent = state.u32(at + 8) & 0x7fff;
    const high = state.u32(at + 4);
    let tag: number;
    if (!(tags & (1 << i))) tag = TAG_EMPTY;
    else if (exponent === 0 && high === 0 && state.u32(at) === 0) tag = TAG_ZERO;
    else if (exponent === 0 || exponent === 0x7fff || high >>> 31 === 0) tag = TAG_SPECIAL;
    else tag = TAG_VALID;
    word = (word << 2) | tag;
  }
  return word;
}

/** Loads a full tag word: only "empty" counts, the rest follows from the registers. */
export function setFullTagWord(state: CpuState, word: number): void {
  let tags = 0;
  for (let i = 0; i < 8; i++) if (((word >> (2 * i)) & 3) !== TAG_EMPTY) tags |= 1 << i;
  state.setU32(S.FTW, tags);
}
