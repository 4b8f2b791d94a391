// FLAG_AUX (../state-layout.ts) of additions and subtractions: from the vector of carries (borrows) out of each bit.

import type { FunctionBuilder, Value } from "../wasm/function-builder.js";

/** r = a + b, or a + b + 1. */
export function carriesOfAddition(f: FunctionBuilder, a: Value, b: Value, r: Value): Value {
  return f.or(f.and(a, b), f.and(f.or(a, b), f.not(r)));
}

/** r = a - b, or a - b - 1. */
export function carriesOfSubtraction(f: FunctionBuilder, a: Value, b: Value, r: Value): Value {
  return f.or(f.and(f.not(a), b), f.and(f.or(f.not(a), b), r));
}

/** FLAG_AUX of an operation of `size` bits. */
export function auxFromCarries(f: FunctionBuilder, size: number, carries: Value): Value {
  const top = f.i32(0xc0000000);
  const af = f.i32(8);
  if (size === 64) {
    const c = f.let(carries);
    return f.or(f.and(f.wrap(f.shrU(c, f.i64(32))), top), f.and(f.wrap(c), af));
  }
  if (size === 32) return f.and(carries, f.i32(0xc0000008));
  const c = f.let(carries);
  return f.or(f.and(f.shl(c, f.i32(32 - size)), top), f.and(c, af));
}
