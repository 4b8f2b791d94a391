// Turns a row into forms: one for each operand size and for register or memory ModRM, with the layout the decoder follows
// (which bits name each operand's register, which immediate bytes follow). Forms are shared by all code modes.

import type { Instruction, Row } from "../isa/instruction.js";
import type { Form, FormOperand } from "./decoded.js";
import type { ImmediateToken, OpcodeText } from "./opcode-text.js";
import { parseOpcodeText } from "./opcode-text.js";
import type { OperandText } from "./operand-text.js";
import { Field, parseOperand, resolveOperand } from "./operand-text.js";

/** Immediate bytes after ModRM, with the extension they get. */
export const ImmediateKind = {
  None: 0,
  /** One byte, zero-extended. */
  Byte: 1,
  /** One byte, sign-extended to 16, 32 or 64 bits. */
  SignedByte16: 2,
  SignedByte32: 3,
  SignedByte64: 4,
  Word: 5,
  Dword: 6,
  /** Four bytes, sign-extended to 64 bits. */
  SignedDword64: 7,
  Qword: 8,
  Rel8: 9,
  Rel16: 10,
  Rel32: 11,
  Far16: 12,
  Far32: 13,
  /** An absolute address as wide as the address size. */
  Moffs: 14,
  /** ENTER: a word, then a byte. */
  WordByte: 15,
  /** No bytes: the operand is the constant 1 of D0 and D1 shifts. */
  One: 16,
} as const;
export type ImmediateKind = (typeof ImmediateKind)[keyof typeof ImmediateKind];

/** What the decoder does for a form once the opcode is known. */
export interface FormLayout {
  readonly form: Form;
  readonly immediate: ImmediateKind;
  /** LOCK may precede it: the row allows it and the destination is memory. */
  readonly lockable: boolean;
  /** The F2 or F3 prefix is part of the opcode. */
  readonly repConsumed: boolean;
  readonly vvvvUsed: boolean;
  readonly field0: Field;
  readonly field1: Field;
  readonly field2: Field;
  readonly field3: Field;
  readonly fixed0: number;
  readonly fixed1: number;
  readonly fixed2: number;
  readonly fixed3: number;
}

/** A row with its texts parsed. */
export interface ParsedRow {
  readonly instruction: Instruction;
  readonly row: Row;
  readonly opcode: OpcodeText;
  readonly operands: readonly OperandText[];
  /** Forms by [operand size 16, 32, 64][register, memory]; undefined where the row has none. */
  readonly layouts: (FormLayout | undefined)[];
  /** Registers take their bits from here, in operand order. */
  readonly fields: readonly Field[];
  takesMemory: boolean;
  takesRegister: boolean;
}

export function rowName(parsed: { instruction: Instruction; row: Row }): string {
  return `${parsed.instruction.mnemonic} "${parsed.row.opcode}" (${parsed.row.operands})`;
}

export function parseRow(instruction: Instruction, row: Row): ParsedRow {
  const opcode = parseOpcodeText(instruction.mnemonic, row);
  const operands = row.operands === "" ? [] : row.operands.split(", ").map(parseOperand);
  const rm = operands.find((operand) => operand.kind === "rm");
  const fields = assignFields(opcode, operands);
  const rmIsRegister = fields.includes(Field.Rm) || fields.includes(Field.Rm8) || fields.includes(Field.RmLow);
  const isMoffs = opcode.immediates.includes("moffs");
  const parsed: ParsedRow = {
    instruction,
    row,
    opcode,
    operands,
    layouts: [],
    fields,
    takesMemory: isMoffs || (opcode.hasModrm && (rm !== undefined || !rmIsRegister) && opcode.mod !== "register"),
    takesRegister: opcode.mod !== "memory" && (rm === undefined || rm.register !== undefined),
  };
  if (opcode.fixedModrm >= 0) parsed.takesMemory = false;
  if (isMoffs) parsed.takesRegister = false;
  checkRow(parsed);
  return parsed;
}

function assignFields(opcode: OpcodeText, operands: readonly OperandText[]): Field[] {
  const hasRm = operands.some((operand) => operand.kind === "rm");
  let regTaken = opcode.digit >= 0 || operands.some((operand) => /^(Sreg|CRn|DRn)$/.test(operand.text));
  return operands.map((operand, at) => {
    const byte = operand.register === "gpr" && operand.registerSize === 8;
    const low = operand.register === "mm" || operand.register === "st";
    if (operand.kind === "fixed" || operand.kind === "constant") return Field.Fixed;
    if (operand.kind === "vvvv") return Field.Vvvv;
    if (operand.register === "sreg") return at === 0 ? Field.SregLoad : Field.Sreg;
    if (operand.register === "cr") return Field.Control;
    if (operand.register === "dr") return Field.Debug;
    if (operand.register === undefined) return Field.None;
    if (opcode.plusRegister) return byte ? Field.Opcode8 : Field.Opcode;
    const isRm = operand.kind === "rm" || (!hasRm && regTaken) || opcode.plusIndex;
    if (!isRm) regTaken = true;
    if (low) return isRm ? Field.RmLow : Field.RegLow;
    if (byte) return isRm ? Field.Rm8 : Field.Reg8;
    return isRm ? Field.Rm : Field.Reg;
  });
}

/** Mistakes in one row alone; overlaps are found by opcode-maps.ts. */
function checkRow(parsed: ParsedRow): void {
  const { opcode, row, operands } = parsed;
  const fail = (what: string): never => {
    throw new Error(`${rowName(parsed)}: ${what}`);
  };
  if (operands.length > 4) fail("more than four operands");
  if (row.options.lock === true && !operands[0]?.memory) fail("LOCK allowed without a memory destination");
  const no64 = row.options.mode === "no64";
  if (opcode.map === 0 && (opcode.opcode & 0xf0) === 0x40 && !no64)
    fail("no 64-bit rule: 40-4F are REX prefixes there");
  if (opcode.immediates.includes("cp") && !no64) fail("no 64-bit rule: far pointers are not valid there");
  const near = opcode.immediates.includes("cb") || opcode.immediates.includes("cz");
  if (near && row.options.size64 !== "force") fail("no 64-bit rule: near branches have a 64-bit operand size there");
  const values = operands.filter((operand) => /^(immediate2?|relative|far)$/.test(operand.kind)).length;
  const moffs = operands.filter((operand) => operand.text.startsWith("moffs")).length;
  if (values + moffs !== opcode.immediates.length) fail("immediate tokens and operands differ in number");
}

/** The operand size that a row's form has at an effective operand size, or -1 when the row isn't there at that size. */
function formSize(parsed: ParsedRow, effective: number): number {
  const { options } = parsed.row;
  const rule = options.operandSize;
  if (effective === 64 && options.mode === "no64") return -1;
  if (effective < 64 && options.mode === "only64" && options.size64 === "force") return -1;
  if (rule === "32+") return effective === 16 ? -1 : 32;
  if (rule === 16 || rule === 32 || rule === 64) return rule === effective ? rule : -1;
  if (rule === "V") return effective;
  if (rule === "Z") return effective === 64 ? 32 : effective;
  const letters = parsed.row.operands.replace(/ST[0i]/g, "");
  if (/V|Z|rAX|simm8/.test(letters)) return effective;
  if (rule === "Y" || letters.includes("Y")) return effective === 64 ? 64 : 32;
  return 0;
}

/** Creates the row's forms; `add` gives each the next id. */
export function createForms(parsed: ParsedRow, add: (layout: FormLayout) => void, nextId: () => number): void {
  for (let memory = 0; memory < 2; memory++) {
    if (memory === 1 ? !parsed.takesMemory : !parsed.takesRegister) continue;
    let previous: FormLayout | undefined;
    let previousSize = -1;
    for (let sizeIndex = 0; sizeIndex < 3; sizeIndex++) {
      const size = formSize(parsed, 16 << sizeIndex);
      if (size < 0) continue;
      if (previous === undefined || size !== previousSize) {
        previous = layoutOf(parsed, size, memory === 1, nextId());
        previousSize = size;
        add(previous);
      }
      parsed.layouts[sizeIndex * 2 + memory] = previous;
    }
  }
}

/** `size` 0: the row has fixed sizes. */
function layoutOf(parsed: ParsedRow, size: number, memory: boolean, id: number): FormLayout {
  const { row, instruction, opcode, fields } = parsed;
  const resolved = parsed.operands.map((operand) => resolveOperand(operand, size, memory));
  const operandSize = size !== 0 ? size : fixedSize(row, resolved);
  const form: Form = {
    id,
    instruction,
    row,
    semantics: row.options.semantics ?? instruction.mnemonic,
    operandSize,
    operands: resolved,
  };
  const fixed = (at: number): number => parsed.operands[at]?.fixed ?? 0;
  const field = (at: number): Field => {
    const operand = parsed.operands[at];
    if (operand === undefined || (operand.memory && memory)) return Field.None;
    return fields[at]!;
  };
  return {
    form,
    immediate: immediateKind(opcode.immediates, operandSize, parsed.operands),
    lockable: row.options.lock === true && memory,
    repConsumed: opcode.prefix === "F2" || opcode.prefix === "F3",
    vvvvUsed: fields.includes(Field.Vvvv),
    field0: field(0),
    field1: field(1),
    field2: field(2),
    field3: field(3),
    fixed0: fixed(0),
    fixed1: fixed(1),
    fixed2: fixed(2),
    fixed3: fixed(3),
  };
}

function fixedSize(row: Row, operands: readonly FormOperand[]): number {
  if (typeof row.options.operandSize === "number") return row.options.operandSize;
  const first = operands.find((operand) => [8, 16, 32, 64].includes(operand.size));
  return first?.size ?? 32;
}

function immediateKind(
  tokens: readonly ImmediateToken[],
  operandSize: number,
  operands: readonly OperandText[],
): ImmediateKind {
  const wide = operandSize === 16 ? 0 : operandSize === 64 ? 2 : 1;
  switch (tokens.join(" ")) {
    case "":
      return operands.some((operand) => operand.kind === "constant") ? ImmediateKind.One : ImmediateKind.None;
    case "ib":
      if (!operands.some((operand) => operand.text === "simm8")) return ImmediateKind.Byte;
      return [ImmediateKind.SignedByte16, ImmediateKind.SignedByte32, ImmediateKind.SignedByte64][wide]!;
    case "iw":
      return ImmediateKind.Word;
    case "iz":
      return [ImmediateKind.Word, ImmediateKind.Dword, ImmediateKind.SignedDword64][wide]!;
    case "iv":
      return [ImmediateKind.Word, ImmediateKind.Dword, ImmediateKind.Qword][wide]!;
    case "cb":
      return ImmediateKind.Rel8;
    case "cz":
      return wide === 0 ? ImmediateKind.Rel16 : ImmediateKind.Rel32;
    case "cp":
      return wide === 0 ? ImmediateKind.Far16 : ImmediateKind.Far32;
    case "moffs":
      return ImmediateKind.Moffs;
    case "iw ib":
      return ImmediateKind.WordByte;
    default:
      throw new Error(`no immediate layout for "${tokens.join(" ")}"`);
  }
}
