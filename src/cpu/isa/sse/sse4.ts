// SSE4.1 and SSE4.2 (SDM volume 1, sections 5.10 and 5.11). CRC32 and POPCNT are in bit.ts.

import type { Instruction } from "../instruction.js";
import { instruction, row } from "../instruction.js";

function one(name: string, opcode: string, operands: string): Instruction {
  return instruction(name, [row(opcode, operands, { feature: "SSE4.1" })]);
}

/** xmm, xmm/m128 after 66 0F 38. */
const SIMPLE: Readonly<Record<string, string>> = {
  PTEST: "17",
  PMULDQ: "28",
  PCMPEQQ: "29",
  PACKUSDW: "2B",
  PMINSB: "38",
  PMINSD: "39",
  PMINUW: "3A",
  PMINUD: "3B",
  PMAXSB: "3C",
  PMAXSD: "3D",
  PMAXUW: "3E",
  PMAXUD: "3F",
  PMULLD: "40",
  PHMINPOSUW: "41",
};

/** PMOVSX at 20-25, PMOVZX at 30-35: suffix and memory size. */
const EXTENDS = [
  ["BW", 64],
  ["BD", 32],
  ["BQ", 16],
  ["WD", 64],
  ["WQ", 32],
  ["DQ", 64],
] as const;

export const sse41: readonly Instruction[] = [
  ...Object.entries(SIMPLE).map(([name, opcode]) => one(name, `66 0F 38 ${opcode} /r`, "xmm, xmm/m128")),
  ...EXTENDS.flatMap(([suffix, bits], at) => [
    one(`PMOVSX${suffix}`, `66 0F 38 2${at} /r`, `xmm, xmm/m${bits}`),
    one(`PMOVZX${suffix}`, `66 0F 38 3${at} /r`, `xmm, xmm/m${bits}`),
  ]),
  one("PBLENDVB", "66 0F 38 10 /r", "xmm, xmm/m128, XMM0"),
  one("BLENDVPS", "66 0F 38 14 /r", "xmm, xmm/m128, XMM0"),
  one("BLENDVPD", "66 0F 38 15 /r", "xmm, xmm/m128, XMM0"),
  one("MOVNTDQA", "66 0F 38 2A /r", "xmm, m128"),
  one("ROUNDPS", "66 0F 3A 08 /r ib", "xmm, xmm/m128, imm8"),
  one("ROUNDPD", "66 0F 3A 09 /r ib", "xmm, xmm/m128, imm8"),
  one("ROUNDSS", "66 0F 3A 0A /r ib", "xmm, xmm/m32, imm8"),
  one("ROUNDSD", "66 0F 3A 0B /r ib", "xmm, xmm/m64, imm8"),
  one("BLENDPS", "66 0F 3A 0C /r ib", "xmm, xmm/m128, imm8"),
  one("BLENDPD", "66 0F 3A 0D /r ib", "xmm, xmm/m128, imm8"),
  one("PBLENDW", "66 0F 3A 0E /r ib", "xmm, xmm/m128, imm8"),
  one("PEXTRB", "66 0F 3A 14 /r ib", "r32/m8, xmm, imm8"),
  one("PEXTRD", "66 0F 3A 16 /r ib", "r/m32, xmm, imm8"),
  one("PEXTRQ", "66 REX.W 0F 3A 16 /r ib", "r/m64, xmm, imm8"),
  one("EXTRACTPS", "66 0F 3A 17 /r ib", "r/m32, xmm, imm8"),
  one("PINSRB", "66 0F 3A 20 /r ib", "xmm, r32/m8, imm8"),
  one("INSERTPS", "66 0F 3A 21 /r ib", "xmm, xmm/m32, imm8"),
  one("PINSRD", "66 0F 3A 22 /r ib", "xmm, r/m32, imm8"),
  one("PINSRQ", "66 REX.W 0F 3A 22 /r ib", "xmm, r/m64, imm8"),
  one("DPPS", "66 0F 3A 40 /r ib", "xmm, xmm/m128, imm8"),
  one("DPPD", "66 0F 3A 41 /r ib", "xmm, xmm/m128, imm8"),
  one("MPSADBW", "66 0F 3A 42 /r ib", "xmm, xmm/m128, imm8"),
];

/** With REX.W the explicit lengths are RAX and RDX, otherwise EAX and EDX. */
const explicit = { feature: "SSE4.2", operandSize: "Y" } as const;
const implicit = { feature: "SSE4.2" };

export const sse42: readonly Instruction[] = [
  instruction("PCMPGTQ", [row("66 0F 38 37 /r", "xmm, xmm/m128", implicit)]),
  instruction("PCMPESTRM", [row("66 0F 3A 60 /r ib", "xmm, xmm/m128, imm8", explicit)]),
  instruction("PCMPESTRI", [row("66 0F 3A 61 /r ib", "xmm, xmm/m128, imm8", explicit)]),
  instruction("PCMPISTRM", [row("66 0F 3A 62 /r ib", "xmm, xmm/m128, imm8", implicit)]),
  instruction("PCMPISTRI", [row("66 0F 3A 63 /r ib", "xmm, xmm/m128, imm8", implicit)]),
];
