// Flag instructions (SDM volume 1, section 5.1.10) and the ones that do nothing: NOP, hints, prefetches, PAUSE.

import type { Instruction, Row } from "./instruction.js";
import { instruction, row } from "./instruction.js";

/** 0F 0D (prefetch for write) and 0F 18-1F: hints and reserved NOPs, never an access. */
function hintRows(): Row[] {
  return ["0D", "18", "19", "1A", "1B", "1C", "1D", "1E", "1F"].map((opcode) => row(`0F ${opcode} /r`, "r/mV, rV"));
}

export const flags: readonly Instruction[] = [
  instruction("CLC", [row("F8")]),
  instruction("STC", [row("F9")]),
  instruction("CMC", [row("F5")]),
  instruction("CLD", [row("FC")]),
  instruction("STD", [row("FD")]),
  instruction("CLI", [row("FA")]),
  instruction("STI", [row("FB")]),
  instruction("LAHF", [row("9F", "", { operandSize: 8 })]),
  instruction("SAHF", [row("9E", "", { operandSize: 8 })]),
  instruction("NOP", [row("NP 90"), row("66 90"), row("F2 90"), ...hintRows()]),
  // Undocumented, in every processor: AL = CF ? FF : 0.
  instruction("SALC", [row("D6", "", { mode: "no64", operandSize: 8 })]),
  instruction("PAUSE", [row("F3 90")]),
];
