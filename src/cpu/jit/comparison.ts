// What the latest flag-setting instruction of a block computed, and conditions made of that: a comparison of its operands is
// shorter than one of the lazy flags (FLAG_RESULT, FLAG_AUX), and FLAG_AUX needn't be made where nothing asks for it.

import { auxFromCarries, carriesOfAddition, carriesOfSubtraction, orderedFlags } from "../emit/carries.js";
import type { FunctionBuilder, Value } from "../wasm/function-builder.js";

export interface Comparison {
  /** "result": with a carry in it; "step": the addition of 1 or -1 (b) that left CF alone; "carry": CF alone is known. */
  readonly kind: "sub" | "add" | "step" | "logic" | "result" | "float" | "carry";
  /** Bits of the operands. */
  readonly size: number;
  readonly a: Value;
  readonly b: Value;
  readonly result: Value;
  /** CF (i32, 0 or 1), of a step and where it is known otherwise. */
  readonly carry?: Value;
}

/** FLAG_AUX, where it follows from the operands. */
export function auxOf(f: FunctionBuilder, { kind, size, a, b, result, carry }: Comparison): Value | undefined {
  if (kind === "float") return orderedFlags(f, a, b).aux;
  if (kind === "logic") return f.i32(0);
  if (kind === "sub") return auxFromCarries(f, size, carriesOfSubtraction(f, a, b, result));
  if (kind === "add") return auxFromCarries(f, size, carriesOfAddition(f, a, b, result));
  if (kind !== "step" || !carry) return undefined;
  const down = b.constant < 0n;
  const one = f.constantLike(a, 1);
  const carries = down ? carriesOfSubtraction(f, a, one, result) : carriesOfAddition(f, a, one, result);
  return withCarry(f, f.let(auxFromCarries(f, size, carries)), carry);
}

/** A FLAG_AUX with another CF and the same OF. */
export function withCarry(f: FunctionBuilder, aux: Value, carry: Value): Value {
  const overflow = f.shrU(f.xor(aux, f.shl(aux, f.i32(1))), f.i32(31));
  const top = f.or(f.shl(carry, f.i32(31)), f.shl(f.xor(carry, overflow), f.i32(30)));
  return f.or(top, f.and(aux, f.i32(8)));
}

/** CF (i32, 0 or 1), where that is simpler than from FLAG_AUX. */
export function fusedCarry(f: FunctionBuilder, c: Comparison): Value | undefined {
  const { kind, size, a, b, result, carry } = c;
  if (kind === "float") return fusedFloat(f, c, 2);
  if (kind === "sub") return f.ltU(a, b);
  if (kind === "add") return f.ltU(f.zeroExtend(result, size), a);
  if (kind === "logic") return f.i32(0);
  return carry;
}

/** eq, ne, lt, gt, le, ge. */
const SINGLE_COMPARISONS = [0x5b, 0x5c, 0x5d, 0x5e, 0x5f, 0x60] as const;
const DOUBLE_COMPARISONS = [0x61, 0x62, 0x63, 0x64, 0x65, 0x66] as const;

/** Condition code `cc` (i32, 0 or 1) from the operands, where that is simpler than from the flags. */
export function fusedCondition(f: FunctionBuilder, c: Comparison, cc: number): Value | undefined {
  if (c.kind === "float") return fusedFloat(f, c, cc);
  const { size, a, b, result } = c;
  if (c.kind === "carry") return cc === 2 ? result : cc === 3 ? f.eqz(result) : undefined;
  const signed = (v: Value) => f.signExtend(v, size);
  const zero = f.constantLike(result, 0);
  // A branch takes a comparison as it is, but not a negated one.
  const negative = () => (cc & 1 ? f.geS(signed(result), zero) : f.ltS(signed(result), zero));
  const isZero = () => (cc & 1 ? f.ne(f.zeroExtend(result, size), zero) : f.eqz(f.zeroExtend(result, size)));
  if (cc === 8 || cc === 9) return negative();
  if (c.kind === "sub") {
    if (cc === 2) return f.ltU(a, b);
    if (cc === 3) return f.geU(a, b);
    if (cc === 4) return f.eq(a, b);
    if (cc === 5) return f.ne(a, b);
    if (cc === 6) return f.leU(a, b);
    if (cc === 7) return f.gtU(a, b);
    if (cc === 12) return f.ltS(signed(a), signed(b));
    if (cc === 13) return f.geS(signed(a), signed(b));
    if (cc === 14) return f.leS(signed(a), signed(b));
    if (cc === 15) return f.gtS(signed(a), signed(b));
    return undefined;
  }
  if (cc === 4 || cc === 5) return isZero();
  if (c.kind !== "logic") {
    const carry = cc === 2 || cc === 3 ? fusedCarry(f, c) : undefined;
    return carry && cc === 3 ? f.xor(carry, f.i32(1)) : carry;
  }
  if (cc === 0 || cc === 2) return f.i32(0);
  if (cc === 1 || cc === 3) return f.i32(1);
  if (cc === 6 || cc === 7) return isZero();
  if (cc === 12 || cc === 13) return negative();
  if (cc === 14) return f.leS(signed(result), zero);
  if (cc === 15) return f.gtS(signed(result), zero);
  return undefined;
}

/** Two floats that are no NaNs. */
function fusedFloat(f: FunctionBuilder, { a, b }: Comparison, cc: number): Value | undefined {
  const [eq, ne, lt, gt, le, ge] = a.type === "f64" ? DOUBLE_COMPARISONS : SINGLE_COMPARISONS;
  const opcode = { 2: lt, 3: ge, 4: eq, 5: ne, 6: le, 7: gt }[cc];
  if (opcode !== undefined) return f.op("i32", opcode, [a, b]);
  return cc === 10 ? f.i32(0) : cc === 11 ? f.i32(1) : undefined;
}
