// Emitter.floatLimit and floatExact computed from MXCSR (SDM volume 1, 10.2.3): all exceptions masked, round to nearest, neither DAZ nor FTZ, PE
// set already. Results whose exponent field is 2 or more and not all ones then raise nothing new.

import * as S from "../state-layout.js";
import type { FunctionBuilder, Value, Variable } from "../wasm/function-builder.js";

/** MXCSR is like that: i32. For functions whose first parameter is the vCPU's state. */
function isUsual(f: FunctionBuilder): Value {
  return f.eq(f.and(f.load("i32", f.param(0), S.MXCSR), f.i32(0xffe0)), f.i32(0x1fa0));
}
const limitOf = (bits: 32 | 64) => (bits === 64 ? 0x7fd : 0xfd);

export function floatLimitOf(f: FunctionBuilder, bits: 32 | 64): Value {
  return f.select(isUsual(f), f.i32(limitOf(bits)), f.i32(0));
}

/** Keeps the limit in a local. By a branch: a compiler would compute an expression again at each use. */
export function setFloatLimit(f: FunctionBuilder, bits: 32 | 64, variable: Variable): void {
  f.if(
    isUsual(f),
    () => f.set(variable, f.i32(limitOf(bits))),
    () => f.set(variable, f.i32(0)),
  );
}

/** Keeps floatExactOf's answer in a local. */
export function setFloatExact(f: FunctionBuilder, variable: Variable): void {
  f.if(
    floatExactOf(f),
    () => f.set(variable, f.i32(1)),
    () => f.set(variable, f.i32(0)),
  );
}

/** Emitter.floatExact: the same but for PE, which may be clear. */
export function floatExactOf(f: FunctionBuilder): Value {
  return f.eq(f.and(f.load("i32", f.param(0), S.MXCSR), f.i32(0xffc0)), f.i32(0x1f80));
}
