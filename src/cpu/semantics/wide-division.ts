// Division of 128-bit numbers by 64-bit ones (DIV and IDIV r/m64): schoolbook division in two digits of 32 bits (Knuth, volume 2,
// 4.3.1, algorithm D). Quotients that don't fit raise #DE before.

import type { Emitter } from "../emit/emitter.js";
import { Vector } from "../exit.js";
import type { FunctionBuilder, Value } from "../wasm/function-builder.js";

interface Division {
  readonly quotient: Value;
  readonly remainder: Value;
}

/** One digit: (rest * 2^32 + digit) / divisor, for a divisor with bit 63 set and a rest below it. */
function digitOf(e: FunctionBuilder, rest: Value, digit: Value, divisor: Value): Division {
  const [upper, lower] = [e.let(e.shrU(divisor, e.i64(32))), e.let(e.and(divisor, e.i64(0xffffffff)))];
  const quotient = e.variable(e.divU(rest, upper));
  const left = e.variable(e.remU(rest, upper));
  // An estimate from the upper digit: at most 2 too large.
  e.block((done) => {
    e.loop((again) => {
      const estimate = e.get(quotient);
      const tooWide = e.geU(estimate, e.i64(1n << 32n));
      const product = e.mul(estimate, lower);
      e.brIf(done, e.eqz(e.or(tooWide, e.gtU(product, e.or(e.shl(e.get(left), e.i64(32)), digit)))));
      e.set(quotient, e.sub(estimate, e.i64(1)));
      e.set(left, e.add(e.get(left), upper));
      e.brIf(again, e.ltU(e.get(left), e.i64(1n << 32n)));
    });
  });
  const q = e.let(e.get(quotient));
  return { quotient: q, remainder: e.let(e.sub(e.or(e.shl(rest, e.i64(32)), digit), e.mul(q, divisor))) };
}

/** `high` below `divisor`. */
export function divideUnsigned(e: FunctionBuilder, high: Value, low: Value, divisor: Value): Division {
  const shift = e.let(e.clz(divisor));
  const d = e.let(e.shl(divisor, shift));
  // In two steps, because a shift by 64 is one by 0.
  const carried = e.shrU(e.shrU(low, e.i64(1)), e.sub(e.i64(63), shift));
  const top = e.let(e.or(e.shl(high, shift), carried));
  const bottom = e.let(e.shl(low, shift));
  const first = digitOf(e, top, e.let(e.shrU(bottom, e.i64(32))), d);
  const second = digitOf(e, first.remainder, e.let(e.and(bottom, e.i64(0xffffffff))), d);
  return {
    quotient: e.let(e.or(e.shl(first.quotient, e.i64(32)), second.quotient)),
    remainder: e.let(e.shrU(second.remainder, shift)),
  };
}

export function divideWide(e: Emitter, high: Value, low: Value, divisor: Value, signed: boolean): Division {
  if (!signed) {
    e.raiseIf(e.geU(high, divisor), Vector.DE);
    return divideUnsigned(e, high, low, divisor);
  }
  const ones = e.let(e.shrS(high, e.i64(63)));
  const divisorOnes = e.let(e.shrS(divisor, e.i64(63)));
  const magnitude = e.let(e.sub(e.xor(divisor, divisorOnes), divisorOnes));
  const lowMagnitude = e.let(e.sub(e.xor(low, ones), ones));
  // The upper half is only complemented, unless the lower one is zero.
  const carry = e.and(ones, e.extendU(e.eqz(low)));
  const highMagnitude = e.let(e.add(e.xor(high, ones), carry));
  e.raiseIf(e.geU(highMagnitude, magnitude), Vector.DE);
  const { quotient, remainder } = divideUnsigned(e, highMagnitude, lowMagnitude, magnitude);
  const sign = e.let(e.xor(ones, divisorOnes));
  const result = e.let(e.sub(e.xor(quotient, sign), sign));
  // A magnitude of 2^63 or more fits only as -2^63.
  e.raiseIf(e.and(e.ne(quotient, e.i64(0)), e.wrap(e.shrU(e.xor(result, sign), e.i64(63)))), Vector.DE);
  return { quotient: result, remainder: e.let(e.sub(e.xor(remainder, ones), ones)) };
}
