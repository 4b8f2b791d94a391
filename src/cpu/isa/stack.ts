// Stack instructions (SDM volume 1, section 5.1.1 and 6.2). In 64-bit mode they are 64 bits wide, or 16 with prefix 66.

import type { Instruction } from "./instruction.js";
import { instruction, row } from "./instruction.js";

const size64 = "default";

export const stack: readonly Instruction[] = [
  instruction("PUSH", [
    row("50+r", "rV", { size64 }),
    row("FF /6", "r/mV", { size64 }),
    row("68 iz", "immZ", { size64 }),
    row("6A ib", "simm8", { size64 }),
    row("06", "ES", { mode: "no64", operandSize: "V", semantics: "PUSH_SREG" }),
    row("0E", "CS", { mode: "no64", operandSize: "V", semantics: "PUSH_SREG" }),
    row("16", "SS", { mode: "no64", operandSize: "V", semantics: "PUSH_SREG" }),
    row("1E", "DS", { mode: "no64", operandSize: "V", semantics: "PUSH_SREG" }),
    row("0F A0", "FS", { size64, operandSize: "V", semantics: "PUSH_SREG" }),
    row("0F A8", "GS", { size64, operandSize: "V", semantics: "PUSH_SREG" }),
  ]),
  instruction("POP", [
    row("58+r", "rV", { size64 }),
    row("8F /0", "r/mV", { size64 }),
    row("07", "ES", { mode: "no64", operandSize: "V", semantics: "POP_SREG" }),
    row("17", "SS", { mode: "no64", operandSize: "V", semantics: "POP_SREG" }),
    row("1F", "DS", { mode: "no64", operandSize: "V", semantics: "POP_SREG" }),
    row("0F A1", "FS", { size64, operandSize: "V", semantics: "POP_SREG" }),
    row("0F A9", "GS", { size64, operandSize: "V", semantics: "POP_SREG" }),
  ]),
  instruction("PUSHA", [row("60", "", { mode: "no64", operandSize: "V" })]),
  instruction("POPA", [row("61", "", { mode: "no64", operandSize: "V" })]),
  instruction("PUSHF", [row("9C", "", { size64, operandSize: "V" })]),
  instruction("POPF", [row("9D", "", { size64, operandSize: "V" })]),
  instruction("ENTER", [row("C8 iw ib", "imm16, imm8_2", { size64, operandSize: "V" })]),
  instruction("LEAVE", [row("C9", "", { size64, operandSize: "V" })]),
];
