// VEX-encoded instructions exist in protected mode only (SDM volume 2, 2.6.1): #UD in real mode.

import type { Semantics, SemanticsTable } from "../emit/emitter.js";
import { Vector } from "../exit.js";
import * as S from "../state-layout.js";

const PE = 1;

function inProtectedMode(body: Semantics): Semantics {
  return (e, ...operands) => {
    // 64-bit code is protected mode.
    if (e.mode !== 64) e.raiseIf(e.eqz(e.and(e.stateLoad("i32", S.CR0), e.i32(PE))), Vector.UD);
    body(e, ...operands);
  };
}

/** The same bodies, with the check before them. */
export function vex(table: SemanticsTable): SemanticsTable {
  return Object.fromEntries(Object.entries(table).map(([key, body]) => [key, inProtectedMode(body)]));
}
