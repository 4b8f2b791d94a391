// Port input and output (SDM volume 1, chapter 19). INS and OUTS are in string.ts.

import type { Instruction } from "./instruction.js";
import { instruction, row } from "./instruction.js";

export const io: readonly Instruction[] = [
  instruction("IN", [
    row("E4 ib", "AL, imm8"),
    row("E5 ib", "zAX, imm8", { operandSize: "Z" }),
    row("EC", "AL, DX"),
    row("ED", "zAX, DX", { operandSize: "Z" }),
  ]),
  instruction("OUT", [
    row("E6 ib", "imm8, AL"),
    row("E7 ib", "imm8, zAX", { operandSize: "Z" }),
    row("EE", "DX, AL"),
    row("EF", "DX, zAX", { operandSize: "Z" }),
  ]),
];
