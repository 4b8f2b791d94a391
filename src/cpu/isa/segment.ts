// Segment registers and descriptors (SDM volume 1, sections 5.1.12 and 5.20): loads, checks, FS and GS base.

import type { Instruction } from "./instruction.js";
import { instruction, row } from "./instruction.js";

const base = { mode: "only64", feature: "FSGSBASE" } as const;

export const segment: readonly Instruction[] = [
  instruction("MOV", [
    row("8C /r", "rV/m16, Sreg", { semantics: "MOV_FROM_SREG" }),
    row("8E /r", "Sreg, r/m16", { semantics: "MOV_TO_SREG" }),
  ]),
  instruction("LES", [row("C4 /r", "rV, m16:V", { mode: "no64" })]),
  instruction("LDS", [row("C5 /r", "rV, m16:V", { mode: "no64" })]),
  instruction("LSS", [row("0F B2 /r", "rV, m16:V")]),
  instruction("LFS", [row("0F B4 /r", "rV, m16:V")]),
  instruction("LGS", [row("0F B5 /r", "rV, m16:V")]),
  instruction("ARPL", [row("63 /r", "r/m16, r16", { mode: "no64" })]),
  instruction("LAR", [row("0F 02 /r", "rV, rV/m16")]),
  instruction("LSL", [row("0F 03 /r", "rV, rV/m16")]),
  instruction("VERR", [row("0F 00 /4", "r/m16")]),
  instruction("VERW", [row("0F 00 /5", "r/m16")]),
  instruction("RDFSBASE", [row("F3 0F AE /0", "rY", base)]),
  instruction("RDGSBASE", [row("F3 0F AE /1", "rY", base)]),
  instruction("WRFSBASE", [row("F3 0F AE /2", "rY", base)]),
  instruction("WRGSBASE", [row("F3 0F AE /3", "rY", base)]),
  instruction("SWAPGS", [row("0F 01 F8", "", { mode: "only64", cpl: 0 })]),
];
