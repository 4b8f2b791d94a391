// SSE2's floating-point half (SDM volume 1, section 5.6.1): double-precision moves, arithmetic, and all conversions.
// MOVSD and CMPSD are also string instructions, so their keys say _XMM.

import type { Instruction } from "../instruction.js";
import { instruction, row } from "../instruction.js";

const feature = "SSE2";

function packedAndScalar(name: string, opcode: string): Instruction[] {
  return [
    instruction(`${name}PD`, [row(`66 0F ${opcode} /r`, "xmm, xmm/m128", { feature })]),
    instruction(`${name}SD`, [row(`F2 0F ${opcode} /r`, "xmm, xmm/m64", { feature })]),
  ];
}

function one(name: string, opcode: string, operands: string): Instruction {
  return instruction(name, [row(opcode, operands, { feature })]);
}

export const sse2Double: readonly Instruction[] = [
  instruction("MOVUPD", [
    row("66 0F 10 /r", "xmm, xmm/m128", { feature }),
    row("66 0F 11 /r", "xmm/m128, xmm", { feature }),
  ]),
  instruction("MOVSD", [
    row("F2 0F 10 /r", "xmm, xmm/m64", { feature, semantics: "MOVSD_XMM" }),
    row("F2 0F 11 /r", "xmm/m64, xmm", { feature, semantics: "MOVSD_XMM" }),
  ]),
  instruction("MOVLPD", [row("66 0F 12 /r", "xmm, m64", { feature }), row("66 0F 13 /r", "m64, xmm", { feature })]),
  one("UNPCKLPD", "66 0F 14 /r", "xmm, xmm/m128"),
  one("UNPCKHPD", "66 0F 15 /r", "xmm, xmm/m128"),
  instruction("MOVHPD", [row("66 0F 16 /r", "xmm, m64", { feature }), row("66 0F 17 /r", "m64, xmm", { feature })]),
  instruction("MOVAPD", [
    row("66 0F 28 /r", "xmm, xmm/m128", { feature }),
    row("66 0F 29 /r", "xmm/m128, xmm", { feature }),
  ]),
  one("CVTPI2PD", "66 0F 2A /r", "xmm, mm/m64"),
  one("CVTSI2SD", "F2 0F 2A /r", "xmm, r/mY"),
  one("MOVNTPD", "66 0F 2B /r", "m128, xmm"),
  one("CVTTPD2PI", "66 0F 2C /r", "mm, xmm/m128"),
  one("CVTTSD2SI", "F2 0F 2C /r", "rY, xmm/m64"),
  one("CVTPD2PI", "66 0F 2D /r", "mm, xmm/m128"),
  one("CVTSD2SI", "F2 0F 2D /r", "rY, xmm/m64"),
  one("UCOMISD", "66 0F 2E /r", "xmm, xmm/m64"),
  one("COMISD", "66 0F 2F /r", "xmm, xmm/m64"),
  one("MOVMSKPD", "66 0F 50 /r", "r32, xmm"),
  ...packedAndScalar("SQRT", "51"),
  one("ANDPD", "66 0F 54 /r", "xmm, xmm/m128"),
  one("ANDNPD", "66 0F 55 /r", "xmm, xmm/m128"),
  one("ORPD", "66 0F 56 /r", "xmm, xmm/m128"),
  one("XORPD", "66 0F 57 /r", "xmm, xmm/m128"),
  ...packedAndScalar("ADD", "58"),
  ...packedAndScalar("MUL", "59"),
  ...packedAndScalar("SUB", "5C"),
  ...packedAndScalar("MIN", "5D"),
  ...packedAndScalar("DIV", "5E"),
  ...packedAndScalar("MAX", "5F"),
  one("CVTPS2PD", "NP 0F 5A /r", "xmm, xmm/m64"),
  one("CVTPD2PS", "66 0F 5A /r", "xmm, xmm/m128"),
  one("CVTSS2SD", "F3 0F 5A /r", "xmm, xmm/m32"),
  one("CVTSD2SS", "F2 0F 5A /r", "xmm, xmm/m64"),
  one("CVTDQ2PS", "NP 0F 5B /r", "xmm, xmm/m128"),
  one("CVTPS2DQ", "66 0F 5B /r", "xmm, xmm/m128"),
  one("CVTTPS2DQ", "F3 0F 5B /r", "xmm, xmm/m128"),
  one("CVTDQ2PD", "F3 0F E6 /r", "xmm, xmm/m64"),
  one("CVTTPD2DQ", "66 0F E6 /r", "xmm, xmm/m128"),
  one("CVTPD2DQ", "F2 0F E6 /r", "xmm, xmm/m128"),
  one("CMPPD", "66 0F C2 /r ib", "xmm, xmm/m128, imm8"),
  instruction("CMPSD", [row("F2 0F C2 /r ib", "xmm, xmm/m64, imm8", { feature, semantics: "CMPSD_XMM" })]),
  one("SHUFPD", "66 0F C6 /r ib", "xmm, xmm/m128, imm8"),
];
