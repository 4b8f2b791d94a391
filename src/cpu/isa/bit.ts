// Bit and byte instructions (SDM volume 1, section 5.1.6), POPCNT, LZCNT, TZCNT, CRC32, BMI1, BMI2, SETcc.
// BT* with a register bit offset address memory beyond the operand (SDM volume 2, BT).

import { CONDITIONS, hex } from "./families.js";
import type { Instruction, Row } from "./instruction.js";
import { instruction, row } from "./instruction.js";

function bitTestRows(opcode: string, digit: number, lock: boolean): Row[] {
  const options = lock ? { lock } : {};
  return [row(`0F ${opcode} /r`, "r/mV, rV", options), row(`0F BA /${digit} ib`, "r/mV, imm8", options)];
}

const bmi1 = { feature: "BMI1" };
const bmi2 = { feature: "BMI2" };

export const bit: readonly Instruction[] = [
  instruction("BT", bitTestRows("A3", 4, false)),
  instruction("BTS", bitTestRows("AB", 5, true)),
  instruction("BTR", bitTestRows("B3", 6, true)),
  instruction("BTC", bitTestRows("BB", 7, true)),
  instruction("BSF", [row("0F BC /r", "rV, r/mV")]),
  instruction("BSR", [row("0F BD /r", "rV, r/mV")]),
  instruction("TZCNT", [row("F3 0F BC /r", "rV, r/mV", bmi1)]),
  instruction("LZCNT", [row("F3 0F BD /r", "rV, r/mV", { feature: "LZCNT" })]),
  instruction("POPCNT", [row("F3 0F B8 /r", "rV, r/mV", { feature: "POPCNT" })]),
  // The destination is 64 bits wide with REX.W, else 32; the source has the operand size.
  instruction("CRC32", [
    row("F2 0F 38 F0 /r", "rY, r/m8", { feature: "SSE4.2" }),
    row("F2 0F 38 F1 /r", "rY, r/mV", { feature: "SSE4.2" }),
  ]),
  instruction("BEXTR", [row("VEX.LZ.0F38 F7 /r", "rY, r/mY, vY", bmi1)]),
  instruction("BLSR", [row("VEX.LZ.0F38 F3 /1", "vY, r/mY", bmi1)]),
  instruction("BLSMSK", [row("VEX.LZ.0F38 F3 /2", "vY, r/mY", bmi1)]),
  instruction("BLSI", [row("VEX.LZ.0F38 F3 /3", "vY, r/mY", bmi1)]),
  instruction("BZHI", [row("VEX.LZ.0F38 F5 /r", "rY, r/mY, vY", bmi2)]),
  instruction("PDEP", [row("VEX.LZ.F2.0F38 F5 /r", "rY, vY, r/mY", bmi2)]),
  instruction("PEXT", [row("VEX.LZ.F3.0F38 F5 /r", "rY, vY, r/mY", bmi2)]),
  ...CONDITIONS.map((condition, code) => instruction(`SET${condition}`, [row(`0F ${hex(0x90 + code)} /r`, "r/m8")])),
];
