// PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM volume 2, section 4.1): ARGS hold the first operand and the second one,
// ARG_IMMEDIATE the control byte. The index or the mask replaces the first operand, the flags replace the immediate.

import * as S from "../state-layout.js";
import type { HostCpu, HostOperation, HostOperationTable } from "./host-operation.js";

const first = new Int32Array(16);
const second = new Int32Array(16);

/** Elements of an operand by control bits 1-0: unsigned or signed bytes or words. */
function load(cpu: HostCpu, operand: 0 | 1, control: number, out: Int32Array): void {
  const words = (control & 1) !== 0;
  const bytes = cpu.state.bytes(S.ARGS + 16 * operand, 16);
  for (let i = 0; i < (words ? 8 : 16); i++) {
    const value = words ? bytes[2 * i]! | (bytes[2 * i + 1]! << 8) : bytes[i]!;
    out[i] = control & 2 ? (words ? (value << 16) >> 16 : (value << 24) >> 24) : value;
  }
}

function implicitLength(elements: Int32Array, count: number): number {
  for (let i = 0; i < count; i++) if (elements[i] === 0) return i;
  return count;
}

/** The length that a register gives: its magnitude, at most `count`. */
function explicitLength(cpu: HostCpu, register: number, bits: number, count: number): number {
  const value = BigInt.asIntN(bits, cpu.state.gpr(register));
  const magnitude = value < 0n ? -value : value;
  return magnitude > BigInt(count) ? count : Number(magnitude);
}

function equalAny(j: number, length1: number): boolean {
  for (let i = 0; i < length1; i++) if (first[i] === second[j]) return true;
  return false;
}

function inRanges(j: number, length1: number): boolean {
  const value = second[j]!;
  for (let i = 0; i + 1 < length1; i += 2) if (first[i]! <= value && value <= first[i + 1]!) return true;
  return false;
}

function equalOrdered(j: number, length1: number, length2: number, count: number): boolean {
  for (let i = 0; i < length1 && i + j < count; i++) if (i + j >= length2 || first[i] !== second[i + j]) return false;
  return true;
}

/** One bit for each element of the second operand: the aggregation chosen by control bits 3-2. */
function aggregate(control: number, length1: number, length2: number, count: number): number {
  let bits = 0;
  for (let j = 0; j < count; j++) {
    let hit: boolean;
    switch ((control >> 2) & 3) {
      case 0:
        hit = j < length2 && equalAny(j, length1);
        break;
      case 1:
        hit = j < length2 && inRanges(j, length1);
        break;
      case 2:
        hit = j < length1 && j < length2 ? first[j] === second[j] : j >= length1 && j >= length2;
        break;
      default:
        hit = equalOrdered(j, length1, length2, count);
    }
    if (hit) bits |= 1 << j;
  }
  return bits;
}

function writeIndex(cpu: HostCpu, control: number, bits: number, count: number): void {
  const index = bits === 0 ? count : control & 0x40 ? 31 - Math.clz32(bits) : 31 - Math.clz32(bits & -bits);
  cpu.state.setU32(S.ARGS, index);
}

function writeMask(cpu: HostCpu, control: number, bits: number, count: number): void {
  const out = cpu.state.bytes(S.ARGS, 16).fill(0);
  if (control & 0x40) {
    const width = 16 / count;
    for (let i = 0; i < 16; i++) out[i] = (bits >> Math.floor(i / width)) & 1 ? 0xff : 0;
  } else {
    out[0] = bits & 0xff;
    out[1] = bits >> 8;
  }
}

/** `explicitBits`: width of the length registers rAX and rDX, 0 for lengths by a null element. */
function compareStrings(explicitBits: 0 | 32 | 64, write: typeof writeIndex): HostOperation {
  return (cpu) => {
    const control = cpu.state.u32(S.ARG_IMMEDIATE);
    const count = control & 1 ? 8 : 16;
    load(cpu, 0, control, first);
    load(cpu, 1, control, second);
    const length1 = explicitBits ? explicitLength(cpu, S.Reg.RAX, explicitBits, count) : implicitLength(first, count);
    const length2 = explicitBits ? explicitLength(cpu, S.Reg.RDX, explicitBits, count) : implicitLength(second, count);
    let bits = aggregate(control, length1, length2, count);
    // Polarity: bit 4 negates, with bit 5 only where the second operand has elements.
    if (control & 0x10) bits ^= control & 0x20 ? (1 << length2) - 1 : (1 << count) - 1;
    write(cpu, control, bits, count);
    let flags = bits !== 0 ? S.CF : 0;
    if (length2 < count) flags |= S.ZF;
    if (length1 < count) flags |= S.SF;
    if (bits & 1) flags |= S.OF;
    cpu.state.setU32(S.ARG_IMMEDIATE, flags);
  };
}

export const stringCompareOperations: HostOperationTable = {
  "compareStrings.implicit.index": compareStrings(0, writeIndex),
  "compareStrings.implicit.mask": compareStrings(0, writeMask),
  "compareStrings.explicit32.index": compareStrings(32, writeIndex),
  "compareStrings.explicit32.mask": compareStrings(32, writeMask),
  "compareStrings.explicit64.index": compareStrings(64, writeIndex),
  "compareStrings.explicit64.mask": compareStrings(64, writeMask),
};
