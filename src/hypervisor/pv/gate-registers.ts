// The hypercalls stack_switch and set_segment_base without leaving WebAssembly: a guest kernel makes them at each switch of tasks.
// What they do is hypercall/cpu-state.ts; another stack segment, a base that isn't canonical and selectors leave.

import * as S from "../../cpu/state-layout.js";
import { Reg, Seg } from "../../cpu/state-layout.js";
import { SEGBASE_FS, SEGBASE_GS_USER } from "../public/arch-x86/xen-x86_64.js";
import type { GateEmitter } from "./gate-emitter.js";

/** RAX is the hypercall's number; returns from the function. */
export function emitStackSwitch(g: GateEmitter): void {
  g.leaveIfUpcallIsDue();
  const selector = g.or(g.and(g.stateLoad("i32", S.GPR + 8 * Reg.RDI), g.i32(0xffff)), g.i32(3));
  g.leaveIf(g.ne(selector, g.stateLoad("i32", S.PV_KERNEL_SS)));
  g.stateStore("i64", S.PV_KERNEL_SP, g.gpr(Reg.RSI, 64));
  g.finishHypercall(S.PV_STACK_SWITCH_COUNT);
}

/** RAX is the hypercall's number; returns from the function. In kernel mode the user's GS base waits in KERNEL_GS_BASE. */
export function emitSetSegmentBase(g: GateEmitter): void {
  g.leaveIfUpcallIsDue();
  const which = g.let(g.stateLoad("i32", S.GPR + 8 * Reg.RDI));
  g.leaveIf(g.gtU(which, g.i32(SEGBASE_GS_USER)));
  const base = g.gpr(Reg.RSI, 64);
  const high = g.let(g.shrS(base, g.i64(47)));
  g.leaveIf(g.eqz(g.or(g.eqz(high), g.eq(high, g.i64(-1)))));
  g.if(
    g.eq(which, g.i32(SEGBASE_FS)),
    () => g.stateStore("i64", S.SEG_BASE + 8 * Seg.FS, base),
    () => g.stateStore("i64", S.KERNEL_GS_BASE, base),
  );
  g.finishHypercall(S.PV_SEGMENT_BASE_COUNT);
}
