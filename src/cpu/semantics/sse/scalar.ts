// Scalar floats in generated code: Wasm's operations by format, and quick checks on bit patterns: each a few integer
// operations, so that the common case costs one branch an operand and one a result.

import type { Emitter, FloatBits } from "../../emit/emitter.js";
import type { FunctionBuilder, Value } from "../../wasm/function-builder.js";

export type FloatType = "f32" | "f64";
export const typeOf = (bits: FloatBits): FloatType => (bits === 64 ? "f64" : "f32");

/** Opcodes, core specification 5.4.7: [f32, f64]. */
const opcodes = {
  abs: [0x8b, 0x99],
  ceil: [0x8d, 0x9b],
  floor: [0x8e, 0x9c],
  trunc: [0x8f, 0x9d],
  nearest: [0x90, 0x9e],
  sqrt: [0x91, 0x9f],
  add: [0x92, 0xa0],
  sub: [0x93, 0xa1],
  mul: [0x94, 0xa2],
  div: [0x95, 0xa3],
  eq: [0x5b, 0x61],
  ne: [0x5c, 0x62],
  lt: [0x5d, 0x63],
  gt: [0x5e, 0x64],
  le: [0x5f, 0x65],
  ge: [0x60, 0x66],
} as const;
export type FloatOperation = keyof typeof opcodes;
const comparisons: ReadonlySet<FloatOperation> = new Set<FloatOperation>(["eq", "ne", "lt", "gt", "le", "ge"]);

/** An operation on floats of one format; comparisons give i32. */
export function float(f: FunctionBuilder, operation: FloatOperation, ...args: Value[]): Value {
  const type = args[0]!.type as FloatType;
  return f.op(comparisons.has(operation) ? "i32" : type, opcodes[operation][type === "f64" ? 1 : 0], args);
}

/** The pattern of a float as i32 or i64, and back. */
export function toBits(f: FunctionBuilder, v: Value): Value {
  return v.type === "f64" ? f.op("i64", 0xbd, [v]) : f.op("i32", 0xbc, [v]);
}
export function fromBits(f: FunctionBuilder, v: Value): Value {
  return v.type === "i64" ? f.op("f64", 0xbf, [v]) : f.op("f32", 0xbe, [v]);
}
export function floatConstant(f: FunctionBuilder, bits: FloatBits, pattern: bigint): Value {
  return fromBits(f, bits === 64 ? f.i64(pattern) : f.i32(Number(pattern)));
}
export function splatFloat(f: FunctionBuilder, v: Value): Value {
  return f.op("v128", v.type === "f64" ? 0xfd14 : 0xfd13, [v]);
}

/** i32: neither denormal (zero is none). Infinities and NaNs pass. */
export function notDenormal(f: FunctionBuilder, v: Value): Value {
  const bits = toBits(f, v);
  if (v.type === "f64") return f.geU(f.sub(f.shl(bits, f.i64(1)), f.i64(1)), f.i64(0x001fffffffffffffn));
  return f.geU(f.sub(f.shl(bits, f.i32(1)), f.i32(1)), f.i32(0x00ffffff));
}

/** i32: the exponent field minus 2 is (unsigned) below a limit. */
function exponentBelow(f: FunctionBuilder, v: Value, limit: Value): Value {
  const bits = toBits(f, v);
  const exponent =
    v.type === "f64" ? f.wrap(f.shrU(f.shl(bits, f.i64(1)), f.i64(53))) : f.shrU(f.shl(bits, f.i32(1)), f.i32(24));
  return f.ltU(f.sub(exponent, f.i32(2)), limit);
}
/** i32: a result that can't have been rounded from a tiny or too large one, nor is NaN; never when the limit is 0. */
export function isSettled(e: Emitter, v: Value): Value {
  return exponentBelow(e, v, e.floatLimit(v.type === "f64" ? 64 : 32));
}
/** The same, whatever MXCSR says. */
export function isFarFromLimits(f: FunctionBuilder, v: Value): Value {
  return exponentBelow(f, v, f.i32(v.type === "f64" ? 0x7fd : 0xfd));
}

/** Leaves to `slow` unless an operand (a snapshot) holds no denormal. */
export function refuseDenormal(e: Emitter, slow: Parameters<Emitter["brIf"]>[0], v: Value): void {
  if (!e.isPlain(v, v.type === "f64" ? 64 : 32)) e.brIf(slow, e.eqz(notDenormal(e, v)), false);
}

/** Leaves to `slow` unless both are ordered and hold no denormals, and remembers that they are. */
export function requireOrdered(e: Emitter, slow: Parameters<Emitter["brIf"]>[0], a: Value, b: Value): void {
  const bits = a.type === "f64" ? 64 : 32;
  const unknown = [a, b].filter((v) => !e.isPlain(v, bits));
  for (const v of unknown) refuseDenormal(e, slow, v);
  // NaNs are not equal to themselves.
  if (unknown.length === 2) e.brIf(slow, e.eqz(e.or(float(e, "lt", a, b), float(e, "ge", a, b))), false);
  else for (const v of unknown) e.brIf(slow, float(e, "ne", v, v), false);
}
