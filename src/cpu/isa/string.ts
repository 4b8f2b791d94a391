// String instructions (SDM volume 1, section 5.1.8). Operands are implied: DS:rSI (may be overridden) and ES:rDI, as wide as
// the operand size, addressed by the address size.

import type { Instruction } from "./instruction.js";
import { instruction, row } from "./instruction.js";

function family(name: string, opcode: string, wideOpcode: string): Instruction[] {
  const options = { rep: true, semantics: name };
  return [
    instruction(`${name}B`, [row(opcode, "", { ...options, operandSize: 8 })]),
    instruction(`${name}W`, [row(wideOpcode, "", { ...options, operandSize: 16 })]),
    instruction(`${name}D`, [row(wideOpcode, "", { ...options, operandSize: 32 })]),
    instruction(`${name}Q`, [row(wideOpcode, "", { ...options, operandSize: 64 })]),
  ];
}

/** Port strings: REX.W leaves them 32 bits wide. */
function portFamily(name: string, opcode: string, wideOpcode: string): Instruction[] {
  const options = { rep: true, semantics: name };
  return [
    instruction(`${name}B`, [row(opcode, "", { ...options, operandSize: 8 })]),
    instruction(`${name}W`, [row(wideOpcode, "", { ...options, operandSize: 16 })]),
    instruction(`${name}D`, [row(wideOpcode, "", { ...options, operandSize: "32+" })]),
  ];
}

export const string: readonly Instruction[] = [
  ...family("MOVS", "A4", "A5"),
  ...family("CMPS", "A6", "A7"),
  ...family("STOS", "AA", "AB"),
  ...family("LODS", "AC", "AD"),
  ...family("SCAS", "AE", "AF"),
  ...portFamily("INS", "6C", "6D"),
  ...portFamily("OUTS", "6E", "6F"),
];
