// What the decoder produces: one reused object, all numbers, no allocation per instruction.

import type { Instruction, Row } from "../isa/instruction.js";

/** How an operand is found. */
export const OperandKind = {
  /** General register; `code` 0-15, or 16-19 for AH CH DH BH. */
  Gpr: 0,
  /** Memory at the decoded address. */
  Memory: 1,
  /** Immediate, sign- or zero-extended to the operand's size in immLo/immHi. */
  Immediate: 2,
  /** Relative branch target: sign-extended displacement in immLo/immHi, counted from the next instruction. */
  Relative: 3,
  /** Segment register 0-5. */
  Segment: 4,
  Control: 5,
  Debug: 6,
  Mmx: 7,
  Xmm: 8,
  /** x87 stack register ST(code). */
  St: 9,
  /** ptr16:16 / ptr16:32: offset in immLo, selector in immHi. */
  FarPointer: 10,
  /** The constant 1 of shift rows, or another implied constant: value in immLo. */
  Constant: 11,
  /** A second immediate (ENTER, EXTRQ): value in imm2. */
  Immediate2: 12,
} as const;
export type OperandKind = (typeof OperandKind)[keyof typeof OperandKind];

/** One row with its operand text resolved for one operand size and for register or memory ModRM. Unique per `id`. */
export interface Form {
  /** Dense, from 0; stable within a process. */
  readonly id: number;
  readonly instruction: Instruction;
  readonly row: Row;
  /** Key into the semantics tables. */
  readonly semantics: string;
  /** Effective operand size in bits: 8, 16, 32 or 64 (what V, Y and Z resolve to). */
  readonly operandSize: number;
  readonly operands: readonly FormOperand[];
}

export interface FormOperand {
  readonly kind: OperandKind;
  /** Bits: 8 16 32 48 64 80 128; 0 where the instruction decides (LEA's m, FXSAVE's m512byte = 4096). */
  readonly size: number;
  /** SDM operand text, e.g. "r/m32". */
  readonly text: string;
}

export interface Decoded {
  form: Form;
  /** Bytes, 1-15. */
  length: number;
  /** Address size in bits: 16, 32 or 64. */
  addressSize: number;
  /** Register codes per operand slot 0-3 (see OperandKind). */
  readonly code: Int32Array;
  /** Memory operand: register number or -1; RIP-relative has `ripRelative` true and no base. */
  base: number;
  index: number;
  /** Shift 0-3. */
  scale: number;
  /** Sign-extended displacement (64-bit moffs: low and high halves). */
  dispLo: number;
  dispHi: number;
  ripRelative: boolean;
  /** Effective segment 0-5 (override, else SS for rSP/rBP bases, else DS); in 64-bit mode ES CS SS DS overrides are ignored. */
  segment: number;
  /** True when an override prefix chose the segment. */
  segmentOverridden: boolean;
  immLo: number;
  immHi: number;
  imm2: number;
  lock: boolean;
  /** 0 none, 2 = F2 (REPNE), 3 = F3 (REP/REPE): the last such prefix, when it isn't part of the opcode. */
  rep: 0 | 2 | 3;
}

export const DecodeResult = {
  Ok: 0,
  /** Not an instruction of this CPU (or LOCK where it may not be): #UD. */
  Invalid: 1,
  /** Longer than 15 bytes: #GP(0). */
  TooLong: 2,
  /** The bytes given end before the instruction does. */
  NeedMore: 3,
} as const;
export type DecodeResult = (typeof DecodeResult)[keyof typeof DecodeResult];

/** Code size by CS: what state-layout's CODE_MODE holds. */
export const CodeMode = { Bits16: 0, Bits32: 1, Bits64: 2 } as const;
export type CodeMode = (typeof CodeMode)[keyof typeof CodeMode];
