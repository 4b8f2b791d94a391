// What of a result is defined by the manuals: flags (SDM 2, "Flags Affected" of each instruction), x87 condition codes,
// memory fields that differ between processors, and results that are approximations.
import { type Instruction, MemorySizeExt, OpKind, RegisterExt, RflagsBits } from "iced-x86";
import { mnemonicOf } from "./forms.js";
import {
  CODE_OFFSET,
  CODE32_SELECTOR,
  DATA_BASE,
  GPR_OFFSET,
  LENGTH_OFFSET,
  MODE_OFFSET,
  RFLAGS_OFFSET,
  SELECTORS_OFFSET,
  VECTOR_OFFSET,
} from "./layout.js";

/** How registers are compared. */
export const Kind = {
  Exact: 0,
  /** x87 transcendental: ST registers within TRANSCENDENTAL_ULPS, C1 and PE free. */
  Transcendental: 1,
  /** RCP, RSQRT: singles within a relative error of 1.5 * 2^-12 on either side. */
  Approximate: 2,
} as const;

export interface Mask {
  /** Defined bits of RFLAGS. */
  flags: number;
  /** Defined bits of the x87 status word. */
  fsw: number;
  kind: number;
  /** Memory that is not compared: pairs of address and length. */
  ignore: number[];
}

const RSP = 4;

const CF = 1;
const PF = 4;
const AF = 0x10;
const ZF = 0x40;
const SF = 0x80;
const OF = 0x800;
const STATUS = CF | PF | AF | ZF | SF | OF;
/** RF is the kernel's business in a signal frame. */
const ALL_FLAGS = 0xffff_ffff & ~0x10000;

const ICED_FLAGS: readonly (readonly [number, number])[] = [
  [RflagsBits.CF, CF],
  [RflagsBits.PF, PF],
  [RflagsBits.AF, AF],
  [RflagsBits.ZF, ZF],
  [RflagsBits.SF, SF],
  [RflagsBits.OF, OF],
];
const ICED_CODES: readonly (readonly [number, number])[] = [
  [RflagsBits.C0, 0x100],
  [RflagsBits.C1, 0x200],
  [RflagsBits.C2, 0x400],
  [RflagsBits.C3, 0x4000],
];

function operandBits(instruction: Instruction): number {
  if (instruction.opKind(0) === OpKind.Register) return 8 * RegisterExt.size(instruction.op0Register);
  return 8 * MemorySizeExt.size(instruction.memorySize);
}

/** The count of a shift or rotate, masked as the processor masks it. */
function shiftCount(instruction: Instruction, view: DataView, bits: number): number {
  const last = instruction.opCount - 1;
  const raw =
    instruction.opCount === 1
      ? 1
      : instruction.opKind(last) === OpKind.Register
        ? view.getUint8(GPR_OFFSET + 8)
        : Number(instruction.immediate(last) & 0xffn);
  return raw & (bits === 64 ? 63 : 31);
}

function shiftUndefined(name: string, count: number, bits: number): number | undefined {
  if (count === 0) return 0;
  let undefinedFlags = count === 1 ? 0 : OF;
  if (/^RO|^RC/.test(name)) return undefinedFlags;
  undefinedFlags |= AF;
  if (/^SH[LR]D$/.test(name)) return count > bits ? undefined : undefinedFlags;
  if (name !== "SAR" && count >= bits) undefinedFlags |= CF;
  return undefinedFlags;
}

const TRANSCENDENTAL = /^(F2XM1|FYL2X|FYL2XP1|FPTAN|FPATAN|FSIN|FCOS|FSINCOS)$/;
const FAULTS_BEFORE = new Set([0, 4, 5, 6, 13, 10, 11, 12, 14, 16, 17, 19]);

/** The mask for a result, or undefined when the destination itself is undefined. `address` is that of the memory operand. */
export function definedPart(
  instruction: Instruction,
  input: Uint8Array,
  result: Uint8Array,
  address: bigint,
): Mask | undefined {
  const name = mnemonicOf(instruction);
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const after = new DataView(result.buffer, result.byteOffset, result.byteLength);
  const mask: Mask = { flags: ALL_FLAGS >>> 0, fsw: 0xffff, kind: Kind.Exact, ignore: [] };
  // Outside 64-bit mode the upper halves of registers are undefined (SDM volume 1, 3.4.1.1): some processors clear that of RSP.
  if (input[MODE_OFFSET] === 64 && after.getUint16(SELECTORS_OFFSET + 2, true) === CODE32_SELECTOR)
    if (view.getUint32(GPR_OFFSET + 8 * RSP + 4, true) !== 0) return undefined;
  if (FAULTS_BEFORE.has(result[VECTOR_OFFSET] as number)) {
    // A fault restores the state. Repeated comparisons alone may have run for a while.
    if (/^(CMPS|SCAS)/.test(name)) mask.flags = (mask.flags & ~STATUS) >>> 0;
    // Which of several accesses faults first is the processor's choice, and so is CR2.
    if (
      result[VECTOR_OFFSET] === 14 &&
      /^(RETF|IRET|FXSAVE|FXRSTOR|FRSTOR|FN?SAVE|FLDENV|FN?STENV|ENTER|PUSHA|POPA|CALL|JMP)/.test(name)
    )
      return undefined;
    // Processors differ in which of its two operands CMPS reads first (AMD's family 25 alone has both).
    if (/^CMPS/.test(name) && [13, 14, 17].includes(result[VECTOR_OFFSET]!)) return undefined;
    // So is whether an indirect call looks at its stack (AMD) or at its target (SDM) first.
    if (instruction.isCallNearIndirect && result[VECTOR_OFFSET] === 12) return undefined;
    // Instructions of several stores may have made some of them.
    if (/^(PUSHA|ENTER|CALL|FN?SAVE|FN?STENV|FXSAVE)/.test(name)) mask.ignore.push(DATA_BASE, 0x7000);
    return mask;
  }
  const iced = instruction.rflagsUndefined;
  let undefinedFlags: number | undefined = 0;
  for (const [bit, flag] of ICED_FLAGS) if (iced & bit) undefinedFlags |= flag;
  for (const [bit, code] of ICED_CODES) if (iced & bit) mask.fsw &= ~code;
  if (/^(SHL|SAL|SHR|SAR|ROL|ROR|RCL|RCR|SHLD|SHRD)$/.test(name)) {
    const bits = operandBits(instruction);
    undefinedFlags = shiftUndefined(name, shiftCount(instruction, view, bits), bits);
    if (undefinedFlags === undefined) return undefined;
  }
  // BSF and BSR of zero leave an undefined destination.
  if (/^BS[FR]$/.test(name) && after.getUint32(RFLAGS_OFFSET, true) & ZF) return undefined;
  // When CMPXCHG on a 32-bit register finds a difference, AMD keeps the upper half of the destination, Intel clears it.
  if (name === "CMPXCHG" && instruction.opKind(0) === OpKind.Register && operandBits(instruction) === 32)
    if ((after.getUint32(RFLAGS_OFFSET, true) & ZF) === 0) return undefined;
  // Swapping 16 bits is undefined.
  if (
    name === "BSWAP" &&
    input.subarray(CODE_OFFSET, CODE_OFFSET + (input[LENGTH_OFFSET] as number)).includes(0x66) &&
    !instruction.op0Register.toString().startsWith("R") &&
    operandBits(instruction) === 16
  )
    return undefined;
  mask.flags = (mask.flags & ~undefinedFlags) >>> 0;
  if (TRANSCENDENTAL.test(name)) {
    mask.kind = Kind.Transcendental;
    mask.fsw &= ~(0x220 | 0x8080 | 0x10);
  }
  if (/^(RCP|RSQRT)/.test(name)) mask.kind = Kind.Approximate;
  const at = Number(BigInt.asUintN(32, address));
  if (name === "FXSAVE" || name === "FXSAVE64") mask.ignore.push(at + 5, 19, at + 28, 4);
  if (/^FN?(STENV|SAVE)$/.test(name)) {
    // Instruction and data pointers: FIP, FCS, FOP, FDP, FDS.
    const short = MemorySizeExt.size(instruction.memorySize);
    if (short === 14 || short === 94) mask.ignore.push(at + 6, 8);
    else mask.ignore.push(at + 12, 16);
  }
  return mask;
}
