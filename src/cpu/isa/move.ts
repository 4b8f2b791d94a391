// Data transfer (SDM volume 1, section 5.1.1) except stack, string and atomic ones. MOV to and from segment registers is in
// segment.ts, control and debug registers in system.ts.

import { CONDITIONS, hex } from "./families.js";
import type { Instruction } from "./instruction.js";
import { instruction, row } from "./instruction.js";

const feature = "MOVBE";

export const move: readonly Instruction[] = [
  instruction("MOV", [
    row("88 /r", "r/m8, r8"),
    row("89 /r", "r/mV, rV"),
    row("8A /r", "r8, r/m8"),
    row("8B /r", "rV, r/mV"),
    row("A0 moffs", "AL, moffs8"),
    row("A1 moffs", "rAX, moffsV"),
    row("A2 moffs", "moffs8, AL"),
    row("A3 moffs", "moffsV, rAX"),
    row("B0+r ib", "r8, imm8"),
    row("B8+r iv", "rV, immV"),
    row("C6 /0 ib", "r/m8, imm8"),
    row("C7 /0 iz", "r/mV, immZ"),
  ]),
  instruction("MOVZX", [row("0F B6 /r", "rV, r/m8"), row("0F B7 /r", "rV, r/m16")]),
  instruction("MOVSX", [row("0F BE /r", "rV, r/m8"), row("0F BF /r", "rV, r/m16")]),
  instruction("MOVSXD", [
    row("63 /r", "rV, r/m16", { mode: "only64", operandSize: 16 }),
    row("63 /r", "rV, r/m32", { mode: "only64", operandSize: 32 }),
    row("63 /r", "rV, r/m32", { mode: "only64", operandSize: 64 }),
  ]),
  instruction("MOVBE", [row("NFx 0F 38 F0 /r", "rV, mV", { feature }), row("NFx 0F 38 F1 /r", "mV, rV", { feature })]),
  instruction("LEA", [row("8D /r", "rV, m")]),
  instruction("BSWAP", [row("0F C8+r", "rV")]),
  instruction("CBW", [row("98", "", { operandSize: 16 })]),
  instruction("CWDE", [row("98", "", { operandSize: 32 })]),
  instruction("CDQE", [row("98", "", { operandSize: 64 })]),
  instruction("CWD", [row("99", "", { operandSize: 16 })]),
  instruction("CDQ", [row("99", "", { operandSize: 32 })]),
  instruction("CQO", [row("99", "", { operandSize: 64 })]),
  instruction("XLAT", [row("D7", "", { operandSize: 8 })]),
  ...CONDITIONS.map((condition, code) =>
    instruction(`CMOV${condition}`, [row(`0F ${hex(0x40 + code)} /r`, "rV, r/mV")]),
  ),
];
