// How an instruction is described: rows in the notation of the Intel SDM (volume 2), one row per encoding. Rows carry no
// meaning; semantics/ holds one body per mnemonic (or per `semantics` key), joined when the opcode maps are built.
//
//   instruction("ADD", [
//     row("04 ib", "AL, imm8"),
//     row("05 iz", "rAX, immZ"),
//     row("80 /0 ib", "r/m8, imm8", { lock: true }),
//     row("81 /0 iz", "r/mV, immZ", { lock: true }),
//     row("00 /r", "r/m8, r8", { lock: true }), ...
//   ])
//
// Opcode text: hex bytes with mandatory prefixes (NP, 66, F2, F3, NFx), REX.W, REX.B, VEX.LZ.66.0F38, /r, /0-/7, +r (register
// in the opcode's low bits), +i (in the ModRM's), ib iw iz iv (immediates), cb cz (relative), cp (far pointer), moffs, mod
// forms `!(11)` / `(11)`, further fixed ModRM bytes. A row without NP, 66, F2, F3 or NFx takes any prefix (66 = operand size).
// Operand text: SDM names with size letters of appendix A.2: V = 16, 32 or 64 by operand size; Z = 16 or 32 (sign-extended);
// Y = 32 or 64 (no 16). Fixed sizes are written out (r/m8, xmm/m64, m80fp, mm/m64, rel8, imm8, Sreg, CRn); simm8 is
// sign-extended to the operand size; vY is the register in VEX.vvvv. decode/operand-text.ts has the full list.

export interface RowOptions {
  /** LOCK is allowed (with a memory destination only). */
  readonly lock?: boolean;
  /** REP/REPE/REPNE act as string repeats. */
  readonly rep?: boolean;
  /** Valid in 64-bit mode only, or not valid there. */
  readonly mode?: "only64" | "no64";
  /**
   * "V", "Y": the operand size matters although no operand's text shows it (IRET, PUSHF); "Z": it stops at 32 (IN). 8: always
   * bytes. 16, 32, 64: this row is the opcode at that operand size only (MOVSW, MOVSD, MOVSQ); "32+": at 32, and at 64 as 32.
   */
  readonly operandSize?: "V" | "Y" | "Z" | "32+" | 8 | 16 | 32 | 64;
  /** Operand size in 64-bit mode: fixed at 64 (near branches), or 64 by default (push, pop). */
  readonly size64?: "force" | "default";
  /** Key of the semantics body when one mnemonic has several meanings (IMUL with 1, 2, 3 operands; MOVSD). Default: the mnemonic. */
  readonly semantics?: string;
  /** Privilege: raises #GP(0) above this CPL, checked before anything else. */
  readonly cpl?: 0;
  /** CPUID feature; rows whose feature is off are not in the maps, so their opcodes raise #UD. */
  readonly feature?: string;
}

export interface Row {
  readonly opcode: string;
  readonly operands: string;
  readonly options: RowOptions;
}

export interface Instruction {
  readonly mnemonic: string;
  readonly rows: readonly Row[];
}

export function row(opcode: string, operands = "", options: RowOptions = {}): Row {
  return { opcode, operands, options };
}

export function instruction(mnemonic: string, rows: readonly Row[]): Instruction {
  return { mnemonic, rows };
}
