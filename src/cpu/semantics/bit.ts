// Bit instructions: BT family, scans, counts, BMI1, BMI2, CRC32. SDM volume 2.

import type { Emitter, Operand, SemanticsTable } from "../emit/emitter.js";
import type { Value } from "../wasm/function-builder.js";
import { vex } from "./vex.js";

type Change = (e: Emitter, old: Value, mask: Value) => Value;

function bitTest(change?: Change) {
  return (e: Emitter, dst: Operand, src: Operand) => {
    const { size } = e;
    const one = e.constant(size, 1);
    const cfOf = (value: Value, index: Value) => e.let(e.and(e.wrap(e.shrU(value, index)), e.i32(1)));
    if (dst.kind === "memory" && src.kind === "register") {
      // A register index reaches beyond the operand: bit string addressing, SDM 3.1.1.9.
      const index = e.let(e.resizeSigned(src.read(), size, 64));
      const step = e.shl(
        e.shrS(index, e.i64(size === 16 ? 4 : size === 32 ? 5 : 6)),
        e.i64(size === 16 ? 1 : size === 32 ? 2 : 3),
      );
      const offset = e.add(dst.address(), step);
      const masked = e.addressSize === 64 ? offset : e.and(offset, e.i64(e.addressSize === 32 ? 0xffffffff : 0xffff));
      const linear = e.segmentLinear("operand", masked, size, change !== undefined);
      const within = e.let(e.size === 64 ? e.and(index, e.i64(63)) : e.and(e.wrap(index), e.i32(size - 1)));
      let cf: Value;
      if (change) {
        cf = one;
        e.updateLinear(linear, size, (old) => {
          cf = cfOf(old, within);
          return change(e, old, e.shl(one, within));
        });
      } else cf = cfOf(e.readLinear(linear, size), within);
      e.setCf(cf);
      return;
    }
    const value = change ? dst.readForWrite() : dst.read();
    const index = e.let(e.and(e.resize(src.read(), src.size, size), e.constant(size, size - 1)));
    const cf = cfOf(value, index);
    if (change) dst.write(change(e, value, e.shl(one, index)));
    e.setCf(cf);
  };
}

/** BSF and BSR: with a zero source ZF is set and processors leave the destination alone. */
function scan(find: (e: Emitter, value: Value) => Value) {
  return (e: Emitter, dst: Operand, src: Operand) => {
    const value = src.read();
    e.if(value.type === "i64" ? e.ne(value, e.i64(0)) : value, () => dst.write(find(e, value)));
    e.flagsLogic(e.size, value);
  };
}

/** TZCNT and LZCNT: CF = the source is zero, ZF = the result is zero. */
function countZeros(count: (e: Emitter, value: Value) => Value) {
  return (e: Emitter, dst: Operand, src: Operand) => {
    const value = src.read();
    const result = e.let(count(e, value));
    dst.write(result);
    e.flagsShift(e.size, result, e.eqz(value), e.i32(0));
  };
}

/** BLSR, BLSMSK, BLSI: CF by the source, ZF and SF by the result. */
function lowestBit(combine: (e: Emitter, value: Value) => Value, cf: (e: Emitter, value: Value) => Value) {
  return (e: Emitter, dst: Operand, src: Operand) => {
    const value = src.read();
    const result = e.let(combine(e, value));
    dst.write(result);
    e.flagsShift(e.size, result, cf(e, value), e.i32(0));
  };
}

const minusOne = (e: Emitter, v: Value) => e.sub(v, e.constant(e.size, 1));
const isZero = (e: Emitter, v: Value) => e.eqz(v);
const isNotZero = (e: Emitter, v: Value) => e.xor(e.eqz(v), e.i32(1));

/** PDEP and PEXT walk the set bits of the mask. */
function bitsThroughMask(deposit: boolean) {
  return (e: Emitter, dst: Operand, src: Operand, maskOperand: Operand) => {
    const { size } = e;
    const one = e.constant(size, 1);
    const source = e.mutable(src.read());
    const mask = e.mutable(maskOperand.read());
    const result = e.mutable(e.constant(size, 0));
    const position = e.mutable(one);
    e.block((end) => {
      e.loop((again) => {
        e.brIf(end, e.eqz(e.get(mask)));
        const lowest = e.let(e.and(e.get(mask), e.neg(e.get(mask))));
        if (deposit) {
          e.if(e.wrap(e.and(e.get(source), one)), () => e.set(result, e.or(e.get(result), lowest)));
          e.set(source, e.shrU(e.get(source), one));
        } else {
          e.if(e.xor(e.eqz(e.and(e.get(source), lowest)), e.i32(1)), () =>
            e.set(result, e.or(e.get(result), e.get(position))),
          );
          e.set(position, e.shl(e.get(position), one));
        }
        e.set(mask, e.xor(e.get(mask), lowest));
        e.br(again);
      });
    });
    dst.write(e.get(result));
  };
}

/** One byte of CRC-32C (polynomial 1EDC6F41, bit-reflected 82F63B78). */
function crcByte(e: Emitter, crc: Value, byte: Value): Value {
  let value = e.let(e.xor(crc, byte));
  for (let i = 0; i < 8; i++) {
    const lsb = e.and(value, e.i32(1));
    value = e.let(e.xor(e.shrU(value, e.i32(1)), e.and(e.neg(lsb), e.i32(0x82f63b78))));
  }
  return value;
}

export const bitSemantics: SemanticsTable = {
  BT: bitTest(),
  BTS: bitTest((e, old, mask) => e.or(old, mask)),
  BTR: bitTest((e, old, mask) => e.and(old, e.not(mask))),
  BTC: bitTest((e, old, mask) => e.xor(old, mask)),
  BSF: scan((e, v) => e.ctz(v)),
  BSR: scan((e, v) => e.sub(e.constant(v.type === "i64" ? 64 : 32, v.type === "i64" ? 63 : 31), e.clz(v))),
  TZCNT: countZeros((e, v) => (e.size === 16 ? e.ctz(e.or(v, e.i32(0x10000))) : e.ctz(v))),
  LZCNT: countZeros((e, v) => (e.size === 16 ? e.sub(e.clz(v), e.i32(16)) : e.clz(v))),
  POPCNT: (e, dst, src) => {
    const value = src.read();
    dst.write(e.popcnt(value));
    // All flags but ZF are cleared, PF too.
    e.setStatusFlags(e.shl(e.eqz(value), e.i32(6)));
  },
  ...vex({
    ANDN: (e, dst, inverted, src) => {
      const result = e.let(e.and(e.not(inverted.read()), src.read()));
      dst.write(result);
      e.flagsLogic(e.size, result);
    },
    BLSR: lowestBit((e, v) => e.and(minusOne(e, v), v), isZero),
    BLSMSK: lowestBit((e, v) => e.xor(minusOne(e, v), v), isZero),
    BLSI: lowestBit((e, v) => e.and(e.neg(v), v), isNotZero),
    BEXTR: (e, dst, src, control) => {
      const value = src.read();
      const c = control.read();
      const start = e.let(e.and(c, e.constant(e.size, 0xff)));
      const length = e.let(e.and(e.shrU(c, e.constant(e.size, 8)), e.constant(e.size, 0xff)));
      const limit = e.constant(e.size, e.size);
      const shifted = e.select(e.ltU(start, limit), e.shrU(value, start), e.constant(e.size, 0));
      const mask = e.select(
        e.ltU(length, limit),
        minusOne(e, e.shl(e.constant(e.size, 1), length)),
        e.constant(e.size, -1),
      );
      const result = e.let(e.and(shifted, mask));
      dst.write(result);
      e.flagsLogic(e.size, result);
    },
    BZHI: (e, dst, src, control) => {
      const value = src.read();
      const index = e.let(e.and(control.read(), e.constant(e.size, 0xff)));
      const inside = e.let(e.ltU(index, e.constant(e.size, e.size)));
      const masked = e.and(value, minusOne(e, e.shl(e.constant(e.size, 1), index)));
      const result = e.let(e.select(inside, masked, value));
      dst.write(result);
      e.flagsShift(e.size, result, e.eqz(inside), e.i32(0));
    },
    PDEP: bitsThroughMask(true),
    PEXT: bitsThroughMask(false),
  }),
  CRC32: (e, dst, src) => {
    const value = src.read();
    let crc = e.let(e.wrap(dst.read()));
    for (let byte = 0; byte < src.size / 8; byte++) {
      const part = src.size === 64 ? e.wrap(e.shrU(value, e.i64(8 * byte))) : e.shrU(value, e.i32(8 * byte));
      crc = crcByte(e, crc, e.and(part, e.i32(0xff)));
    }
    dst.write(e.resize(crc, 32, dst.size));
  },
};
