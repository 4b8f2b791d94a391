// SSE3 and SSSE3 on XMM registers (SDM volume 1, sections 5.7 and 5.8). FISTTP is in x87/, MONITOR in system.ts.

import type { Instruction } from "../instruction.js";
import { instruction, row } from "../instruction.js";
import { PACKED_SSSE3 } from "../packed-integer.js";

function one(name: string, opcode: string, operands: string): Instruction {
  return instruction(name, [row(opcode, operands, { feature: "SSE3" })]);
}

export const sse3: readonly Instruction[] = [
  one("MOVSLDUP", "F3 0F 12 /r", "xmm, xmm/m128"),
  one("MOVSHDUP", "F3 0F 16 /r", "xmm, xmm/m128"),
  one("MOVDDUP", "F2 0F 12 /r", "xmm, xmm/m64"),
  one("HADDPD", "66 0F 7C /r", "xmm, xmm/m128"),
  one("HADDPS", "F2 0F 7C /r", "xmm, xmm/m128"),
  one("HSUBPD", "66 0F 7D /r", "xmm, xmm/m128"),
  one("HSUBPS", "F2 0F 7D /r", "xmm, xmm/m128"),
  one("ADDSUBPD", "66 0F D0 /r", "xmm, xmm/m128"),
  one("ADDSUBPS", "F2 0F D0 /r", "xmm, xmm/m128"),
  one("LDDQU", "F2 0F F0 /r", "xmm, m128"),
];

export const ssse3: readonly Instruction[] = [
  ...Object.entries(PACKED_SSSE3).map(([name, opcode]) =>
    instruction(name, [row(`66 0F 38 ${opcode} /r`, "xmm, xmm/m128", { feature: "SSSE3" })]),
  ),
  instruction("PALIGNR", [row("66 0F 3A 0F /r ib", "xmm, xmm/m128, imm8", { feature: "SSSE3" })]),
];
