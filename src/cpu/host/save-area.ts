// FXSAVE, FXRSTOR and the XSAVE family in standard form with the components x87 and SSE (SDM volume 1, 10.5 and
// chapter 13). Areas are moved as bytes, so that the hypervisor can use the same layouts. Error pointers are always
// saved and restored, as Intel's processors do; selectors of the 32-bit forms are those that the state holds.

import type { CpuState } from "../cpu-state.js";
import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import type { HostCpu, HostOperationTable } from "./host-operation.js";
import { CONTROL_INITIAL, initialise, setControlAndStatus, statusWord } from "./x87-state.js";
import { checkAlignment } from "./x87-unit.js";

const LEGACY_SIZE = 512;
const HEADER_SIZE = 64;
const PAGE_SIZE = 4096;
/** Bits of MXCSR that exist: bit 17 (misaligned mode) is AMD's alone. */
export const MXCSR_MASK = 0xffff;
const MXCSR_AT = 24;
const ST_AT = 32;
const XMM_AT = 160;
const X87 = 1;
const SSE = 2;

/** XMM registers that the current mode reaches: 8, or 16 in 64-bit mode. */
function xmmBytes(state: CpuState): number {
  return state.codeMode === 2 ? 256 : 128;
}

function storeX87(state: CpuState, area: Uint8Array, long: boolean): void {
  const view = new DataView(area.buffer, area.byteOffset, area.length);
  view.setUint16(0, state.u32(S.FCW), true);
  view.setUint16(2, statusWord(state), true);
  view.setUint16(4, state.u32(S.FTW), true);
  view.setUint16(6, state.u32(S.FOP), true);
  if (long) {
    view.setBigUint64(8, state.u64(S.FIP), true);
    view.setBigUint64(16, state.u64(S.FDP), true);
  } else {
    view.setUint32(8, state.u32(S.FIP), true);
    view.setUint32(12, state.u32(S.FIP_SEL) & 0xffff, true);
    view.setUint32(16, state.u32(S.FDP), true);
    view.setUint32(20, state.u32(S.FDP_SEL) & 0xffff, true);
  }
  const top = state.u32(S.FTOP);
  for (let i = 0; i < 8; i++) {
    const at = ST_AT + 16 * i;
    area.set(state.bytes(S.FPR + 16 * ((top + i) & 7), 10), at);
    area.fill(0, at + 10, at + 16);
  }
}

function loadX87(state: CpuState, area: Uint8Array, long: boolean): void {
  const view = new DataView(area.buffer, area.byteOffset, area.length);
  setControlAndStatus(state, view.getUint16(0, true), view.getUint16(2, true));
  state.setU32(S.FTW, view.getUint8(4));
  state.setU32(S.FOP, view.getUint16(6, true) & 0x7ff);
  state.setU64(S.FIP, long ? view.getBigUint64(8, true) : BigInt(view.getUint32(8, true)));
  state.setU64(S.FDP, long ? view.getBigUint64(16, true) : BigInt(view.getUint32(16, true)));
  state.setU32(S.FIP_SEL, long ? 0 : view.getUint16(12, true));
  state.setU32(S.FDP_SEL, long ? 0 : view.getUint16(20, true));
  const top = state.u32(S.FTOP);
  for (let i = 0; i < 8; i++) {
    const to = S.FPR + 16 * ((top + i) & 7);
    state.bytes(to, 10).set(area.subarray(ST_AT + 16 * i, ST_AT + 16 * i + 10));
    state.bytes(to + 10, 6).fill(0);
  }
}

function storeMxcsr(state: CpuState, area: Uint8Array): void {
  const view = new DataView(area.buffer, area.byteOffset, area.length);
  view.setUint32(MXCSR_AT, state.u32(S.MXCSR), true);
  view.setUint32(MXCSR_AT + 4, MXCSR_MASK, true);
}

/** A view of an area takes longer to make than to read this. */
function wordAt(area: Uint8Array, at: number): number {
  return (area[at]! | (area[at + 1]! << 8) | (area[at + 2]! << 16) | (area[at + 3]! << 24)) >>> 0;
}

/** MXCSR of an area; #GP when it has reserved bits. */
function checkedMxcsr(cpu: HostCpu, area: Uint8Array): number {
  const mxcsr = wordAt(area, MXCSR_AT);
  if (mxcsr & ~MXCSR_MASK) cpu.raise(Vector.GP, 0);
  return mxcsr;
}

function storeXmm(state: CpuState, area: Uint8Array): void {
  area.set(state.bytes(S.XMM, xmmBytes(state)), XMM_AT);
}

function loadXmm(state: CpuState, area: Uint8Array): void {
  const length = xmmBytes(state);
  state.bytes(S.XMM, length).set(area.subarray(XMM_AT, XMM_AT + length));
}

/** What FXSAVE64 writes in 64-bit mode: 512 bytes. */
export function saveImage(state: CpuState): Uint8Array {
  const image = new Uint8Array(LEGACY_SIZE);
  storeX87(state, image, true);
  storeMxcsr(state, image);
  image.set(state.bytes(S.XMM, 256), XMM_AT);
  return image;
}

/** Loads such an image as FXRSTOR64 does. Returns false, and changes nothing, when its MXCSR has reserved bits. */
export function loadImage(state: CpuState, image: Uint8Array): boolean {
  const mxcsr = new DataView(image.buffer, image.byteOffset, image.length).getUint32(MXCSR_AT, true);
  if (mxcsr & ~MXCSR_MASK) return false;
  state.setU32(S.MXCSR, mxcsr);
  loadX87(state, image, true);
  state.bytes(S.XMM, 256).set(image.subarray(XMM_AT, XMM_AT + 256));
  return true;
}

/** Whether the words of the state from `start` up to `end` are zero. */
function isZero({ memory, state }: HostCpu, start: number, end: number): boolean {
  const { words } = memory;
  const last = (state.base + end) / 4;
  for (let at = (state.base + start) / 4; at < last; at++) if (words[at] !== 0) return false;
  return true;
}

/** XINUSE: the components that aren't in their initial configuration (SDM volume 1, 13.6). */
function componentsInUse(cpu: HostCpu): number {
  const { state } = cpu;
  const x87Initial = state.u32(S.FCW) === CONTROL_INITIAL && isZero(cpu, S.FSW, S.FPR + 128) ? 0 : X87;
  // MXCSR doesn't count: it's saved and loaded apart from the component.
  const sseInitial = isZero(cpu, S.XMM, S.XMM + xmmBytes(state)) ? 0 : SSE;
  return x87Initial | sseInitial;
}

function aligned(cpu: HostCpu, to: bigint): bigint {
  const linear = cpu.arg(0);
  checkAlignment(cpu, linear, 4);
  if (linear & (to - 1n)) cpu.raise(Vector.GP, 0);
  return linear;
}

/** The components that EDX:EAX asks for and XCR0 has enabled; #UD without CR4.OSXSAVE. */
function requested(cpu: HostCpu): number {
  return cpu.argNumber(2) & cpu.state.u32(S.XCR0);
}

/** What XSAVE changes of the legacy area. */
const legacy = new Uint8Array(XMM_AT + 256);

/** Bytes of an area that lie in its first page. */
function inFirstPage(linear: bigint): number {
  return Math.min(PAGE_SIZE - Number(linear & 0xfffn), LEGACY_SIZE + HEADER_SIZE);
}

/**
 * Where the area would begin for its last byte's place to be right: not at `at` when its second page lies elsewhere. Aligned blocks of 64 bytes
 * never cross.
 */
function beginsBySecondPage(cpu: HostCpu, linear: bigint, at: number): number {
  const first = inFirstPage(linear);
  return first === LEGACY_SIZE + HEADER_SIZE ? at : cpu.writableAt(linear + BigInt(first), HEADER_SIZE) - first;
}

function xsave(cpu: HostCpu, optimised: boolean): void {
  const { state, memory } = cpu;
  const linear = aligned(cpu, 64n);
  const long = cpu.argNumber(1) === 64;
  const components = requested(cpu);
  // A kernel does this at each switch of tasks: found once, not for every part of it.
  const at = cpu.writableAt(linear, HEADER_SIZE);
  const second = at < 0 ? -1 : beginsBySecondPage(cpu, linear, at);
  if (at < 0) cpu.probeWrite(linear, LEGACY_SIZE + HEADER_SIZE);
  const inUse = componentsInUse(cpu);
  const saved = optimised ? components & inUse : components;
  const headerAt = second + LEGACY_SIZE;
  const header = at < 0 ? Number(cpu.read(linear + 512n, 8) & 0xffffffffn) : memory.readU32(headerAt);
  const low = ((header & ~components) | (inUse & components)) >>> 0;
  if (at >= 0 && !(saved & X87)) {
    // Most tasks have never used the x87: there is little to write, each in its place.
    if (components & SSE) {
      memory.writeU32(at + MXCSR_AT, state.u32(S.MXCSR));
      memory.writeU32(at + MXCSR_AT + 4, MXCSR_MASK);
    }
    if (saved & SSE) {
      const xmm = state.bytes(S.XMM, xmmBytes(state));
      const first = Math.max(0, Math.min(xmm.length, inFirstPage(linear) - XMM_AT));
      if (first > 0) memory.write(at + XMM_AT, xmm.subarray(0, first));
      if (first < xmm.length) memory.write(second + XMM_AT + first, xmm.subarray(first));
    }
    memory.writeU32(headerAt, low);
    return;
  }
  const isWhole = at >= 0 && at === second;
  legacy.set(isWhole ? memory.bytes(at, legacy.length) : cpu.readBytes(linear, legacy.length));
  if (saved & X87) storeX87(state, legacy, long);
  if (components & SSE) storeMxcsr(state, legacy);
  if (saved & SSE) storeXmm(state, legacy);
  if (isWhole) {
    if (components) memory.write(at, legacy);
    memory.writeU32(headerAt, low);
  } else {
    if (components) cpu.writeBytes(linear, legacy);
    cpu.write(linear + 512n, 4, BigInt(low));
  }
}

/** Arguments of all: linear address, operand size; for the XSAVE family also EAX. */
export const saveAreaOperations: HostOperationTable = {
  fxsave: (cpu) => {
    const { state } = cpu;
    const linear = aligned(cpu, 16n);
    const area = new Uint8Array(XMM_AT + xmmBytes(state));
    storeX87(state, area, cpu.argNumber(1) === 64);
    storeMxcsr(state, area);
    storeXmm(state, area);
    // The processor begins with the last byte.
    cpu.probeWrite(linear + BigInt(LEGACY_SIZE - 1), 1);
    cpu.probeWrite(linear, LEGACY_SIZE);
    cpu.writeBytes(linear, area);
  },
  fxrstor: (cpu) => {
    const { state } = cpu;
    const linear = aligned(cpu, 16n);
    cpu.read(linear + BigInt(LEGACY_SIZE - 1), 1);
    const area = cpu.readBytes(linear, LEGACY_SIZE);
    state.setU32(S.MXCSR, checkedMxcsr(cpu, area));
    loadX87(state, area, cpu.argNumber(1) === 64);
    loadXmm(state, area);
  },
  xsave: (cpu) => xsave(cpu, false),
  xsaveopt: (cpu) => xsave(cpu, true),
  xrstor: (cpu) => {
    const { state } = cpu;
    const linear = aligned(cpu, 64n);
    const long = cpu.argNumber(1) === 64;
    const components = requested(cpu);
    const at = cpu.readableAt(linear, LEGACY_SIZE + HEADER_SIZE);
    const length = LEGACY_SIZE + HEADER_SIZE;
    const area = at < 0 ? cpu.readBytes(linear, length) : cpu.memory.bytes(at, length);
    const present = wordAt(area, LEGACY_SIZE);
    // XCR0 has no bits above these. The compacted form (XCOMP_BV) isn't offered: its word and the next one must be zero.
    let reserved = present & ~state.u32(S.XCR0);
    for (let i = 4; i < 24; i += 4) reserved |= wordAt(area, LEGACY_SIZE + i);
    if (reserved) cpu.raise(Vector.GP, 0);
    const loaded = present & components;
    if (components & SSE) state.setU32(S.MXCSR, checkedMxcsr(cpu, area));
    if (loaded & X87) loadX87(state, area, long);
    else if (components & X87) {
      initialise(state);
      state.bytes(S.FPR, 128).fill(0);
    }
    if (loaded & SSE) loadXmm(state, area);
    else if (components & SSE) state.bytes(S.XMM, xmmBytes(state)).fill(0);
  },
};
