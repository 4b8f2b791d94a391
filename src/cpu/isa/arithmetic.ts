// Integer arithmetic (SDM volume 1, section 5.1.2): add, subtract, multiply's neighbours INC DEC NEG, decimal adjusts, ADX.

import { groupOneRows } from "./families.js";
import type { Instruction } from "./instruction.js";
import { instruction, row } from "./instruction.js";

const lock = true;

export const arithmetic: readonly Instruction[] = [
  instruction("ADD", groupOneRows(0, true)),
  instruction("ADC", groupOneRows(2, true)),
  instruction("SBB", groupOneRows(3, true)),
  instruction("SUB", groupOneRows(5, true)),
  instruction("CMP", groupOneRows(7, false)),
  instruction("INC", [
    row("FE /0", "r/m8", { lock }),
    row("FF /0", "r/mV", { lock }),
    row("40+r", "rV", { mode: "no64" }),
  ]),
  instruction("DEC", [
    row("FE /1", "r/m8", { lock }),
    row("FF /1", "r/mV", { lock }),
    row("48+r", "rV", { mode: "no64" }),
  ]),
  instruction("NEG", [row("F6 /3", "r/m8", { lock }), row("F7 /3", "r/mV", { lock })]),
  instruction("ADCX", [row("66 0F 38 F6 /r", "rY, r/mY", { feature: "ADX" })]),
  instruction("ADOX", [row("F3 0F 38 F6 /r", "rY, r/mY", { feature: "ADX" })]),
  instruction("DAA", [row("27", "", { mode: "no64", operandSize: 8 })]),
  instruction("DAS", [row("2F", "", { mode: "no64", operandSize: 8 })]),
  instruction("AAA", [row("37", "", { mode: "no64", operandSize: 8 })]),
  instruction("AAS", [row("3F", "", { mode: "no64", operandSize: 8 })]),
  instruction("AAM", [row("D4 ib", "imm8", { mode: "no64" })]),
  instruction("AAD", [row("D5 ib", "imm8", { mode: "no64" })]),
];
