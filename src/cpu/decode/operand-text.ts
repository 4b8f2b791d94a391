// Parses one operand of a row's operand column and resolves it for one operand size and for a register or memory ModRM.
// Register texts take their field as in the SDM's Op/En columns: "x/m" and m are ModRM.rm, a plain register is ModRM.reg;
// when ModRM.reg is taken or holds a digit, it is ModRM.rm; with +r it is in the opcode.

import type { FormOperand } from "./decoded.js";
import { OperandKind } from "./decoded.js";

/** Where a register code comes from. */
export const Field = {
  None: 0,
  Fixed: 1,
  Reg: 2,
  Rm: 3,
  Opcode: 4,
  /** The same for byte registers: codes 4-7 without REX are AH CH DH BH. */
  Reg8: 5,
  Rm8: 6,
  Opcode8: 7,
  /** Three bits, no REX extension (MMX, x87). */
  RegLow: 8,
  RmLow: 9,
  /** Segment register in ModRM.reg: 6, 7 raise #UD. */
  Sreg: 10,
  /** The same as a destination: CS raises #UD. */
  SregLoad: 11,
  Control: 12,
  Debug: 13,
  Vvvv: 14,
} as const;
export type Field = (typeof Field)[keyof typeof Field];

/** Size in bits, or the letter that the operand size decides. */
export type SizeLetter = number | "V" | "Y" | "Z";

export interface OperandText {
  text: string;
  /** Register class of the operand's register form; undefined when it has none. */
  register: "gpr" | "mm" | "xmm" | "st" | "sreg" | "cr" | "dr" | undefined;
  registerSize: SizeLetter;
  /** True when the operand can be memory. */
  memory: boolean;
  memorySize: SizeLetter;
  kind: "register" | "rm" | "fixed" | "vvvv" | "immediate" | "immediate2" | "relative" | "far" | "constant";
  /** Code of a fixed register, or value of a constant. */
  fixed: number;
}

const FIXED: Readonly<Record<string, readonly [OperandText["register"], SizeLetter, number]>> = {
  AL: ["gpr", 8, 0],
  CL: ["gpr", 8, 1],
  AX: ["gpr", 16, 0],
  DX: ["gpr", 16, 2],
  EAX: ["gpr", 32, 0],
  RAX: ["gpr", 64, 0],
  rAX: ["gpr", "V", 0],
  zAX: ["gpr", "Z", 0],
  ES: ["sreg", 16, 0],
  CS: ["sreg", 16, 1],
  SS: ["sreg", 16, 2],
  DS: ["sreg", 16, 3],
  FS: ["sreg", 16, 4],
  GS: ["sreg", 16, 5],
  ST0: ["st", 80, 0],
  XMM0: ["xmm", 128, 0],
};

/** Bits of memory operands that aren't a plain number. */
const MEMORY_BITS: Readonly<Record<string, SizeLetter>> = {
  m: 0,
  mV: "V",
  mY: "Y",
  m32fp: 32,
  m64fp: 64,
  m80fp: 80,
  m16int: 16,
  m32int: 32,
  m64int: 64,
  m80bcd: 80,
  m2byte: 16,
  "m14/28byte": 0,
  "m94/108byte": 0,
  m512byte: 4096,
  "m16&V": 0,
  "mV&V": 0,
  "m16:V": 0,
  moffs8: 8,
  moffsV: "V",
};

/** Some hundred texts, of several thousand operands. */
const parsed = new Map<string, Readonly<OperandText>>();

export function parseOperand(text: string): Readonly<OperandText> {
  let known = parsed.get(text);
  if (!known) parsed.set(text, (known = parseOperandText(text)));
  return known;
}

function parseOperandText(text: string): OperandText {
  const out: OperandText = {
    text,
    register: undefined,
    registerSize: 0,
    memory: false,
    memorySize: 0,
    kind: "register",
    fixed: 0,
  };
  const fixed = FIXED[text];
  if (fixed !== undefined) {
    [out.register, out.registerSize, out.fixed] = fixed;
    out.kind = "fixed";
    return out;
  }
  if (text === "1") {
    out.kind = "constant";
    out.fixed = 1;
  } else if (/^(simm8|imm8|imm16|immZ|immV)$/.test(text)) {
    out.kind = "immediate";
    out.registerSize = text === "imm8" ? 8 : text === "imm16" ? 16 : "V";
  } else if (text === "imm8_2") {
    out.kind = "immediate2";
    out.registerSize = 8;
  } else if (text === "rel8" || text === "relZ") {
    out.kind = "relative";
    out.registerSize = "V";
  } else if (text === "ptr16:Z") {
    out.kind = "far";
    out.registerSize = "Z";
  } else {
    parseLocation(out);
  }
  return out;
}

function parseLocation(out: OperandText): void {
  const text = out.text;
  if (MEMORY_BITS[text] !== undefined || /^m\d+$/.test(text)) {
    out.kind = "rm";
    out.memory = true;
    out.memorySize = MEMORY_BITS[text] ?? Number(text.slice(1));
    return;
  }
  // "r/m32" is the register and memory of one size; "r32/m8", "xmm/m64" name both.
  const pair = /^(r|mm|xmm|r[0-9VYZ]+)\/m([0-9]+|[VYZ])$/.exec(text);
  if (pair !== null) {
    out.kind = "rm";
    out.memory = true;
    out.memorySize = sizeLetter(pair[2]!);
    parseRegister(out, pair[1] === "r" ? `r${pair[2]}` : pair[1]!);
    return;
  }
  if (text === "vY") {
    out.kind = "vvvv";
    parseRegister(out, "rY");
    return;
  }
  parseRegister(out, text);
}

function parseRegister(out: OperandText, text: string): void {
  const gpr = /^r(8|16|32|64|V|Y|Z)$/.exec(text);
  if (gpr !== null) {
    out.register = "gpr";
    out.registerSize = sizeLetter(gpr[1]!);
    return;
  }
  const named = { mm: 64, xmm: 128, STi: 80, Sreg: 16, CRn: 0, DRn: 0 }[text];
  if (named === undefined) throw new Error(`unknown operand text "${out.text}"`);
  out.registerSize = named;
  out.register = ({ mm: "mm", xmm: "xmm", STi: "st", Sreg: "sreg", CRn: "cr", DRn: "dr" } as const)[
    text as "mm" | "xmm" | "STi" | "Sreg" | "CRn" | "DRn"
  ];
}

function sizeLetter(text: string): SizeLetter {
  return text === "V" || text === "Y" || text === "Z" ? text : Number(text);
}

/** Bits that a size letter means at an operand size. */
export function bitsOf(size: SizeLetter, operandSize: number): number {
  if (size === "V") return operandSize;
  if (size === "Y") return operandSize === 64 ? 64 : 32;
  if (size === "Z") return operandSize === 16 ? 16 : 32;
  return size;
}

const REGISTER_KIND = {
  gpr: OperandKind.Gpr,
  mm: OperandKind.Mmx,
  xmm: OperandKind.Xmm,
  st: OperandKind.St,
  sreg: OperandKind.Segment,
  cr: OperandKind.Control,
  dr: OperandKind.Debug,
} as const;

const VALUE_KIND = {
  immediate: OperandKind.Immediate,
  immediate2: OperandKind.Immediate2,
  relative: OperandKind.Relative,
  far: OperandKind.FarPointer,
  constant: OperandKind.Constant,
} as const;

/** The operand as a form has it; `memoryForm`: ModRM names memory (or the operand is moffs). */
export function resolveOperand(operand: OperandText, operandSize: number, memoryForm: boolean): FormOperand {
  if (operand.memory && memoryForm) {
    const size = bitsOf(operand.memorySize, operandSize);
    return { kind: OperandKind.Memory, size, text: spell(operand.text, operandSize) };
  }
  let size = bitsOf(operand.registerSize, operandSize);
  const text = spell(operand.text, operandSize);
  if (operand.register !== undefined) return { kind: REGISTER_KIND[operand.register], size, text };
  if (operand.kind === "far") size += 16;
  return { kind: VALUE_KIND[operand.kind as keyof typeof VALUE_KIND], size, text };
}

function spell(text: string, operandSize: number): string {
  if (text === "ST0" || text === "STi") return text;
  return text.replace(/[VYZ]/g, (letter) => String(bitsOf(letter as SizeLetter, operandSize)));
}
