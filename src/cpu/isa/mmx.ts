// MMX (SDM volume 1, section 5.4), and what SSE, SSE2 and SSSE3 added on MMX registers. All NP: prefix 66 makes the XMM forms.

import type { Instruction } from "./instruction.js";
import { instruction, row } from "./instruction.js";
import {
  PACKED_MMX,
  PACKED_SHIFTS,
  PACKED_SSE,
  PACKED_SSE2,
  PACKED_SSSE3,
  PACKED_UNPACK_LOW,
} from "./packed-integer.js";

function packed(table: Readonly<Record<string, string>>, feature: string, map = "0F"): Instruction[] {
  return Object.entries(table).map(([name, opcode]) =>
    instruction(name, [row(`NP ${map} ${opcode} /r`, "mm, mm/m64", { feature })]),
  );
}

const mmx64 = { feature: "MMX" };
const sse = { feature: "SSE" };
/** MOVQ between a vector and a general register is MOVD's body at 64 bits. */
const movd = { feature: "MMX", semantics: "MOVD" };

export const mmx: readonly Instruction[] = [
  ...packed(PACKED_MMX, "MMX"),
  ...packed(PACKED_SSE, "SSE"),
  ...packed(PACKED_SSE2, "SSE2"),
  ...packed(PACKED_SSSE3, "SSSE3", "0F 38"),
  ...Object.entries(PACKED_UNPACK_LOW).map(([name, opcode]) =>
    instruction(name, [row(`NP 0F ${opcode} /r`, "mm, mm/m32", mmx64)]),
  ),
  ...Object.entries(PACKED_SHIFTS).map(([name, opcode]) =>
    instruction(name, [row(`NP 0F ${opcode} ib`, "mm, imm8", mmx64)]),
  ),
  instruction("MOVD", [row("NP 0F 6E /r", "mm, r/m32", movd), row("NP 0F 7E /r", "r/m32, mm", movd)]),
  instruction("MOVQ", [
    row("NP REX.W 0F 6E /r", "mm, r/m64", movd),
    row("NP REX.W 0F 7E /r", "r/m64, mm", movd),
    row("NP 0F 6F /r", "mm, mm/m64", mmx64),
    row("NP 0F 7F /r", "mm/m64, mm", mmx64),
  ]),
  instruction("EMMS", [row("NP 0F 77", "", mmx64)]),
  instruction("PSHUFW", [row("NP 0F 70 /r ib", "mm, mm/m64, imm8", sse)]),
  instruction("PINSRW", [row("NP 0F C4 /r ib", "mm, r32/m16, imm8", sse)]),
  instruction("PEXTRW", [row("NP 0F C5 /r ib", "r32, mm, imm8", sse)]),
  instruction("PMOVMSKB", [row("NP 0F D7 /r", "r32, mm", sse)]),
  instruction("MOVNTQ", [row("NP 0F E7 /r", "m64, mm", sse)]),
  instruction("MASKMOVQ", [row("NP 0F F7 /r", "mm, mm", sse)]),
  instruction("PALIGNR", [row("NP 0F 3A 0F /r ib", "mm, mm/m64, imm8", { feature: "SSSE3" })]),
];
