// Emitter.floatLimit computed from MXCSR (SDM volume 1, 10.2.3): all exceptions masked, round to nearest, neither DAZ nor FTZ, PE
// set already. Results whose exponent field is 2 or more and not all ones then raise nothing new.

import * as S from "../state-layout.js";
import type { FunctionBuilder, Value } from "../wasm/function-builder.js";

/** For functions whose first parameter is the vCPU's state. */
export function floatLimitOf(f: FunctionBuilder, bits: 32 | 64): Value {
  const mxcsr = f.load("i32", f.param(0), S.MXCSR);
  const ordinary = f.eq(f.and(mxcsr, f.i32(0xffe0)), f.i32(0x1fa0));
  return f.select(ordinary, f.i32(bits === 64 ? 0x7fd : 0xfd), f.i32(0));
}
