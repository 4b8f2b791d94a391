// Shifts and rotates. SDM volume 2. Counts are taken modulo 32 (64 for 64-bit operands); a count of zero changes no flag.

import type { Emitter, Operand, SemanticsTable, ShiftFlags } from "../emit/emitter.js";
import type { Value } from "../wasm/function-builder.js";
import { vex } from "./vex.js";

/** Masked count as i32. */
function countOf(e: Emitter, count: Operand): Value {
  return e.let(e.and(e.wrap(count.read()), e.i32(e.size === 64 ? 63 : 31)));
}

/** A count in the operand's own type. */
function wide(e: Emitter, count: Value): Value {
  return e.size === 64 ? e.extendU(count) : count;
}

const bit = (e: Emitter, value: Value, index: number) =>
  e.and(e.wrap(e.shrU(value, e.constant(e.size, index))), e.i32(1));

type Shifted = { result: Value; cf: () => Value; of: (result: Value, cf: Value) => Value };

function shift(direction: ShiftFlags["direction"], compute: (e: Emitter, value: Value, count: Value) => Shifted) {
  return (e: Emitter, dst: Operand, by: Operand) => {
    const value = dst.readForWrite();
    const count = countOf(e, by);
    const { result, cf, of } = compute(e, value, count);
    const r = e.let(result);
    dst.write(r);
    const flags = { direction, size: e.size, source: value, count, result: r, cf, of: (carry: Value) => of(r, carry) };
    e.flagsOfShift(flags);
  };
}

const left = shift("left", (e, value, count) => {
  const n = wide(e, count);
  const result = e.let(e.shl(value, n));
  // Narrow operands keep their carry in the bit above; wide ones need it from the source.
  const cf = () =>
    e.size < 32 ? bit(e, result, e.size) : e.and(e.wrap(e.shrU(value, e.sub(e.constant(e.size, e.size), n))), e.i32(1));
  return { result, cf, of: (r, carry) => e.xor(bit(e, r, e.size - 1), carry) };
});

function right(arithmetic: boolean) {
  return shift(arithmetic ? "arithmetic" : "right", (e, source, count) => {
    const value = arithmetic ? e.let(e.signExtend(source, e.size)) : source;
    const n = wide(e, count);
    const by = (amount: Value) => (arithmetic ? e.shrS(value, amount) : e.shrU(value, amount));
    return {
      result: by(n),
      cf: () => e.and(e.wrap(by(e.sub(n, e.constant(e.size, 1)))), e.i32(1)),
      of: () => (arithmetic ? e.i32(0) : bit(e, source, e.size - 1)),
    };
  });
}

function rotate(toLeft: boolean) {
  return (e: Emitter, dst: Operand, by: Operand) => {
    const { size } = e;
    const value = dst.readForWrite();
    const count = countOf(e, by);
    const n = wide(e, size < 32 ? e.let(e.and(count, e.i32(size - 1))) : count);
    let result: Value;
    if (size >= 32) result = toLeft ? e.rotl(value, n) : e.rotr(value, n);
    else {
      const other = e.sub(e.i32(size), n);
      const both = toLeft ? e.or(e.shl(value, n), e.shrU(value, other)) : e.or(e.shrU(value, n), e.shl(value, other));
      result = e.zeroExtend(both, size);
    }
    const r = e.let(result);
    dst.write(r);
    e.flagsOfRotate(count, () => {
      const top = e.let(bit(e, r, size - 1));
      const cf = toLeft ? e.let(bit(e, r, 0)) : top;
      return { cf, of: e.xor(top, toLeft ? cf : bit(e, r, size - 2)) };
    });
  };
}

/** RCL and RCR: a rotation of size + 1 bits with CF on top. */
function rotateCarry(toLeft: boolean) {
  return (e: Emitter, dst: Operand, by: Operand) => {
    const { size } = e;
    const value = dst.readForWrite();
    const masked = countOf(e, by);
    const count = size < 32 ? e.let(e.remU(masked, e.i32(size + 1))) : masked;
    const oldCf = e.let(e.cf());
    const n = e.let(e.extendU(count));
    const cfWide = e.extendU(oldCf);
    let result: Value;
    let cf: Value;
    if (size < 64) {
      const x = e.let(e.or(e.extendU(value), e.shl(cfWide, e.i64(size))));
      const other = e.sub(e.i64(size + 1), n);
      const both = toLeft ? e.or(e.shl(x, n), e.shrU(x, other)) : e.or(e.shrU(x, n), e.shl(x, other));
      const rotated = e.let(both);
      result = e.zeroExtend(e.wrap(rotated), size);
      cf = e.and(e.wrap(e.shrU(rotated, e.i64(size))), e.i32(1));
    } else {
      const other = e.let(e.sub(e.i64(64), n));
      const one = e.i64(1);
      const rotated = toLeft
        ? e.or(e.or(e.shl(value, n), e.shl(cfWide, e.sub(n, one))), e.shrU(e.shrU(value, one), other))
        : e.or(e.or(e.shrU(value, n), e.shl(cfWide, other)), e.shl(e.shl(value, one), other));
      result = e.select(count, rotated, value);
      cf = e.and(e.wrap(e.shrU(value, toLeft ? other : e.sub(n, one))), e.i32(1));
    }
    const r = e.let(result);
    const carry = e.let(cf);
    dst.write(r);
    e.flagsOfRotate(count, () => {
      const top = e.let(bit(e, r, size - 1));
      return { cf: carry, of: e.xor(top, toLeft ? carry : bit(e, r, size - 2)) };
    });
  };
}

function shiftDouble(toLeft: boolean) {
  return (e: Emitter, dst: Operand, src: Operand, by: Operand) => {
    const { size } = e;
    const value = dst.readForWrite();
    const filler = src.read();
    const count = countOf(e, by);
    let result: Value;
    let cf: Value;
    if (size === 16) {
      // Counts above 16 are undefined; processors go on with the destination's own bits.
      const [d, s] = [e.extendU(value), e.extendU(filler)];
      const x = e.let(e.or(e.or(e.shl(d, e.i64(32)), e.shl(s, e.i64(16))), d));
      const n = e.extendU(count);
      result = e.zeroExtend(e.wrap(toLeft ? e.shrU(e.shl(x, n), e.i64(32)) : e.shrU(x, n)), 16);
      cf = e.and(e.wrap(e.shrU(x, toLeft ? e.sub(e.i64(48), n) : e.sub(n, e.i64(1)))), e.i32(1));
    } else {
      const n = e.let(wide(e, count));
      const other = e.let(e.sub(e.constant(size, size), n));
      const both = toLeft ? e.or(e.shl(value, n), e.shrU(filler, other)) : e.or(e.shrU(value, n), e.shl(filler, other));
      result = e.select(count, both, value);
      cf = e.and(e.wrap(e.shrU(value, toLeft ? other : e.sub(n, e.constant(size, 1)))), e.i32(1));
    }
    const r = e.let(result);
    const carry = e.let(cf);
    dst.write(r);
    e.if(count, () => e.flagsShift(size, r, carry, e.let(e.xor(bit(e, r, size - 1), bit(e, value, size - 1)))));
  };
}

/** BMI2 shifts: no flags, counts from a register. */
function shiftX(operate: (e: Emitter, value: Value, count: Value) => Value) {
  return (e: Emitter, dst: Operand, src: Operand, by: Operand) => {
    const value = src.read();
    dst.write(operate(e, value, by.read()));
  };
}

export const shiftSemantics: SemanticsTable = {
  SHL: left,
  SHR: right(false),
  SAR: right(true),
  ROL: rotate(true),
  ROR: rotate(false),
  RCL: rotateCarry(true),
  RCR: rotateCarry(false),
  SHLD: shiftDouble(true),
  SHRD: shiftDouble(false),
  ...vex({
    SHLX: shiftX((e, v, n) => e.shl(v, n)),
    SHRX: shiftX((e, v, n) => e.shrU(v, n)),
    SARX: shiftX((e, v, n) => e.shrS(v, n)),
    RORX: (e, dst, src, imm) => dst.write(e.rotr(src.read(), e.resize(imm.read(), imm.size, e.size))),
  }),
};
