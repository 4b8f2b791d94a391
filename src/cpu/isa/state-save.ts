// Saving processor state, cache lines and fences (SDM volume 1, section 5.1.13 and chapter 13): group 15 of appendix A.4.2.
// Operand size 64 (REX.W) chooses the 64-bit layouts of FXSAVE and XSAVE.

import type { Instruction } from "./instruction.js";
import { instruction, row } from "./instruction.js";

const fx = { operandSize: "Y", feature: "FXSR" } as const;
const xsave = { operandSize: "Y", feature: "XSAVE" } as const;
const feature = "SSE";

export const stateSave: readonly Instruction[] = [
  instruction("FXSAVE", [row("NP 0F AE /0", "m512byte", fx)]),
  instruction("FXRSTOR", [row("NP 0F AE /1", "m512byte", fx)]),
  instruction("LDMXCSR", [row("NP 0F AE /2", "m32", { feature })]),
  instruction("STMXCSR", [row("NP 0F AE /3", "m32", { feature })]),
  instruction("XSAVE", [row("NP 0F AE /4", "m", xsave)]),
  instruction("XRSTOR", [row("NP 0F AE /5", "m", xsave)]),
  instruction("XSAVEOPT", [row("NP 0F AE /6", "m", { ...xsave, feature: "XSAVEOPT" })]),
  instruction("CLFLUSH", [row("NP 0F AE /7", "m8", { feature: "CLFSH" })]),
  instruction("CLFLUSHOPT", [row("66 0F AE /7", "m8", { feature: "CLFLUSHOPT" })]),
  instruction("LFENCE", [row("NP 0F AE /5 (11)", "", { feature: "SSE2" })]),
  instruction("MFENCE", [row("NP 0F AE /6 (11)", "", { feature: "SSE2" })]),
  instruction("SFENCE", [row("NP 0F AE /7 (11)", "", { feature })]),
];
