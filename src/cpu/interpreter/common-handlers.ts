// The handlers that every 64-bit guest needs, to be made in one module before it starts: a module for each, when its first
// instruction is decoded, costs V8 0.2 ms apiece, and handlers that lie in 600 modules, with 600 instances, miss the caches and
// TLBs of the machine where those of one module don't: a boot took 8 % less. What isn't named here is made when it is met.

import type { Form } from "../decode/decoded.js";
import { type HandlerKind, hasMemoryOperand } from "./handlers.js";

/** Operations (Form.semantics) with any operands, memory at base + displacement among them. */
export const COMMON_OPERATIONS = words(`
  ADC ADD AND BSF BSR BSWAP BT BTR BTS CALL_NEAR CDQ CDQE CLD CLI CMP CMPXCHG CMPXCHG16B CPUID CQO DEC DIV EMMS FNCLEX FNINIT FWAIT
  FXSAVE IDIV IMUL1 IMUL2 IMUL3 IN INC INT3 IRET LDMXCSR LEA LEAVE LFENCE MFENCE JMP_NEAR MOV MOV_FROM_CR MOV_FROM_SREG MOV_TO_CR
  MOV_TO_SREG MOVS MOVSX MOVSXD MOVZX MUL NEG NOP NOT OR OUT PAUSE POP POPCNT POPF PUSH PUSHF RDFSBASE RDMSR RDRAND RDSEED RDTSC
  RDTSCP RET_NEAR ROL ROR SAR SBB SERIALIZE SFENCE SHL SHR SHRD STI STOS SUB SWAPGS SYSCALL TEST TZCNT UD2 WRFSBASE WRMSR XADD XCHG XGETBV XOR
  XRSTOR XSAVE XSAVEOPT XSETBV
  MOVAPS MOVD MOVDQA MOVDQU MOVHPS MOVQ MOVUPS PADDB PADDD PADDQ PALIGNR PAND PANDN PCMPEQB PCMPEQD PCMPGTB PMAXUB PMINUB PMOVMSKB
  POR PSHUFB PSHUFD PSLLD PSLLDQ PSRLD PSRLDQ PSUBB PUNPCKHDQ PUNPCKLBW PUNPCKLDQ PUNPCKLQDQ PUNPCKLWD PXOR`);
const CONDITIONAL = /^(CMOV|SET|J)N?[A-Z]{1,2}$/;
/** Those whose memory operands often have an index too, and those that kernels use on data of the CPU, at GS. */
const INDEXED = words(`ADD AND CALL_NEAR CMP DEC IMUL2 INC JMP_NEAR LEA MOV MOVAPS MOVDQU MOVSX MOVSXD MOVUPS MOVZX
  OR PUSH SUB TEST XADD XCHG XOR`);
const OVERRIDDEN = words("ADD AND CMP CMPXCHG CMPXCHG16B DEC INC MOV OR SUB TEST XADD XOR");

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/));
}

/** The kinds of the common handlers among `forms`. */
export function* commonHandlers(forms: readonly Form[]): Generator<HandlerKind> {
  for (const form of forms) {
    const { semantics, row } = form;
    if (row.options.mode === "no64" || !(COMMON_OPERATIONS.has(semantics) || CONDITIONAL.test(semantics))) continue;
    const kind = { form, addressForm: "base", addressSize: 64, mode: 64, rep: 0 } as const;
    yield kind;
    if (row.options.rep) yield { ...kind, rep: 3 };
    if (!hasMemoryOperand(form)) continue;
    if (INDEXED.has(semantics)) yield { ...kind, addressForm: "indexed" };
    if (OVERRIDDEN.has(semantics)) yield { ...kind, addressForm: "full" };
  }
}
