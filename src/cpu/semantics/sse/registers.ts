// What bodies on XMM and MMX registers share: operands, alignment, and the MMX state rules (SDM volume 1, 9.5 and 10.4.1).
// Everything is computed on v128; an MMX operand is the low half of one.

import type { Emitter, FloatBits, Operand, Semantics } from "../../emit/emitter.js";
import { Vector } from "../../exit.js";
import * as S from "../../state-layout.js";
import type { Value } from "../../wasm/function-builder.js";
import { fromHalves, half, I64x2, splat, V128 } from "../../wasm/simd.js";

/**
 * Linear address of a 128-bit memory operand; #GP(0) unless it is a multiple of 16, as all must be but those of the unaligned
 * moves. Outside 64-bit mode only the first byte is checked against the segment, because misalignment comes before its limit.
 */
function alignedLinear(e: Emitter, operand: Operand): Value {
  const linear = e.mode === 64 ? operand.linear() : operand.part(0, 8).linear();
  e.requireAligned(linear);
  return linear;
}

/** All 128 bits of an operand; memory must be aligned. */
export function readAligned(e: Emitter, operand: Operand): Value {
  if (operand.kind !== "memory") return operand.read();
  const linear = alignedLinear(e, operand);
  return e.mode === 64 ? e.readLinear(linear, 128) : operand.read();
}

export function writeAligned(e: Emitter, operand: Operand, value: Value): void {
  if (operand.kind !== "memory") {
    operand.write(value);
    return;
  }
  const linear = alignedLinear(e, operand);
  if (e.mode === 64) e.writeLinear(linear, 128, value);
  else operand.write(value);
}

/** The low `bits` (32 or 64) of an XMM register or memory operand, as i32 or i64. */
export function readLow(operand: Operand, bits: number): Value {
  return operand.kind === "memory" && operand.size === bits ? operand.read() : operand.part(0, bits).read();
}

/** Writes `low` (i32 or i64) and clears the rest of an XMM register. */
export function writeZeroExtended(e: Emitter, dst: Operand, low: Value): void {
  dst.write(e.op("v128", I64x2.replace, [e.v128(0n, 0n), e.extendU(low)], 0));
}

/** 32 or 64 bits of memory as the lowest lane of a vector that is otherwise zero. */
export function loadZeroExtended(e: Emitter, src: Operand, bits: FloatBits): Value {
  const place = e.translate(src.linear(), bits, false);
  return e.let(e.op("v128", bits === 64 ? V128.load64Zero : V128.load32Zero, [place.address], 0));
}

/** Before an MMX instruction reads or writes anything: an x87 exception left pending is reported now. */
export function checkPendingX87(e: Emitter): void {
  e.raiseIf(e.and(e.stateLoad("i32", S.FSW), e.i32(0x80)), Vector.MF);
}

/** What every MMX instruction but EMMS leaves behind: TOP = 0, no register empty. After all that can fault. */
export function enterMmxState(e: Emitter): void {
  e.stateStore("i32", S.FTOP, e.i32(0));
  e.stateStore("i32", S.FTW, e.i32(0xff));
}

/** Writes an MMX register (i64): the aliased x87 register's sign and exponent become ones. */
export function writeMmx(e: Emitter, dst: Operand, value: Value): void {
  dst.write(value);
  dst.part(8, 16).write(e.i32(0xffff));
}

/** An MMX source (mm/m64, mm/m32) as i64. */
export function readMmx(e: Emitter, src: Operand): Value {
  return e.extendU(src.read());
}

export type PackedFunction = (e: Emitter, a: Value, b: Value) => Value;

/** How an MMX operation is made from one on v128 operands. */
export type MmxForm =
  /** Low half of f(a, b). */
  | "low"
  /** High half of f(a, b). */
  | "high"
  /** Low half of f(ab, ab), where ab has a in its low and b in its high half: for packs and horizontal operations. */
  | "joined";

/** A two-operand instruction of both register files: XMM by `wide`, MMX by `narrow` (if different) in the given way. */
export function packed(wide: PackedFunction, mmx: MmxForm = "low", narrow: PackedFunction = wide): Semantics {
  return (e, dst, src) => {
    if (dst.kind !== "mmx") {
      const b = readAligned(e, src);
      dst.write(wide(e, dst.read(), b));
      return;
    }
    mmxResult(e, dst, src, (a, b) => {
      if (mmx === "joined") {
        const joined = e.let(fromHalves(e, a, b));
        return half(e, narrow(e, joined, joined), 0);
      }
      return half(e, narrow(e, splat(e, 64, a), splat(e, 64, b)), mmx === "high" ? 1 : 0);
    });
  };
}

/** An MMX instruction with destination and source: `f` gets and gives i64. */
export function mmxResult(e: Emitter, dst: Operand, src: Operand, f: (a: Value, b: Value) => Value): void {
  checkPendingX87(e);
  const b = e.let(readMmx(e, src));
  const result = e.let(f(dst.read(), b));
  enterMmxState(e);
  writeMmx(e, dst, result);
}
