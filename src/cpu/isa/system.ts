// System instructions (SDM volume 1, section 5.20): tables, control and debug registers, MSRs, system calls, cache and TLB
// control, identification, time. `cpl: 0` rows raise #GP(0) above ring 0 before anything else.

import type { Instruction } from "./instruction.js";
import { instruction, row } from "./instruction.js";

const cpl = 0;
const table = { size64: "force", operandSize: "V" } as const;

export const system: readonly Instruction[] = [
  instruction("SGDT", [row("0F 01 /0", "m16&V", table)]),
  instruction("SIDT", [row("0F 01 /1", "m16&V", table)]),
  instruction("LGDT", [row("0F 01 /2", "m16&V", { ...table, cpl })]),
  instruction("LIDT", [row("0F 01 /3", "m16&V", { ...table, cpl })]),
  instruction("SMSW", [row("0F 01 /4", "rV/m16")]),
  instruction("LMSW", [row("0F 01 /6", "r/m16", { cpl })]),
  instruction("INVLPG", [row("0F 01 /7", "m", { cpl })]),
  instruction("SLDT", [row("0F 00 /0", "rV/m16")]),
  instruction("STR", [row("0F 00 /1", "rV/m16")]),
  instruction("LLDT", [row("0F 00 /2", "r/m16", { cpl })]),
  instruction("LTR", [row("0F 00 /3", "r/m16", { cpl })]),
  instruction("MONITOR", [row("NP 0F 01 C8", "", { feature: "MONITOR" })]),
  instruction("MWAIT", [row("NP 0F 01 C9", "", { feature: "MONITOR" })]),
  // #UD, not #GP, above CPL 0: in the body.
  instruction("CLAC", [row("NP 0F 01 CA", "", { feature: "SMAP" })]),
  instruction("STAC", [row("NP 0F 01 CB", "", { feature: "SMAP" })]),
  instruction("XGETBV", [row("NP 0F 01 D0", "", { feature: "XSAVE" })]),
  // #UD without CR4.OSXSAVE comes before #GP: both in the body.
  instruction("XSETBV", [row("NP 0F 01 D1", "", { feature: "XSAVE" })]),
  instruction("SERIALIZE", [row("NP 0F 01 E8", "", { feature: "SERIALIZE" })]),
  instruction("RDTSCP", [row("0F 01 F9", "", { feature: "RDTSCP" })]),
  instruction("MOV", [
    row("0F 20 /r", "r32, CRn", { mode: "no64", semantics: "MOV_FROM_CR", cpl }),
    row("0F 20 /r", "r64, CRn", { mode: "only64", semantics: "MOV_FROM_CR", cpl }),
    row("0F 21 /r", "r32, DRn", { mode: "no64", semantics: "MOV_FROM_DR", cpl }),
    row("0F 21 /r", "r64, DRn", { mode: "only64", semantics: "MOV_FROM_DR", cpl }),
    row("0F 22 /r", "CRn, r32", { mode: "no64", semantics: "MOV_TO_CR", cpl }),
    row("0F 22 /r", "CRn, r64", { mode: "only64", semantics: "MOV_TO_CR", cpl }),
    row("0F 23 /r", "DRn, r32", { mode: "no64", semantics: "MOV_TO_DR", cpl }),
    row("0F 23 /r", "DRn, r64", { mode: "only64", semantics: "MOV_TO_DR", cpl }),
  ]),
  instruction("CLTS", [row("0F 06", "", { cpl })]),
  instruction("INVD", [row("0F 08", "", { cpl })]),
  instruction("WBINVD", [row("0F 09", "", { cpl })]),
  instruction("HLT", [row("F4", "", { cpl })]),
  // The check is in the body: a PV kernel may read one of them above ring 0.
  instruction("RDMSR", [row("0F 32", "")]),
  instruction("WRMSR", [row("0F 30", "", { cpl })]),
  instruction("RDTSC", [row("0F 31")]),
  instruction("RDPMC", [row("0F 33")]),
  instruction("CPUID", [row("0F A2")]),
  // Where SYSCALL and SYSENTER are valid besides 64-bit mode differs between vendors: their bodies decide.
  instruction("SYSCALL", [row("0F 05", "", { feature: "SYSCALL" })]),
  instruction("SYSRET", [row("0F 07", "", { operandSize: "Y", feature: "SYSCALL", cpl })]),
  instruction("SYSENTER", [row("0F 34")]),
  instruction("SYSEXIT", [row("0F 35", "", { operandSize: "Y", cpl })]),
  instruction("RSM", [row("0F AA")]),
  instruction("RDRAND", [row("NFx 0F C7 /6", "rV", { feature: "RDRAND" })]),
  instruction("RDSEED", [row("NFx 0F C7 /7", "rV", { feature: "RDSEED" })]),
];
