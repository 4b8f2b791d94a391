// Debug facilities that Cpu.run looks at between instructions while it steps (SDM volume 3B, chapter 18): instruction
// breakpoints, DR6 bits, and the interrupt shadow of STI and of loads of SS.

import type { CpuState } from "./cpu-state.js";
import * as S from "./state-layout.js";

/** DR6: register access detected, single step. */
export const DR6_BD = 0x2000;
export const DR6_BS = 0x4000;

/** Values of INTERRUPT_SHADOW. A load of SS holds off debug traps too. */
export const Shadow = { None: 0, Sti: 1, MovSs: 2 } as const;

/** Enabled instruction breakpoints on a linear address, as bits B0-B3 of DR6. */
export function instructionBreakpoints(state: CpuState, linear: bigint): number {
  const control = state.u32(S.DR + 56);
  let hits = 0;
  for (let i = 0; i < 4; i++) {
    const enabled = (control >>> (2 * i)) & 3;
    const execute = ((control >>> (16 + 4 * i)) & 3) === 0;
    if (enabled && execute && state.dr(i) === linear) hits |= 1 << i;
  }
  return hits;
}
