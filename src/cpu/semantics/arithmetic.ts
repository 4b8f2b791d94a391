// Integer arithmetic and logic: ADD family, INC, DEC, NEG, logic, multiplication, division, BCD. SDM volume 2.

import type { Emitter, Operand, SemanticsTable } from "../emit/emitter.js";
import { Vector } from "../exit.js";
import { Reg } from "../state-layout.js";
import type { Value } from "../wasm/function-builder.js";
import { vex } from "./vex.js";
import { divideWide } from "./wide-division.js";

type Binary = (e: Emitter, a: Value, b: Value) => Value;

function logic(combine: Binary) {
  return (e: Emitter, dst: Operand, src: Operand) => {
    const a = dst.readForWrite();
    const result = e.let(combine(e, a, src.read()));
    dst.write(result);
    e.flagsLogic(e.size, result);
  };
}

/** Carry-in as a value of the operand's type. */
function carryIn(e: Emitter): Value {
  return e.let(e.size === 64 ? e.extendU(e.cf()) : e.cf());
}

/** High half of the unsigned 64 x 64 product. */
export function multiplyHighUnsigned(e: Emitter, a: Value, b: Value): Value {
  const low = (v: Value) => e.and(v, e.i64(0xffffffff));
  const high = (v: Value) => e.shrU(v, e.i64(32));
  const [al, ah, bl, bh] = [e.let(low(a)), e.let(high(a)), e.let(low(b)), e.let(high(b))];
  const t = e.let(e.add(e.mul(ah, bl), high(e.mul(al, bl))));
  const u = e.let(e.add(e.mul(al, bh), low(t)));
  return e.let(e.add(e.add(e.mul(ah, bh), high(t)), high(u)));
}

function multiplyHighSigned(e: Emitter, a: Value, b: Value): Value {
  const unsigned = multiplyHighUnsigned(e, a, b);
  const correction = e.add(e.and(e.shrS(a, e.i64(63)), b), e.and(e.shrS(b, e.i64(63)), a));
  return e.let(e.sub(unsigned, correction));
}

/** CF = OF = overflow; the other status flags, undefined by the manual, follow the low half. */
function multiplyFlags(e: Emitter, low: Value, overflow: Value): void {
  const o = e.let(overflow);
  e.flagsShift(e.size, low, o, o);
}

/** One-operand MUL and IMUL: rDX:rAX (or AX) = rAX * source. */
function multiplyWide(signed: boolean) {
  return (e: Emitter, src: Operand) => {
    const { size } = e;
    const a = e.gpr(Reg.RAX, size);
    const b = src.read();
    if (size === 64) {
      const low = e.let(e.mul(a, b));
      const high = signed ? multiplyHighSigned(e, a, b) : multiplyHighUnsigned(e, a, b);
      e.setGpr(Reg.RAX, 64, low);
      e.setGpr(Reg.RDX, 64, high);
      multiplyFlags(e, low, e.ne(high, signed ? e.shrS(low, e.i64(63)) : e.i64(0)));
      return;
    }
    const extend = (v: Value) => (signed ? e.resizeSigned(v, size, 64) : e.resize(v, size, 64));
    const product = e.let(e.mul(extend(a), extend(b)));
    const low = e.let(e.zeroExtend(e.wrap(product), size));
    if (size === 8) e.setGpr(Reg.RAX, 16, e.wrap(product));
    else {
      e.setGpr(Reg.RAX, size, low);
      e.setGpr(Reg.RDX, size, e.wrap(e.shrU(product, e.i64(size))));
    }
    multiplyFlags(e, low, e.ne(product, extend(low)));
  };
}

/** IMUL with two or three operands: the low half, CF = OF = it isn't the whole product. */
function multiplyLow(e: Emitter, dst: Operand, a: Value, b: Value): void {
  const { size } = e;
  if (size === 64) {
    const low = e.let(e.mul(a, b));
    const high = multiplyHighSigned(e, a, b);
    dst.write(low);
    multiplyFlags(e, low, e.ne(high, e.shrS(low, e.i64(63))));
    return;
  }
  // The whole product is only for the flags, which hardly anybody asks for.
  const low = e.let(e.zeroExtend(e.mul(a, b), size));
  const product = e.let(e.mul(e.resizeSigned(a, size, 64), e.resizeSigned(b, size, 64)));
  dst.write(low);
  multiplyFlags(e, low, e.ne(product, e.resizeSigned(low, size, 64)));
}

function divide(signed: boolean) {
  return (e: Emitter, src: Operand) => {
    const { size } = e;
    const divisor = src.read();
    e.raiseIf(e.eqz(divisor), Vector.DE);
    if (size === 64) {
      divide64(e, divisor, signed);
      return;
    }
    const extend = (v: Value) => (signed ? e.resizeSigned(v, size, 64) : e.resize(v, size, 64));
    let dividend: Value;
    if (size === 8) {
      const ax = e.gpr(Reg.RAX, 16);
      dividend = signed ? e.resizeSigned(ax, 16, 64) : e.resize(ax, 16, 64);
    } else {
      const high = e.extendU(e.gpr(Reg.RDX, size));
      dividend = e.or(e.shl(high, e.i64(size)), e.resize(e.gpr(Reg.RAX, size), size, 64));
      if (signed && size === 16) dividend = e.signExtend(dividend, 32);
    }
    const n = e.let(dividend);
    const d = e.let(extend(divisor));
    // -2^63 / -1 would trap; its quotient doesn't fit anyway.
    if (signed && size === 32) e.raiseIf(e.and(e.eq(d, e.i64(-1)), e.eq(n, e.i64(-(1n << 63n)))), Vector.DE);
    const quotient = e.let(signed ? e.divS(n, d) : e.divU(n, d));
    const narrow = e.let(e.zeroExtend(e.wrap(quotient), size));
    e.raiseIf(e.ne(extend(narrow), quotient), Vector.DE);
    const remainder = e.let(e.wrap(signed ? e.remS(n, d) : e.remU(n, d)));
    if (size === 8) e.setGpr(Reg.RAX, 16, e.or(narrow, e.shl(e.and(remainder, e.i32(0xff)), e.i32(8))));
    else {
      e.setGpr(Reg.RAX, size, narrow);
      e.setGpr(Reg.RDX, size, remainder);
    }
  };
}

function divide64(e: Emitter, divisor: Value, signed: boolean): void {
  const low = e.gpr(Reg.RAX, 64);
  const high = e.gpr(Reg.RDX, 64);
  // Nearly always the dividend fits into 64 bits.
  const fits = signed
    ? e.and(e.eq(high, e.shrS(low, e.i64(63))), e.eqz(e.and(e.eq(divisor, e.i64(-1)), e.eq(low, e.i64(-(1n << 63n))))))
    : e.eqz(high);
  e.if(
    fits,
    () => {
      const quotient = e.let(signed ? e.divS(low, divisor) : e.divU(low, divisor));
      const remainder = e.let(signed ? e.remS(low, divisor) : e.remU(low, divisor));
      e.setGpr(Reg.RAX, 64, quotient);
      e.setGpr(Reg.RDX, 64, remainder);
    },
    () => {
      if (e.leavesForHost) {
        e.host("");
        return;
      }
      const { quotient, remainder } = divideWide(e, high, low, divisor, signed);
      e.setGpr(Reg.RAX, 64, quotient);
      e.setGpr(Reg.RDX, 64, remainder);
    },
    true,
  );
}

function increment(step: 1 | -1) {
  return (e: Emitter, dst: Operand) => {
    const a = dst.readForWrite();
    const one = e.constant(e.size, 1);
    const result = e.let(step === 1 ? e.add(a, one) : e.sub(a, one));
    dst.write(result);
    e.flagsStep(e.size, step, a, result);
  };
}

/** ADCX and ADOX: an addition through one flag alone. */
function addThrough(overflow: boolean) {
  return (e: Emitter, dst: Operand, src: Operand) => {
    const a = dst.read();
    const b = src.read();
    const flag = e.let(overflow ? e.of() : e.cf());
    const result = e.let(e.add(e.add(a, b), e.size === 64 ? e.extendU(flag) : flag));
    dst.write(result);
    const carries = e.or(e.and(a, b), e.and(e.or(a, b), e.not(result)));
    const carry = e.let(e.wrap(e.shrU(carries, e.constant(e.size, e.size - 1))));
    if (overflow) e.setCfOfOnly(e.let(e.cf()), carry);
    else e.setCf(carry);
  };
}

export const arithmeticSemantics: SemanticsTable = {
  ADD: (e, dst, src) => {
    const a = dst.readForWrite();
    const b = src.read();
    const result = e.let(e.add(a, b));
    dst.write(result);
    e.flagsAdd(e.size, a, b, result);
  },
  ADC: (e, dst, src) => {
    const a = dst.readForWrite();
    const b = src.read();
    const result = e.let(e.add(e.add(a, b), carryIn(e)));
    dst.write(result);
    e.flagsAdd(e.size, a, b, result, false);
  },
  SUB: (e, dst, src) => {
    const a = dst.readForWrite();
    const b = src.read();
    const result = e.let(e.sub(a, b));
    dst.write(result);
    e.flagsSub(e.size, a, b, result);
  },
  SBB: (e, dst, src) => {
    const a = dst.readForWrite();
    const b = src.read();
    const result = e.let(e.sub(e.sub(a, b), carryIn(e)));
    dst.write(result);
    e.flagsSub(e.size, a, b, result, false);
  },
  CMP: (e, dst, src) => {
    const a = dst.read();
    const b = src.read();
    e.flagsSub(e.size, a, b, e.let(e.sub(a, b)));
  },
  NEG: (e, dst) => {
    const a = dst.readForWrite();
    const zero = e.constant(e.size, 0);
    const result = e.let(e.sub(zero, a));
    dst.write(result);
    e.flagsSub(e.size, zero, a, result);
  },
  INC: increment(1),
  DEC: increment(-1),
  AND: logic((e, a, b) => e.and(a, b)),
  OR: logic((e, a, b) => e.or(a, b)),
  XOR: logic((e, a, b) => e.xor(a, b)),
  TEST: (e, dst, src) => e.flagsLogic(e.size, e.let(e.and(dst.read(), src.read()))),
  NOT: (e, dst) => dst.write(e.not(dst.readForWrite())),
  ADCX: addThrough(false),
  ADOX: addThrough(true),
  MUL: multiplyWide(false),
  IMUL1: multiplyWide(true),
  IMUL2: (e, dst, src) => multiplyLow(e, dst, dst.read(), src.read()),
  IMUL3: (e, dst, src, imm) => multiplyLow(e, dst, src.read(), imm.read()),
  ...vex({
    MULX: (e, high, low, src) => {
      const a = e.gpr(Reg.RDX, e.size);
      const b = src.read();
      if (e.size === 64) {
        const top = multiplyHighUnsigned(e, a, b);
        low.write(e.mul(a, b));
        high.write(top);
        return;
      }
      const product = e.let(e.mul(e.extendU(a), e.extendU(b)));
      low.write(e.wrap(product));
      high.write(e.wrap(e.shrU(product, e.i64(32))));
    },
  }),
  DIV: divide(false),
  IDIV: divide(true),
  DAA: (e) => e.host("daa"),
  DAS: (e) => e.host("das"),
  AAA: (e) => e.host("aaa"),
  AAS: (e) => e.host("aas"),
  AAM: (e, imm) => e.host("aam", imm.read()),
  AAD: (e, imm) => e.host("aad", imm.read()),
};
