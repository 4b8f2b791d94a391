// Moves between XMM registers, MMX registers, general registers and memory (SDM volume 1, sections 5.4.1, 5.5.1.1, 5.6.1.1,
// 5.6.3), MXCSR and EMMS. Non-temporal stores are stores.

import type { Emitter, FloatBits, Operand, Semantics, SemanticsTable } from "../../emit/emitter.js";
import { Vector } from "../../exit.js";
import * as S from "../../state-layout.js";
import type { Value } from "../../wasm/function-builder.js";
import { half, I8x16, I32x4, I64x2, splat } from "../../wasm/simd.js";
import {
  checkPendingX87,
  enterMmxState,
  loadZeroExtended,
  readAligned,
  readLow,
  readMmx,
  writeAligned,
  writeMmx,
  writeZeroExtended,
} from "./registers.js";

const aligned: Semantics = (e, dst, src) => writeAligned(e, dst, readAligned(e, src));
const unaligned: Semantics = (_e, dst, src) => dst.write(src.read());

/** MOVSS, MOVSD: a load clears the rest of the register, a move between registers keeps it. */
const scalar =
  (bits: FloatBits): Semantics =>
  (e, dst, src) => {
    if (src.kind === "memory") dst.write(loadZeroExtended(e, src, bits));
    else dst.writeFloat(bits, src.readFloat(bits));
  };

/** Between a 64-bit piece of a register at byte `offset` and memory. */
const halfMove =
  (offset: number): Semantics =>
  (_e, dst, src) => {
    if (dst.kind === "memory") dst.write(src.part(offset, 64).read());
    else dst.part(offset, 64).write(src.read());
  };

/** Between a general register or memory of 32 or 64 bits and a vector register. */
const movd: Semantics = (e, dst, src) => {
  if (dst.kind === "xmm") writeZeroExtended(e, dst, src.read());
  else if (dst.kind === "mmx") storeMmx(e, dst, src);
  else if (src.kind === "mmx") storeMmx(e, dst, src);
  else dst.write(readLow(src, dst.size));
};

/** A move that has an MMX register on one side or both. */
function storeMmx(e: Emitter, dst: Operand, src: Operand): void {
  checkPendingX87(e);
  if (dst.kind === "mmx") {
    const value = readMmx(e, src);
    enterMmxState(e);
    writeMmx(e, dst, value);
    return;
  }
  dst.write(dst.size === 32 ? e.wrap(src.read()) : src.read());
  enterMmxState(e);
}

const movq: Semantics = (e, dst, src) => {
  if (dst.kind === "mmx" || src.kind === "mmx") storeMmx(e, dst, src);
  else if (dst.kind === "memory") dst.write(readLow(src, 64));
  else if (src.kind === "memory") dst.write(loadZeroExtended(e, src, 64));
  else writeZeroExtended(e, dst, readLow(src, 64));
};

const signBits =
  (opcode: number): Semantics =>
  (e, dst, src) =>
    dst.write(e.op("i32", opcode, [src.read()]));

const moveByteMask: Semantics = (e, dst, src) => {
  if (src.kind === "xmm") {
    dst.write(e.op("i32", I8x16.bitmask, [src.read()]));
    return;
  }
  checkPendingX87(e);
  const mask = e.op("i32", I8x16.bitmask, [e.op("v128", I64x2.replace, [e.v128(0n, 0n), src.read()], 0)]);
  enterMmxState(e);
  dst.write(mask);
};

/** Linear address of DS:rDI (the segment can be overridden). */
function maskedAddress(e: Emitter, size: number): Value {
  const rdi = e.gpr(S.Reg.RDI, 64);
  const offset = e.addressSize === 64 ? rdi : e.and(rdi, e.i64(e.addressSize === 32 ? 0xffffffff : 0xffff));
  return e.segmentLinear("operand", offset, size, true);
}

/** Eight bytes at `address`: those whose bits in `mask` (i64) are set. All are checked, whatever the mask. */
function storeMasked(e: Emitter, address: Value, data: Value, mask: Value): void {
  e.updateLinear(address, 64, (old) => e.or(e.and(data, mask), e.and(old, e.not(mask))));
}

/** The bytes of dst whose mask byte in src has bit 7 set go to DS:rDI, as two accesses; both are checked before either writes. */
const maskedStore: Semantics = (e, dst, src) => {
  const mask = e.let(e.op("v128", I8x16.shrS, [src.read(), e.i32(7)]));
  const data = dst.read();
  const address = maskedAddress(e, 128);
  e.updateLinear(address, 64, (old) => old);
  for (const part of [1, 0] as const) {
    storeMasked(e, e.add(address, e.i64(8 * part)), e.let(half(e, data, part)), e.let(half(e, mask, part)));
  }
};

/** The same for eight bytes; the MMX state is entered even when they fault. */
const maskedStoreMmx: Semantics = (e, dst, src) => {
  checkPendingX87(e);
  const data = dst.read();
  const mask = e.let(half(e, e.op("v128", I8x16.shrS, [splat(e, 64, src.read()), e.i32(7)]), 0));
  enterMmxState(e);
  storeMasked(e, maskedAddress(e, 64), data, mask);
};

/** Every second lane of `bytes` bytes twice, starting with lane `first`. */
const duplicate =
  (first: number): Semantics =>
  (e, dst, src) => {
    const v = readAligned(e, src);
    const lanes = Array.from({ length: 16 }, (_, i) => (i >> 3) * 8 + first * 4 + (i & 3));
    dst.write(e.shuffle(v, v, lanes));
  };

const loadMxcsr: Semantics = (e, src) => {
  const value = src.read();
  e.raiseIf(e.and(value, e.i32(~0xffff)), Vector.GP, 0);
  e.stateStore("i32", S.MXCSR, value);
};

export const sseMoveSemantics: SemanticsTable = {
  MOVAPS: aligned,
  MOVAPD: aligned,
  MOVDQA: aligned,
  MOVNTPS: aligned,
  MOVNTPD: aligned,
  MOVNTDQ: aligned,
  MOVNTDQA: aligned,
  MOVUPS: unaligned,
  MOVUPD: unaligned,
  MOVDQU: unaligned,
  LDDQU: unaligned,
  MOVSS: scalar(32),
  MOVSD_XMM: scalar(64),
  MOVLPS: halfMove(0),
  MOVLPD: halfMove(0),
  MOVHPS: halfMove(8),
  MOVHPD: halfMove(8),
  MOVHLPS: (_e, dst, src) => dst.part(0, 64).write(src.part(8, 64).read()),
  MOVLHPS: (_e, dst, src) => dst.part(8, 64).write(src.part(0, 64).read()),
  MOVD: movd,
  MOVQ: movq,
  MOVNTQ: movq,
  MOVQ2DQ: (e, dst, src) => {
    checkPendingX87(e);
    const value = src.read();
    enterMmxState(e);
    writeZeroExtended(e, dst, value);
  },
  MOVDQ2Q: (e, dst, src) => {
    checkPendingX87(e);
    const value = src.part(0, 64).read();
    enterMmxState(e);
    writeMmx(e, dst, value);
  },
  MOVMSKPS: signBits(I32x4.bitmask),
  MOVMSKPD: signBits(I64x2.bitmask),
  PMOVMSKB: moveByteMask,
  MASKMOVQ: maskedStoreMmx,
  MASKMOVDQU: maskedStore,
  MOVSLDUP: duplicate(0),
  MOVSHDUP: duplicate(1),
  MOVDDUP: (e, dst, src) => dst.write(splat(e, 64, readLow(src, 64))),
  LDMXCSR: loadMxcsr,
  STMXCSR: (e, dst) => dst.write(e.stateLoad("i32", S.MXCSR)),
  EMMS: (e) => {
    checkPendingX87(e);
    e.stateStore("i32", S.FTOP, e.i32(0));
    e.stateStore("i32", S.FTW, e.i32(0));
  },
};
