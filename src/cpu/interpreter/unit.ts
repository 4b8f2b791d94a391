// Whether MMX and SSE instructions may run now: CR0.TS, CR0.EM and, for SSE, CR4.OSFXSR (SDM volume 3A, 12.1 and 13.1; x87
// bodies check for themselves). What only shares SSE's feature bit (fences, MOVNTI, CRC32) is not concerned.

import type { Form } from "../decode/decoded.js";
import { OperandKind } from "../decode/decoded.js";
import type { Emitter } from "../emit/emitter.js";
import { Vector } from "../exit.js";
import * as S from "../state-layout.js";

export type Unit = "none" | "mmx" | "sse";

const CR0_EM = 4;
const CR4_OSFXSR = 0x200;

export function unitOf(form: Form): Unit {
  if (form.operands.some((o) => o.kind === OperandKind.Xmm)) return "sse";
  if (form.operands.some((o) => o.kind === OperandKind.Mmx)) return "mmx";
  if (form.semantics === "LDMXCSR" || form.semantics === "STMXCSR") return "sse";
  if (form.semantics === "EMMS") return "mmx";
  return "none";
}

export function checkUnit(e: Emitter, unit: Unit): void {
  if (unit === "none" || e.unitChecked(unit)) return;
  e.ifRare(e.stateLoad("i32", unit === "sse" ? S.SSE_TRAP : S.FPU_TRAP), () => {
    const emulated = e.and(e.stateLoad("i32", S.CR0), e.i32(CR0_EM));
    const unsaved = e.eqz(e.and(e.stateLoad("i32", S.CR4), e.i32(CR4_OSFXSR)));
    e.raiseIf(unit === "sse" ? e.or(emulated, unsaved) : emulated, Vector.UD);
    e.raise(Vector.NM);
  });
}
