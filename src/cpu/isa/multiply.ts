// Multiplication and division (SDM volume 2: MUL, IMUL, DIV, IDIV, MULX). The implied rDX:rAX is no operand.

import type { Instruction } from "./instruction.js";
import { instruction, row } from "./instruction.js";

export const multiply: readonly Instruction[] = [
  instruction("MUL", [row("F6 /4", "r/m8"), row("F7 /4", "r/mV")]),
  instruction("IMUL", [
    row("F6 /5", "r/m8", { semantics: "IMUL1" }),
    row("F7 /5", "r/mV", { semantics: "IMUL1" }),
    row("0F AF /r", "rV, r/mV", { semantics: "IMUL2" }),
    row("6B /r ib", "rV, r/mV, simm8", { semantics: "IMUL3" }),
    row("69 /r iz", "rV, r/mV, immZ", { semantics: "IMUL3" }),
  ]),
  instruction("DIV", [row("F6 /6", "r/m8"), row("F7 /6", "r/mV")]),
  instruction("IDIV", [row("F6 /7", "r/m8"), row("F7 /7", "r/mV")]),
  instruction("MULX", [row("VEX.LZ.F2.0F38 F6 /r", "rY, vY, r/mY", { feature: "BMI2" })]),
];
