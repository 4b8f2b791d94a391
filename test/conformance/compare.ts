// Results in a form that two processors can agree on, and their comparison.
import { Kind, type Mask } from "./defined.js";
import {
  CASE_SIZE,
  CODE_OFFSET,
  ERROR_OFFSET,
  FAULT_ADDRESS_OFFSET,
  FCW_OFFSET,
  FS_BASE_OFFSET,
  FSW_OFFSET,
  FTW_OFFSET,
  FXSAVE_OFFSET,
  GPR_OFFSET,
  GS_BASE_OFFSET,
  LENGTH_OFFSET,
  MODE_OFFSET,
  MXCSR_OFFSET,
  RFLAGS_OFFSET,
  RIP_OFFSET,
  RUNS_OFFSET,
  SELECTORS_OFFSET,
  ST_OFFSET,
  VECTOR_OFFSET,
  XMM_OFFSET,
} from "./layout.js";

/** In the vector field: the instruction completed. */
export const COMPLETED = 255;
/** Linux reports faults from here on as protection violations, mapped or not (TASK_SIZE_MAX). */
export const USER_END = 0x7ffffffff000n;
/** Units in the last place that two implementations of an x87 transcendental may lie apart. */
export const TRANSCENDENTAL_ULPS = 1n;

const WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17]);

/**
 * Turns a raw result of the native harness into the common form: COMPLETED with RIP at the next instruction, or the
 * exception. False when the outcome is not this instruction's (its target faulted for another reason).
 */
export function normaliseNative(input: Uint8Array, result: Uint8Array): boolean {
  const view = new DataView(result.buffer, result.byteOffset, result.byteLength);
  const start = new DataView(input.buffer, input.byteOffset, input.byteLength).getBigUint64(RIP_OFFSET, true);
  const rip = view.getBigUint64(RIP_OFFSET, true);
  const vector = result[VECTOR_OFFSET] as number;
  const breakpoint =
    input[CODE_OFFSET + (input[LENGTH_OFFSET] as number) - 1] === 0xcc && rip - 1n - start < 16n && rip > start;
  if (vector === 3 && !(breakpoint && rip === start + BigInt(input[LENGTH_OFFSET] as number))) {
    result[VECTOR_OFFSET] = COMPLETED;
    view.setBigUint64(RIP_OFFSET, rip - 1n, true);
  } else if (vector === 14 && rip !== start) {
    // The fetch at a branch target faulted.
    if (view.getUint32(ERROR_OFFSET, true) !== 0x14 || view.getBigUint64(FAULT_ADDRESS_OFFSET, true) !== rip)
      return false;
    result[VECTOR_OFFSET] = COMPLETED;
    view.setBigUint64(FAULT_ADDRESS_OFFSET, 0n, true);
  } else if (rip !== start && vector !== 3 && vector !== 4 && vector !== 1) return false;
  if (!WITH_ERROR_CODE.has(result[VECTOR_OFFSET] as number)) view.setUint32(ERROR_OFFSET, 0, true);
  // Linux hides whether a kernel address is mapped.
  const faultAddress = view.getBigUint64(FAULT_ADDRESS_OFFSET, true);
  if (faultAddress >= USER_END) view.setUint32(ERROR_OFFSET, view.getUint32(ERROR_OFFSET, true) & ~1, true);
  return true;
}

/** Clears what is not defined, in the register part of a result (or of a case). */
export function applyMask(result: Uint8Array, mask: Mask): void {
  const words = new Uint32Array(result.buffer, result.byteOffset, CASE_SIZE / 4);
  words.fill(0, CODE_OFFSET / 4, FXSAVE_OFFSET / 4);
  words[0] = (words[0] as number) & 0xffff;
  words[SELECTORS_OFFSET / 4 + 3] = 0;
  words[RFLAGS_OFFSET / 4] = ((words[RFLAGS_OFFSET / 4] as number) & mask.flags) >>> 0;
  words[RFLAGS_OFFSET / 4 + 1] = 0;
  if (result[MODE_OFFSET] === 32) {
    for (let i = 0; i < 8; i++) words[GPR_OFFSET / 4 + 2 * i + 1] = 0;
    words.fill(0, GPR_OFFSET / 4 + 16, GPR_OFFSET / 4 + 32);
    words.fill(0, XMM_OFFSET / 4 + 32, XMM_OFFSET / 4 + 64);
  }
  const fx = FXSAVE_OFFSET / 4;
  words[fx] = ((words[fx] as number) & (0xffff | (mask.fsw << 16))) >>> 0;
  words[fx + 1] = (words[fx + 1] as number) & 0xff;
  words.fill(0, fx + 2, fx + 6);
  words[fx + 7] = 0;
  for (let i = 0; i < 8; i++) {
    const at = ST_OFFSET / 4 + 4 * i;
    words[at + 2] = (words[at + 2] as number) & 0xffff;
    words[at + 3] = 0;
  }
  words.fill(0, (FXSAVE_OFFSET + 416) / 4, CASE_SIZE / 4);
}

/** Changed memory as address, value pairs, without ignored bytes; ascending. */
export function changedBytes(result: Uint8Array, mask: Mask): number[] {
  const view = new DataView(result.buffer, result.byteOffset, result.byteLength);
  const pairs: number[] = [];
  let at = RUNS_OFFSET + 4;
  for (let runs = view.getUint32(RUNS_OFFSET, true); runs > 0; runs--) {
    const address = view.getUint32(at, true);
    const length = view.getUint32(at + 4, true);
    for (let k = 0; k < length; k++) {
      let ignored = false;
      for (let i = 0; i < mask.ignore.length; i += 2)
        if ((address + k - (mask.ignore[i] as number)) >>> 0 < (mask.ignore[i + 1] as number)) ignored = true;
      if (!ignored) pairs.push(address + k, result[at + 8 + k] as number);
    }
    at += 8 + ((length + 3) & ~3);
  }
  return pairs;
}

const NAMES = ["RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI"];

/** The name of the field that a word of a record belongs to. */
export function fieldName(word: number): string {
  const offset = word * 4;
  if (offset < ERROR_OFFSET) return "vector";
  if (offset < RIP_OFFSET) return "error";
  if (offset < FAULT_ADDRESS_OFFSET) return "RIP";
  if (offset < SELECTORS_OFFSET) return "CR2";
  if (offset < FS_BASE_OFFSET) return "selectors";
  if (offset < GS_BASE_OFFSET) return "FSBASE";
  if (offset < RFLAGS_OFFSET) return "GSBASE";
  if (offset < GPR_OFFSET) return "RFLAGS";
  if (offset < CODE_OFFSET) {
    const n = (offset - GPR_OFFSET) >> 3;
    return `${NAMES[n] ?? `R${n}`}${offset & 4 ? ".high" : ""}`;
  }
  if (offset === FCW_OFFSET) return "FSW:FCW";
  if (offset === (FSW_OFFSET & ~3)) return "FSW";
  if (offset === FTW_OFFSET) return "FTW";
  if (offset === MXCSR_OFFSET) return "MXCSR";
  if (offset < XMM_OFFSET) return `ST${(offset - ST_OFFSET) >> 4}[${((offset - ST_OFFSET) & 15) >> 2}]`;
  return `XMM${(offset - XMM_OFFSET) >> 4}[${((offset - XMM_OFFSET) & 15) >> 2}]`;
}

function extendedOrder(words: Uint32Array, at: number): bigint {
  const exponent = BigInt((words[at + 2] as number) & 0x7fff);
  const significand = (BigInt(words[at + 1] as number) << 32n) | BigInt(words[at] as number);
  const magnitude = (exponent << 63n) + significand;
  return (words[at + 2] as number) & 0x8000 ? -magnitude : magnitude;
}

function withinTolerance(expected: Uint32Array, got: Uint32Array, word: number, kind: number): boolean {
  const offset = word * 4;
  if (kind === Kind.Transcendental && offset >= ST_OFFSET && offset < XMM_OFFSET) {
    const at = word & ~3;
    const distance = extendedOrder(expected, at) - extendedOrder(got, at);
    return distance >= -TRANSCENDENTAL_ULPS && distance <= TRANSCENDENTAL_ULPS;
  }
  if (kind === Kind.Approximate && offset >= XMM_OFFSET) {
    const pair = new Float32Array(new Uint32Array([expected[word] as number, got[word] as number]).buffer);
    const [a, b] = pair as unknown as [number, number];
    if (!Number.isFinite(a) || a === 0) return false;
    return Math.abs(a - b) <= Math.abs(a) * 3 * 2 ** -12;
  }
  return false;
}

/** What differs between two results whose masks are applied; empty when they agree. */
export function differences(
  expected: Uint8Array,
  expectedMemory: readonly number[],
  got: Uint8Array,
  gotMemory: readonly number[],
  kind: number,
): string[] {
  const a = new Uint32Array(expected.buffer, expected.byteOffset, CASE_SIZE / 4);
  const b = new Uint32Array(got.buffer, got.byteOffset, CASE_SIZE / 4);
  let list: string[] | undefined;
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i]) continue;
    if (kind !== Kind.Exact && withinTolerance(a, b, i, kind)) continue;
    list ??= [];
    list.push(`${fieldName(i)} ${(a[i] as number).toString(16)} got ${(b[i] as number).toString(16)}`);
  }
  let same = expectedMemory.length === gotMemory.length;
  for (let i = 0; same && i < expectedMemory.length; i++) same = expectedMemory[i] === gotMemory[i];
  if (!same) {
    list ??= [];
    list.push(`memory ${describeMemory(expectedMemory)} got ${describeMemory(gotMemory)}`);
  }
  return list ?? [];
}

function describeMemory(pairs: readonly number[]): string {
  if (pairs.length === 0) return "unchanged";
  let text = "";
  for (let i = 0; i < pairs.length && i < 64; i += 2) {
    if (i === 0 || pairs[i] !== (pairs[i - 2] as number) + 1)
      text += `${text ? " " : ""}${(pairs[i] as number).toString(16)}:`;
    text += (pairs[i + 1] as number).toString(16).padStart(2, "0");
  }
  return text;
}
