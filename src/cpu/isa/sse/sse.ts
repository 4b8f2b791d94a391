// SSE (SDM volume 1, section 5.5): single-precision moves, arithmetic, comparisons, conversions. Its MMX additions are in mmx.ts.

import type { Instruction } from "../instruction.js";
import { instruction, row } from "../instruction.js";

const feature = "SSE";

/** Packed and scalar of one operation. */
function packedAndScalar(name: string, opcode: string): Instruction[] {
  return [
    instruction(`${name}PS`, [row(`NP 0F ${opcode} /r`, "xmm, xmm/m128", { feature })]),
    instruction(`${name}SS`, [row(`F3 0F ${opcode} /r`, "xmm, xmm/m32", { feature })]),
  ];
}

function one(name: string, opcode: string, operands: string): Instruction {
  return instruction(name, [row(opcode, operands, { feature })]);
}

export const sse: readonly Instruction[] = [
  instruction("MOVUPS", [
    row("NP 0F 10 /r", "xmm, xmm/m128", { feature }),
    row("NP 0F 11 /r", "xmm/m128, xmm", { feature }),
  ]),
  // A load clears the rest of the register; a register move keeps it.
  instruction("MOVSS", [
    row("F3 0F 10 /r", "xmm, xmm/m32", { feature }),
    row("F3 0F 11 /r", "xmm/m32, xmm", { feature }),
  ]),
  instruction("MOVLPS", [row("NP 0F 12 /r", "xmm, m64", { feature }), row("NP 0F 13 /r", "m64, xmm", { feature })]),
  one("MOVHLPS", "NP 0F 12 /r", "xmm, xmm"),
  one("UNPCKLPS", "NP 0F 14 /r", "xmm, xmm/m128"),
  one("UNPCKHPS", "NP 0F 15 /r", "xmm, xmm/m128"),
  instruction("MOVHPS", [row("NP 0F 16 /r", "xmm, m64", { feature }), row("NP 0F 17 /r", "m64, xmm", { feature })]),
  one("MOVLHPS", "NP 0F 16 /r", "xmm, xmm"),
  instruction("MOVAPS", [
    row("NP 0F 28 /r", "xmm, xmm/m128", { feature }),
    row("NP 0F 29 /r", "xmm/m128, xmm", { feature }),
  ]),
  one("CVTPI2PS", "NP 0F 2A /r", "xmm, mm/m64"),
  one("CVTSI2SS", "F3 0F 2A /r", "xmm, r/mY"),
  one("MOVNTPS", "NP 0F 2B /r", "m128, xmm"),
  one("CVTTPS2PI", "NP 0F 2C /r", "mm, xmm/m64"),
  one("CVTTSS2SI", "F3 0F 2C /r", "rY, xmm/m32"),
  one("CVTPS2PI", "NP 0F 2D /r", "mm, xmm/m64"),
  one("CVTSS2SI", "F3 0F 2D /r", "rY, xmm/m32"),
  one("UCOMISS", "NP 0F 2E /r", "xmm, xmm/m32"),
  one("COMISS", "NP 0F 2F /r", "xmm, xmm/m32"),
  one("MOVMSKPS", "NP 0F 50 /r", "r32, xmm"),
  ...packedAndScalar("SQRT", "51"),
  ...packedAndScalar("RSQRT", "52"),
  ...packedAndScalar("RCP", "53"),
  one("ANDPS", "NP 0F 54 /r", "xmm, xmm/m128"),
  one("ANDNPS", "NP 0F 55 /r", "xmm, xmm/m128"),
  one("ORPS", "NP 0F 56 /r", "xmm, xmm/m128"),
  one("XORPS", "NP 0F 57 /r", "xmm, xmm/m128"),
  ...packedAndScalar("ADD", "58"),
  ...packedAndScalar("MUL", "59"),
  ...packedAndScalar("SUB", "5C"),
  ...packedAndScalar("MIN", "5D"),
  ...packedAndScalar("DIV", "5E"),
  ...packedAndScalar("MAX", "5F"),
  one("CMPPS", "NP 0F C2 /r ib", "xmm, xmm/m128, imm8"),
  one("CMPSS", "F3 0F C2 /r ib", "xmm, xmm/m32, imm8"),
  one("SHUFPS", "NP 0F C6 /r ib", "xmm, xmm/m128, imm8"),
];
