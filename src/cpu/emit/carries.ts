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

/** FLAG_RESULT and FLAG_AUX of two floats that are no NaNs: ZF, PF and CF tell the relation; OF, AF and SF are clear. */
export function orderedFlags(f: FunctionBuilder, a: Value, b: Value): { result: Value; aux: Value } {
  const [eq, lt] = a.type === "f64" ? [0x61, 0x63] : [0x5b, 0x5d];
  const equal = f.let(f.op("i32", eq, [a, b]));
  const less = f.op("i32", lt, [a, b]);
  // A result of 0 or 1 has parity, which PF's delta must turn into none.
  const aux = f.let(f.or(f.shl(f.neg(less), f.i32(30)), f.shl(equal, f.i32(8))));
  return { result: f.extendU(f.xor(equal, f.i32(1))), aux };
}
