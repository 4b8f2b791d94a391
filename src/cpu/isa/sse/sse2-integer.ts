// SSE2's integer half (SDM volume 1, sections 5.6.3 and 5.6.4): the MMX operations on XMM registers, 128-bit moves and shuffles.

import type { Instruction } from "../instruction.js";
import { instruction, row } from "../instruction.js";
import { PACKED_MMX, PACKED_SHIFTS, PACKED_SSE, PACKED_SSE2, PACKED_UNPACK_LOW } from "../packed-integer.js";

const feature = "SSE2";
const movd = { feature, semantics: "MOVD" };

const WIDE = { ...PACKED_MMX, ...PACKED_SSE, ...PACKED_SSE2, ...PACKED_UNPACK_LOW, PUNPCKLQDQ: "6C", PUNPCKHQDQ: "6D" };
const SHIFTS = { ...PACKED_SHIFTS, PSRLDQ: "73 /3", PSLLDQ: "73 /7" };

function one(name: string, opcode: string, operands: string): Instruction {
  return instruction(name, [row(opcode, operands, { feature })]);
}

export const sse2Integer: readonly Instruction[] = [
  ...Object.entries(WIDE).map(([name, opcode]) => one(name, `66 0F ${opcode} /r`, "xmm, xmm/m128")),
  ...Object.entries(SHIFTS).map(([name, opcode]) => one(name, `66 0F ${opcode} ib`, "xmm, imm8")),
  instruction("MOVD", [row("66 0F 6E /r", "xmm, r/m32", movd), row("66 0F 7E /r", "r/m32, xmm", movd)]),
  instruction("MOVQ", [
    row("66 REX.W 0F 6E /r", "xmm, r/m64", movd),
    row("66 REX.W 0F 7E /r", "r/m64, xmm", movd),
    row("F3 0F 7E /r", "xmm, xmm/m64", { feature }),
    row("66 0F D6 /r", "xmm/m64, xmm", { feature }),
  ]),
  instruction("MOVDQA", [
    row("66 0F 6F /r", "xmm, xmm/m128", { feature }),
    row("66 0F 7F /r", "xmm/m128, xmm", { feature }),
  ]),
  instruction("MOVDQU", [
    row("F3 0F 6F /r", "xmm, xmm/m128", { feature }),
    row("F3 0F 7F /r", "xmm/m128, xmm", { feature }),
  ]),
  one("MOVQ2DQ", "F3 0F D6 /r", "xmm, mm"),
  one("MOVDQ2Q", "F2 0F D6 /r", "mm, xmm"),
  one("PSHUFD", "66 0F 70 /r ib", "xmm, xmm/m128, imm8"),
  one("PSHUFHW", "F3 0F 70 /r ib", "xmm, xmm/m128, imm8"),
  one("PSHUFLW", "F2 0F 70 /r ib", "xmm, xmm/m128, imm8"),
  one("PINSRW", "66 0F C4 /r ib", "xmm, r32/m16, imm8"),
  instruction("PEXTRW", [
    row("66 0F C5 /r ib", "r32, xmm, imm8", { feature }),
    row("66 0F 3A 15 /r ib", "r32/m16, xmm, imm8", { feature: "SSE4.1" }),
  ]),
  one("PMOVMSKB", "66 0F D7 /r", "r32, xmm"),
  one("MOVNTDQ", "66 0F E7 /r", "m128, xmm"),
  one("MASKMOVDQU", "66 0F F7 /r", "xmm, xmm"),
  one("MOVNTI", "NP 0F C3 /r", "mY, rY"),
];
