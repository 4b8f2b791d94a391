// x87 arithmetic, comparisons and transcendental functions (SDM volume 1, sections 5.2.2 to 5.2.4; volume 2, appendix A.5).
// Memory forms have one operand, the source; ST0 is implied. Register forms write both, destination first.

import type { Instruction, Row } from "../instruction.js";
import { instruction, row } from "../instruction.js";

/** D8, DC, DE (and DA) share one order of operations in ModRM.reg; in DC and DE the reversed ones trade places. */
function arithmeticRows(digit: number): Row[] {
  const swapped = digit >= 4 ? digit ^ 1 : digit;
  const modrm = (reg: number): string => (0xc0 + reg * 8).toString(16).toUpperCase();
  return [
    row(`D8 /${digit}`, "m32fp"),
    row(`DC /${digit}`, "m64fp"),
    row(`D8 ${modrm(digit)}+i`, "ST0, STi"),
    row(`DC ${modrm(swapped)}+i`, "STi, ST0"),
  ];
}

function popRow(digit: number): Row[] {
  const swapped = digit >= 4 ? digit ^ 1 : digit;
  return [row(`DE ${(0xc0 + swapped * 8).toString(16).toUpperCase()}+i`, "STi, ST0")];
}

function integerRows(digit: number): Row[] {
  return [row(`DA /${digit}`, "m32int"), row(`DE /${digit}`, "m16int")];
}

const OPERATIONS = { FADD: 0, FMUL: 1, FSUB: 4, FSUBR: 5, FDIV: 6, FDIVR: 7 } as const;

/** D9 E0 to D9 FF: operations on the top of the stack. */
const IMPLIED: Readonly<Record<string, string>> = {
  FCHS: "E0",
  FABS: "E1",
  FTST: "E4",
  FXAM: "E5",
  F2XM1: "F0",
  FYL2X: "F1",
  FPTAN: "F2",
  FPATAN: "F3",
  FXTRACT: "F4",
  FPREM1: "F5",
  FPREM: "F8",
  FYL2XP1: "F9",
  FSQRT: "FA",
  FSINCOS: "FB",
  FRNDINT: "FC",
  FSCALE: "FD",
  FSIN: "FE",
  FCOS: "FF",
};

export const x87Arithmetic: readonly Instruction[] = [
  ...Object.entries(OPERATIONS).flatMap(([name, digit]) => [
    instruction(name, arithmeticRows(digit)),
    instruction(`${name}P`, popRow(digit)),
    instruction(`FI${name.slice(1)}`, integerRows(digit)),
  ]),
  ...Object.entries(IMPLIED).map(([name, modrm]) => instruction(name, [row(`D9 ${modrm}`)])),
  // DC D0 and DC D8, DE D0 are undocumented aliases that every processor has.
  instruction("FCOM", [row("D8 /2", "m32fp"), row("DC /2", "m64fp"), row("D8 D0+i", "STi"), row("DC D0+i", "STi")]),
  instruction("FCOMP", [
    row("D8 /3", "m32fp"),
    row("DC /3", "m64fp"),
    row("D8 D8+i", "STi"),
    row("DC D8+i", "STi"),
    row("DE D0+i", "STi"),
  ]),
  instruction("FCOMPP", [row("DE D9")]),
  instruction("FICOM", integerRows(2)),
  instruction("FICOMP", integerRows(3)),
  instruction("FUCOM", [row("DD E0+i", "STi")]),
  instruction("FUCOMP", [row("DD E8+i", "STi")]),
  instruction("FUCOMPP", [row("DA E9")]),
  instruction("FCOMI", [row("DB F0+i", "ST0, STi")]),
  instruction("FCOMIP", [row("DF F0+i", "ST0, STi")]),
  instruction("FUCOMI", [row("DB E8+i", "ST0, STi")]),
  instruction("FUCOMIP", [row("DF E8+i", "ST0, STi")]),
];
