// AES-NI and PCLMULQDQ (SDM volume 1, section 5.12).

import type { Instruction } from "../instruction.js";
import { instruction, row } from "../instruction.js";

const feature = "AESNI";

export const crypto: readonly Instruction[] = [
  instruction("AESIMC", [row("66 0F 38 DB /r", "xmm, xmm/m128", { feature })]),
  instruction("AESENC", [row("66 0F 38 DC /r", "xmm, xmm/m128", { feature })]),
  instruction("AESENCLAST", [row("66 0F 38 DD /r", "xmm, xmm/m128", { feature })]),
  instruction("AESDEC", [row("66 0F 38 DE /r", "xmm, xmm/m128", { feature })]),
  instruction("AESDECLAST", [row("66 0F 38 DF /r", "xmm, xmm/m128", { feature })]),
  instruction("AESKEYGENASSIST", [row("66 0F 3A DF /r ib", "xmm, xmm/m128, imm8", { feature })]),
  instruction("PCLMULQDQ", [row("66 0F 3A 44 /r ib", "xmm, xmm/m128, imm8", { feature: "PCLMULQDQ" })]),
];
