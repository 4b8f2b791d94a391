// Disassembly text of a decoded instruction, Intel syntax: for crash dumps and traces. Branch targets are relative to the next
// instruction ("$+5"), since a decoded instruction doesn't know its address.

import type { Decoded, FormOperand } from "./decoded.js";
import { OperandKind } from "./decoded.js";

const LEGACY = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"] as const;
const BYTES = ["al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"] as const;
const HIGH_BYTES = ["ah", "ch", "dh", "bh"] as const;
const SEGMENTS = ["es", "cs", "ss", "ds", "fs", "gs"] as const;
const POINTERS: Readonly<Record<number, string>> = {
  8: "byte ptr ",
  16: "word ptr ",
  32: "dword ptr ",
  64: "qword ptr ",
  80: "tbyte ptr ",
  128: "xmmword ptr ",
};

export function formatDecoded(decoded: Decoded): string {
  const { form } = decoded;
  const operands = form.operands.map((operand, slot) => formatOperand(decoded, operand, slot));
  const lock = decoded.lock ? "lock " : "";
  const rep = decoded.rep !== 0 && form.row.options.rep === true ? (decoded.rep === 2 ? "repne " : "rep ") : "";
  const name = form.instruction.mnemonic.toLowerCase();
  return `${lock}${rep}${name}${operands.length > 0 ? ` ${operands.join(", ")}` : ""}`;
}

function formatOperand(decoded: Decoded, operand: FormOperand, slot: number): string {
  const code = decoded.code[slot]!;
  switch (operand.kind) {
    case OperandKind.Gpr:
      return gprName(code, operand.size);
    case OperandKind.Memory:
      return formatMemory(decoded, operand.size);
    case OperandKind.Immediate:
      return hex(decoded.immLo, operand.size === 64 ? decoded.immHi : 0);
    case OperandKind.Relative: {
      const from = decoded.immLo + decoded.length;
      return from < 0 ? `$-${hex(-from, 0)}` : `$+${hex(from, 0)}`;
    }
    case OperandKind.Segment:
      return SEGMENTS[code]!;
    case OperandKind.Control:
      return `cr${code}`;
    case OperandKind.Debug:
      return `dr${code}`;
    case OperandKind.Mmx:
      return `mm${code}`;
    case OperandKind.Xmm:
      return `xmm${code}`;
    case OperandKind.St:
      return `st(${code})`;
    case OperandKind.FarPointer:
      return `${hex(decoded.immHi, 0)}:${hex(decoded.immLo, 0)}`;
    case OperandKind.Constant:
      return String(code);
    case OperandKind.Immediate2:
      return hex(decoded.imm2, 0);
  }
}

function gprName(code: number, size: number): string {
  if (code >= 16) return HIGH_BYTES[code - 16]!;
  if (code >= 8) return `r${code}${{ 8: "b", 16: "w", 32: "d" }[size] ?? ""}`;
  if (size === 8) return BYTES[code]!;
  return (size === 64 ? "r" : size === 32 ? "e" : "") + LEGACY[code]!;
}

function formatMemory(decoded: Decoded, size: number): string {
  const parts: string[] = [];
  if (decoded.ripRelative) parts.push(decoded.addressSize === 64 ? "rip" : "eip");
  if (decoded.base >= 0) parts.push(gprName(decoded.base, decoded.addressSize));
  if (decoded.index >= 0) {
    const index = gprName(decoded.index, decoded.addressSize);
    parts.push(decoded.scale === 0 ? index : `${index}*${1 << decoded.scale}`);
  }
  const segment = decoded.segmentOverridden ? `${SEGMENTS[decoded.segment]}:` : "";
  return `${POINTERS[size] ?? ""}${segment}[${parts.join("+")}${formatDisplacement(decoded, parts.length === 0)}]`;
}

function formatDisplacement(decoded: Decoded, alone: boolean): string {
  const { dispLo, dispHi } = decoded;
  if (alone) return hex(dispLo, decoded.addressSize === 64 ? dispHi : 0);
  if (dispLo === 0) return "";
  return dispLo < 0 ? `-${hex(-dispLo, 0)}` : `+${hex(dispLo, 0)}`;
}

function hex(low: number, high: number): string {
  const digits = (low >>> 0).toString(16);
  return high === 0 ? `0x${digits}` : `0x${(high >>> 0).toString(16)}${digits.padStart(8, "0")}`;
}
