// Control transfer (SDM volume 1, section 5.1.7). Near branches have a 64-bit operand size in 64-bit mode and ignore 66 there,
// as Intel processors do (AMD ones honour it).

import { CONDITIONS, hex } from "./families.js";
import type { Instruction } from "./instruction.js";
import { instruction, row } from "./instruction.js";

const size64 = "force";

export const controlFlow: readonly Instruction[] = [
  instruction("JMP", [
    row("EB cb", "rel8", { size64, operandSize: "V", semantics: "JMP_NEAR" }),
    row("E9 cz", "relZ", { size64, semantics: "JMP_NEAR" }),
    row("FF /4", "r/mV", { size64, semantics: "JMP_NEAR" }),
    row("EA cp", "ptr16:Z", { mode: "no64", semantics: "JMP_FAR" }),
    row("FF /5", "m16:V", { semantics: "JMP_FAR" }),
  ]),
  instruction("CALL", [
    row("E8 cz", "relZ", { size64, semantics: "CALL_NEAR" }),
    row("FF /2", "r/mV", { size64, semantics: "CALL_NEAR" }),
    row("9A cp", "ptr16:Z", { mode: "no64", semantics: "CALL_FAR" }),
    row("FF /3", "m16:V", { semantics: "CALL_FAR" }),
  ]),
  instruction("RET", [
    row("C3", "", { size64, operandSize: "V", semantics: "RET_NEAR" }),
    row("C2 iw", "imm16", { size64, operandSize: "V", semantics: "RET_NEAR" }),
    row("CB", "", { operandSize: "V", semantics: "RET_FAR" }),
    row("CA iw", "imm16", { operandSize: "V", semantics: "RET_FAR" }),
  ]),
  instruction("IRET", [row("CF", "", { operandSize: "V" })]),
  instruction("INT", [row("CD ib", "imm8")]),
  instruction("INT3", [row("CC")]),
  instruction("INT1", [row("F1")]),
  instruction("INTO", [row("CE", "", { mode: "no64" })]),
  instruction("BOUND", [row("62 /r", "rV, mV&V", { mode: "no64" })]),
  instruction("LOOPNE", [row("E0 cb", "rel8", { size64, operandSize: "V" })]),
  instruction("LOOPE", [row("E1 cb", "rel8", { size64, operandSize: "V" })]),
  instruction("LOOP", [row("E2 cb", "rel8", { size64, operandSize: "V" })]),
  // Which of CX, ECX, RCX is tested follows the address size.
  instruction("JCXZ", [row("E3 cb", "rel8", { size64, operandSize: "V" })]),
  instruction("UD0", [row("0F FF /r", "rV, r/mV")]),
  instruction("UD1", [row("0F B9 /r", "rV, r/mV")]),
  instruction("UD2", [row("0F 0B")]),
  ...CONDITIONS.map((condition, code) =>
    instruction(`J${condition}`, [
      row(`${hex(0x70 + code)} cb`, "rel8", { size64, operandSize: "V" }),
      row(`0F ${hex(0x80 + code)} cz`, "relZ", { size64 }),
    ]),
  ),
];
