// Packed shifts (SDM volume 1, sections 5.4.6 and 5.6.3): counts beyond the lane give 0, or the sign for arithmetic ones.

import type { Emitter, Operand, Semantics, SemanticsTable } from "../../emit/emitter.js";
import type { Value } from "../../wasm/function-builder.js";
import { bytesConstant, half, I8x16, I16x8, I32x4, I64x2, splat, swizzle, V128, v2 } from "../../wasm/simd.js";
import { checkPendingX87, enterMmxState, readAligned, readMmx, writeMmx } from "./registers.js";

/** `count` is an i64 that counts in full. */
function shiftLanes(e: Emitter, opcode: number, bits: number, arithmetic: boolean, a: Value, count: Value): Value {
  const n = e.let(count);
  const beyond = e.gtU(n, e.i64(bits - 1));
  if (arithmetic) return e.op("v128", opcode, [a, e.select(beyond, e.i32(bits - 1), e.wrap(n))]);
  return e.select(beyond, e.v128(0n, 0n), e.op("v128", opcode, [a, e.wrap(n)]));
}

/** Count: an immediate, or the low 64 bits of the source. */
const shift =
  (opcode: number, bits: number, arithmetic = false): Semantics =>
  (e: Emitter, dst: Operand, src: Operand) => {
    if (dst.kind !== "mmx") {
      const count = src.kind === "immediate" ? e.extendU(src.read()) : half(e, readAligned(e, src), 0);
      dst.write(shiftLanes(e, opcode, bits, arithmetic, dst.read(), count));
      return;
    }
    checkPendingX87(e);
    const count = readMmx(e, src);
    const result = e.let(half(e, shiftLanes(e, opcode, bits, arithmetic, splat(e, 64, dst.read()), count), 0));
    enterMmxState(e);
    writeMmx(e, dst, result);
  };

const IOTA = Array.from({ length: 16 }, (_, i) => i);

/** Bytes of `a` moved down by `count` (i32, any unsigned byte), zeros from above; up for a negative direction. */
export function shiftBytes(e: Emitter, a: Value, count: Value, direction: 1 | -1): Value {
  const n = e.let(count);
  if (n.isConst) {
    const by = Math.min(Number(n.constant), 16) * direction;
    const bytes = IOTA.map((i) => (i + by >= 0 && i + by < 16 ? i + by : 16));
    return e.shuffle(a, e.v128(0n, 0n), bytes);
  }
  const limited = e.select(e.gtU(n, e.i32(16)), e.i32(16), n);
  const opcode = direction === 1 ? I8x16.add : I8x16.sub;
  return swizzle(e, a, v2(e, opcode, bytesConstant(e, IOTA), splat(e, 8, limited)));
}

const byteShift =
  (direction: 1 | -1): Semantics =>
  (e, dst, count) =>
    dst.write(shiftBytes(e, dst.read(), count.read(), direction));

/** PALIGNR: bytes [imm, imm + width) of dst:src. */
const alignRight: Semantics = (e, dst, src, imm) => {
  if (dst.kind !== "mmx") {
    const low = readAligned(e, src);
    const count = e.let(imm!.read());
    if (count.isConst) {
      const by = Math.min(Number(count.constant), 32);
      if (by > 16) dst.write(shiftBytes(e, dst.read(), e.i32(by - 16), 1));
      else
        dst.write(
          e.shuffle(
            low,
            dst.read(),
            IOTA.map((i) => i + by),
          ),
        );
      return;
    }
    const below = shiftBytes(e, low, count, 1);
    // Indices count - 16 + i: what is outside 0-15, down or up, gives 0.
    const limited = e.select(e.gtU(count, e.i32(32)), e.i32(32), count);
    const indices = v2(e, I8x16.add, bytesConstant(e, IOTA), splat(e, 8, e.sub(limited, e.i32(16))));
    dst.write(v2(e, V128.or, below, swizzle(e, dst.read(), indices)));
    return;
  }
  checkPendingX87(e);
  const low = readMmx(e, src);
  const both = e.op("v128", I64x2.replace, [splat(e, 64, low), dst.read()], 1);
  const result = e.let(half(e, shiftBytes(e, both, imm!.read(), 1), 0));
  enterMmxState(e);
  writeMmx(e, dst, result);
};

export const packedShiftSemantics: SemanticsTable = {
  PSLLW: shift(I16x8.shl, 16),
  PSLLD: shift(I32x4.shl, 32),
  PSLLQ: shift(I64x2.shl, 64),
  PSRLW: shift(I16x8.shrU, 16),
  PSRLD: shift(I32x4.shrU, 32),
  PSRLQ: shift(I64x2.shrU, 64),
  PSRAW: shift(I16x8.shrS, 16, true),
  PSRAD: shift(I32x4.shrS, 32, true),
  PSRLDQ: byteShift(1),
  PSLLDQ: byteShift(-1),
  PALIGNR: alignRight,
};
