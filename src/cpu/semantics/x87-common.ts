// What x87 bodies share: the checks before an instruction (SDM volume 1, 8.7; volume 3A, 2.5) and addressing of operands that
// are larger than a register.

import type { Emitter, Operand } from "../emit/emitter.js";
import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import type { Value } from "../wasm/function-builder.js";

/** #NM when CR0.TS or CR0.EM is set: comes before everything else. */
export function needsUnit(e: Emitter): void {
  e.raiseIf(e.stateLoad("i32", S.FPU_TRAP), Vector.NM);
}

/** Waiting instructions also report an exception that an earlier one left pending: #MF when ES is set. */
export function waits(e: Emitter): void {
  needsUnit(e);
  e.raiseIf(e.and(e.stateLoad("i32", S.FSW), e.i32(0x80)), Vector.MF);
}

/** Linear address (i64) of a memory operand of `bytes` bytes, its first and last byte checked against the segment. */
export function areaLinear(e: Emitter, area: Operand, bytes: number, write: boolean): Value {
  if (e.mode === 64) return area.linear();
  const offset = area.address();
  const linear = e.segmentLinear("operand", offset, 8, write);
  e.segmentLinear("operand", e.let(e.add(offset, e.i64(bytes - 1))), 8, write);
  return linear;
}
