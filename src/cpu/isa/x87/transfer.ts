// x87 loads, stores, constants and control (SDM volume 1, sections 5.2.1, 5.2.5, 5.2.6; volume 2, appendix A.5).
// Environments are 14 or 94 bytes at operand size 16, else 28 or 108.

import type { Instruction } from "../instruction.js";
import { instruction, row } from "../instruction.js";

const CONSTANTS = ["FLD1", "FLDL2T", "FLDL2E", "FLDPI", "FLDLG2", "FLDLN2", "FLDZ"] as const;
const environment = { operandSize: "Z" } as const;

export const x87Transfer: readonly Instruction[] = [
  instruction("FLD", [row("D9 /0", "m32fp"), row("DD /0", "m64fp"), row("DB /5", "m80fp"), row("D9 C0+i", "STi")]),
  instruction("FST", [row("D9 /2", "m32fp"), row("DD /2", "m64fp"), row("DD D0+i", "STi")]),
  // DF D0 and DF D8 are undocumented aliases that every processor has.
  instruction("FSTP", [
    row("D9 /3", "m32fp"),
    row("DD /3", "m64fp"),
    row("DB /7", "m80fp"),
    row("DD D8+i", "STi"),
    row("DF D0+i", "STi"),
    row("DF D8+i", "STi"),
  ]),
  // Undocumented: FSTP that doesn't report stack underflow.
  instruction("FSTPNCE", [row("D9 D8+i", "STi")]),
  instruction("FILD", [row("DF /0", "m16int"), row("DB /0", "m32int"), row("DF /5", "m64int")]),
  instruction("FIST", [row("DF /2", "m16int"), row("DB /2", "m32int")]),
  instruction("FISTP", [row("DF /3", "m16int"), row("DB /3", "m32int"), row("DF /7", "m64int")]),
  instruction("FISTTP", [
    row("DF /1", "m16int", { feature: "SSE3" }),
    row("DB /1", "m32int", { feature: "SSE3" }),
    row("DD /1", "m64int", { feature: "SSE3" }),
  ]),
  instruction("FBLD", [row("DF /4", "m80bcd")]),
  instruction("FBSTP", [row("DF /6", "m80bcd")]),
  // DD C8 and DF C8 are undocumented aliases.
  instruction("FXCH", [row("D9 C8+i", "STi"), row("DD C8+i", "STi"), row("DF C8+i", "STi")]),
  instruction("FCMOVB", [row("DA C0+i", "ST0, STi")]),
  instruction("FCMOVE", [row("DA C8+i", "ST0, STi")]),
  instruction("FCMOVBE", [row("DA D0+i", "ST0, STi")]),
  instruction("FCMOVU", [row("DA D8+i", "ST0, STi")]),
  instruction("FCMOVNB", [row("DB C0+i", "ST0, STi")]),
  instruction("FCMOVNE", [row("DB C8+i", "ST0, STi")]),
  instruction("FCMOVNBE", [row("DB D0+i", "ST0, STi")]),
  instruction("FCMOVNU", [row("DB D8+i", "ST0, STi")]),
  ...CONSTANTS.map((name, at) => instruction(name, [row(`D9 ${(0xe8 + at).toString(16).toUpperCase()}`)])),
  instruction("FLDENV", [row("D9 /4", "m14/28byte", environment)]),
  instruction("FNSTENV", [row("D9 /6", "m14/28byte", environment)]),
  instruction("FRSTOR", [row("DD /4", "m94/108byte", environment)]),
  instruction("FNSAVE", [row("DD /6", "m94/108byte", environment)]),
  instruction("FLDCW", [row("D9 /5", "m2byte")]),
  instruction("FNSTCW", [row("D9 /7", "m2byte")]),
  instruction("FNSTSW", [row("DD /7", "m2byte"), row("DF E0", "AX")]),
  instruction("FNCLEX", [row("DB E2")]),
  instruction("FNINIT", [row("DB E3")]),
  // Control of the 8087 and 287 only; they do nothing since.
  instruction("FNENI", [row("DB E0")]),
  instruction("FNDISI", [row("DB E1")]),
  instruction("FNSETPM", [row("DB E4")]),
  instruction("FFREE", [row("DD C0+i", "STi")]),
  // Undocumented: FFREE, then pop.
  instruction("FFREEP", [row("DF C0+i", "STi")]),
  instruction("FINCSTP", [row("D9 F7")]),
  instruction("FDECSTP", [row("D9 F6")]),
  instruction("FNOP", [row("D9 D0")]),
  instruction("FWAIT", [row("9B")]),
];
