// Why `Cpu.run` returned. One mutable object per Cpu is reused for all exits, so that a hot exit allocates nothing:
// read it before the next `run`.

/** Exception vectors, SDM 3A table 6-1. */
export const Vector = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
} as const;

export const ExitKind = {
  /** The budget is used up; RIP is at an instruction boundary. */
  Budget: 1,
  /** A fault or trap: `vector`, `errorCode` (or hasErrorCode false); #PF address in CR2. RIP: faulting instruction, or the next one for traps. */
  Exception: 2,
  /** INT n, INT3, INTO, INT1: `vector`; RIP is at the instruction, `length` is its length. */
  SoftwareInterrupt: 3,
  /** SYSCALL executed; RIP is after it (what RCX would get); RCX and R11 are not yet changed. */
  Syscall: 4,
  /** SYSENTER executed; RIP is after it. */
  Sysenter: 5,
  /** HLT at CPL 0; RIP is after it. */
  Halt: 6,
  /** IN, OUT, INS or OUTS that the host must perform: `port`, `size`, `isOut`. */
  Io: 7,
  /** As many PAUSEs ran as PAUSES_LEFT (state-layout.ts) allowed; RIP is after the last one. */
  Pause: 8,
} as const;
export type ExitKind = (typeof ExitKind)[keyof typeof ExitKind];

export interface Exit {
  kind: ExitKind;
  vector: number;
  hasErrorCode: boolean;
  errorCode: number;
  /** Length in bytes of the instruction that caused a SoftwareInterrupt, or 0. */
  length: number;
}
