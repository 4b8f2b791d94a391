// Logical instructions (SDM volume 1, section 5.1.4).

import { groupOneRows } from "./families.js";
import type { Instruction } from "./instruction.js";
import { instruction, row } from "./instruction.js";

const lock = true;

export const logic: readonly Instruction[] = [
  instruction("OR", groupOneRows(1, true)),
  instruction("AND", groupOneRows(4, true)),
  instruction("XOR", groupOneRows(6, true)),
  instruction("NOT", [row("F6 /2", "r/m8", { lock }), row("F7 /2", "r/mV", { lock })]),
  instruction("TEST", [
    row("A8 ib", "AL, imm8"),
    row("A9 iz", "rAX, immZ"),
    row("F6 /0 ib", "r/m8, imm8"),
    row("F7 /0 iz", "r/mV, immZ"),
    // Undocumented aliases that every processor has.
    row("F6 /1 ib", "r/m8, imm8"),
    row("F7 /1 iz", "r/mV, immZ"),
    row("84 /r", "r/m8, r8"),
    row("85 /r", "r/mV, rV"),
  ]),
  instruction("ANDN", [row("VEX.LZ.0F38 F2 /r", "rY, vY, r/mY", { feature: "BMI1" })]),
];
