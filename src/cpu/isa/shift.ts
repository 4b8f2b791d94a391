// Shifts and rotates (SDM volume 1, section 5.1.5; group 2 of appendix A.4.2) and BMI2's flagless ones.

import type { Instruction, Row } from "./instruction.js";
import { instruction, row } from "./instruction.js";

function groupTwoRows(digit: number): Row[] {
  return [
    row(`C0 /${digit} ib`, "r/m8, imm8"),
    row(`C1 /${digit} ib`, "r/mV, imm8"),
    row(`D0 /${digit}`, "r/m8, 1"),
    row(`D1 /${digit}`, "r/mV, 1"),
    row(`D2 /${digit}`, "r/m8, CL"),
    row(`D3 /${digit}`, "r/mV, CL"),
  ];
}

const feature = "BMI2";

export const shift: readonly Instruction[] = [
  instruction("ROL", groupTwoRows(0)),
  instruction("ROR", groupTwoRows(1)),
  instruction("RCL", groupTwoRows(2)),
  instruction("RCR", groupTwoRows(3)),
  // SAL is SHL; /6 is an undocumented alias that every processor has.
  instruction("SHL", [...groupTwoRows(4), ...groupTwoRows(6)]),
  instruction("SHR", groupTwoRows(5)),
  instruction("SAR", groupTwoRows(7)),
  instruction("SHLD", [row("0F A4 /r ib", "r/mV, rV, imm8"), row("0F A5 /r", "r/mV, rV, CL")]),
  instruction("SHRD", [row("0F AC /r ib", "r/mV, rV, imm8"), row("0F AD /r", "r/mV, rV, CL")]),
  instruction("RORX", [row("VEX.LZ.F2.0F3A F0 /r ib", "rY, r/mY, imm8", { feature })]),
  instruction("SARX", [row("VEX.LZ.F3.0F38 F7 /r", "rY, r/mY, vY", { feature })]),
  instruction("SHLX", [row("VEX.LZ.66.0F38 F7 /r", "rY, r/mY, vY", { feature })]),
  instruction("SHRX", [row("VEX.LZ.F2.0F38 F7 /r", "rY, r/mY, vY", { feature })]),
];
