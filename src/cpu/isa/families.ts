// Row patterns that several instructions share: the eight arithmetic opcodes (SDM volume 2, appendix A.4.2 group 1) and the
// sixteen conditions (appendix B.1.4.7).

import type { Row } from "./instruction.js";
import { row } from "./instruction.js";

/** ADD OR ADC SBB AND SUB XOR CMP: six opcodes from `number * 8`, and group 1 with /number. */
export function groupOneRows(number: number, lock: boolean): Row[] {
  const op = (low: number): string => (number * 8 + low).toString(16).toUpperCase().padStart(2, "0");
  const options = lock ? { lock } : {};
  return [
    row(`${op(4)} ib`, "AL, imm8"),
    row(`${op(5)} iz`, "rAX, immZ"),
    row(`80 /${number} ib`, "r/m8, imm8", options),
    row(`82 /${number} ib`, "r/m8, imm8", { ...options, mode: "no64" }),
    row(`81 /${number} iz`, "r/mV, immZ", options),
    row(`83 /${number} ib`, "r/mV, simm8", options),
    row(`${op(0)} /r`, "r/m8, r8", options),
    row(`${op(1)} /r`, "r/mV, rV", options),
    row(`${op(2)} /r`, "r8, r/m8"),
    row(`${op(3)} /r`, "rV, r/mV"),
  ];
}

/** Condition suffixes in opcode order. */
export const CONDITIONS = [
  "O",
  "NO",
  "B",
  "AE",
  "E",
  "NE",
  "BE",
  "A",
  "S",
  "NS",
  "P",
  "NP",
  "L",
  "GE",
  "LE",
  "G",
] as const;

/** One byte as two hex digits. */
export function hex(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, "0");
}
