// Data movement: MOV, extensions, LEA, BSWAP, exchange, conditional moves. SDM volume 2.

import type { Emitter, Operand, SemanticsTable } from "../emit/emitter.js";
import { ExitKind } from "../exit.js";
import { CONDITIONS } from "../isa/families.js";
import * as S from "../state-layout.js";
import { Reg } from "../state-layout.js";
import type { Value } from "../wasm/function-builder.js";

export function forEachCondition(make: (condition: number) => SemanticsTable[string], prefix: string): SemanticsTable {
  return Object.fromEntries(CONDITIONS.map((name, code) => [`${prefix}${name}`, make(code)]));
}

const move = (_e: Emitter, dst: Operand, src: Operand) => dst.write(src.read());

/** Reverses the bytes of a value of `size` bits. */
export function byteSwap(e: Emitter, value: Value, size: number): Value {
  if (size === 16) return e.or(e.shl(e.and(value, e.i32(0xff)), e.i32(8)), e.and(e.shrU(value, e.i32(8)), e.i32(0xff)));
  if (size === 32) {
    const v = e.let(value);
    return e.or(e.and(e.rotl(v, e.i32(8)), e.i32(0x00ff00ff)), e.and(e.rotr(v, e.i32(8)), e.i32(0xff00ff00)));
  }
  const v = e.let(value);
  const low = e.extendU(byteSwap(e, e.wrap(v), 32));
  const high = e.extendU(byteSwap(e, e.wrap(e.shrU(v, e.i64(32))), 32));
  return e.or(e.shl(low, e.i64(32)), high);
}

export const moveSemantics: SemanticsTable = {
  MOV: move,
  MOVNTI: move,
  MOVZX: (e, dst, src) => dst.write(e.resize(src.read(), src.size, dst.size)),
  MOVSX: (e, dst, src) => dst.write(e.resizeSigned(src.read(), src.size, dst.size)),
  MOVSXD: (e, dst, src) => {
    // With a 16-bit operand size it's a MOV, yet 32 bits of memory are read.
    if (dst.size === 16) dst.write(src.kind === "memory" ? src.part(0, 32).read() : src.read());
    else dst.write(e.resizeSigned(src.read(), src.size, dst.size));
  },
  MOVBE: (e, dst, src) => dst.write(byteSwap(e, src.read(), e.size)),
  BSWAP: (e, dst) => {
    // With a 16-bit operand size the result is undefined; processors store zero.
    dst.write(e.size === 16 ? e.i32(0) : byteSwap(e, dst.read(), e.size));
  },
  LEA: (e, dst, src) => dst.write(e.size === 64 ? src.address() : e.wrap(src.address())),
  XCHG: (_e, dst, src) => {
    const old = dst.readForWrite();
    const value = src.read();
    dst.write(value);
    src.write(old);
  },
  XLAT: (e) => {
    const offset = e.add(e.gpr(Reg.RBX, 64), e.extendU(e.gpr(Reg.RAX, 8)));
    const masked = e.addressSize === 64 ? offset : e.and(offset, e.i64(e.addressSize === 32 ? 0xffffffff : 0xffff));
    e.setGpr(Reg.RAX, 8, e.readLinear(e.segmentLinear("operand", masked, 8, false), 8));
  },
  CBW: (e) => e.setGpr(Reg.RAX, 16, e.resizeSigned(e.gpr(Reg.RAX, 8), 8, 16)),
  CWDE: (e) => e.setGpr(Reg.RAX, 32, e.resizeSigned(e.gpr(Reg.RAX, 16), 16, 32)),
  CDQE: (e) => e.setGpr(Reg.RAX, 64, e.resizeSigned(e.gpr(Reg.RAX, 32), 32, 64)),
  CWD: (e) => e.setGpr(Reg.RDX, 16, e.shrS(e.signExtend(e.gpr(Reg.RAX, 16), 16), e.i32(15))),
  CDQ: (e) => e.setGpr(Reg.RDX, 32, e.shrS(e.gpr(Reg.RAX, 32), e.i32(31))),
  CQO: (e) => e.setGpr(Reg.RDX, 64, e.shrS(e.gpr(Reg.RAX, 64), e.i64(63))),
  NOP: () => {},
  PAUSE: (e) => {
    const left = e.let(e.sub(e.stateLoad("i32", S.PAUSES_LEFT), e.i32(1)));
    e.stateStore("i32", S.PAUSES_LEFT, left);
    e.if(e.eqz(left), () => e.exit(ExitKind.Pause));
  },
  LFENCE: () => {},
  MFENCE: () => {},
  SFENCE: () => {},
  // Decoded code is always what memory holds, and stores are visible at once.
  SERIALIZE: () => {},
  ...forEachCondition(
    (condition) => (e, dst, src) => {
      // The source is read, and may fault, whatever the condition; a 32-bit destination is zero-extended in both cases.
      const value = src.read();
      dst.write(e.select(e.condition(condition), value, dst.read()));
    },
    "CMOV",
  ),
  ...forEachCondition((condition) => (e, dst) => dst.write(e.condition(condition)), "SET"),
  CMPXCHG: (e, dst, src) => {
    const old = dst.readForWrite();
    const accumulator = e.gpr(Reg.RAX, e.size);
    const result = e.let(e.sub(accumulator, old));
    const equal = e.let(e.eq(accumulator, old));
    const value = src.read();
    // Memory is always written, with the old value when unequal.
    dst.write(e.select(equal, value, old));
    e.if(e.eqz(equal), () => e.setGpr(Reg.RAX, e.size, old));
    e.flagsSub(e.size, accumulator, old, result);
  },
  CMPXCHG8B: (e, dst) => {
    const old = dst.readForWrite();
    const pair = (high: number, low: number) =>
      e.or(e.shl(e.extendU(e.gpr(high, 32)), e.i64(32)), e.extendU(e.gpr(low, 32)));
    const equal = e.let(e.eq(old, e.let(pair(Reg.RDX, Reg.RAX))));
    dst.write(e.select(equal, pair(Reg.RCX, Reg.RBX), old));
    e.if(e.eqz(equal), () => {
      e.setGpr(Reg.RAX, 32, e.wrap(old));
      e.setGpr(Reg.RDX, 32, e.wrap(e.shrU(old, e.i64(32))));
    });
    setZf(e, equal);
  },
  CMPXCHG16B: (e, dst) => {
    const linear = e.let(dst.linear());
    e.raiseIf(e.wrap(e.and(linear, e.i64(15))), 13, 0);
    // Aligned, so that both halves are on one page. Memory is always written, with the old value when unequal.
    const [low, high] = [dst.part(0, 64), dst.part(8, 64)];
    const [oldLow, oldHigh] = [low.readForWrite(), high.readForWrite()];
    const equal = e.let(e.and(e.eq(oldLow, e.gpr(Reg.RAX, 64)), e.eq(oldHigh, e.gpr(Reg.RDX, 64))));
    low.write(e.select(equal, e.gpr(Reg.RBX, 64), oldLow));
    high.write(e.select(equal, e.gpr(Reg.RCX, 64), oldHigh));
    e.if(e.eqz(equal), () => {
      e.setGpr(Reg.RAX, 64, oldLow);
      e.setGpr(Reg.RDX, 64, oldHigh);
    });
    setZf(e, equal);
  },
  XADD: (e, dst, src) => {
    const a = dst.readForWrite();
    const b = src.read();
    const result = e.let(e.add(a, b));
    src.write(a);
    dst.write(result);
    e.flagsAdd(e.size, a, b, result);
  },
};

/** Changes ZF alone. */
function setZf(e: Emitter, zf: Value): void {
  const others = e.and(e.statusFlags(), e.i32(~0x40));
  e.setStatusFlags(e.or(others, e.shl(zf, e.i32(6))));
}
