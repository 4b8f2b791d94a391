// Shuffles and blends by an immediate, insertion and extraction of elements, sign and zero extension (SDM volume 1, sections
// 5.4.5, 5.5.1.6, 5.6.3, 5.10). Immediates are constants in compiled regions: one shuffle or lane operation each. The
// interpreter's come from the record: selectors become index vectors for swizzle.

import type { Emitter, Operand, Semantics, SemanticsTable } from "../../emit/emitter.js";
import type { Value } from "../../wasm/function-builder.js";
import {
  bytesConstant,
  half,
  I8x16,
  I16x8,
  I32x4,
  I64x2,
  splat,
  splatConstant,
  swizzle,
  V128,
  v1,
  v2,
} from "../../wasm/simd.js";
import { checkPendingX87, enterMmxState, mmxResult, readAligned } from "./registers.js";

/** Byte indices for a shuffle, by four 2-bit selectors: of units of so many bytes, beginning with byte `first`. */
function chosen(imm: Value, bytes: number, first = 0): number[] {
  const n = Number(imm.constant);
  return Array.from({ length: 4 * bytes }, (_, i) => {
    const unit = (n >> (2 * Math.floor(i / bytes))) & 3;
    return first + unit * bytes + (i % bytes);
  });
}

/** The four 2-bit selectors of an immediate, one in each byte. */
function selectors(e: Emitter, imm: Value): Value {
  const n = e.let(imm);
  const field = (shift: number, mask: number) => e.and(e.shl(n, e.i32(shift)), e.i32(mask));
  return e.or(e.or(e.and(n, e.i32(3)), field(6, 0x300)), e.or(field(12, 0x30000), field(18, 0x3000000)));
}

/** Byte indices for swizzle that choose dwords by four selectors. */
function dwordIndices(e: Emitter, imm: Value): Value {
  const spread = swizzle(
    e,
    splat(e, 32, selectors(e, imm)),
    bytesConstant(e, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]),
  );
  const scaled = e.op("v128", I8x16.shl, [spread, e.i32(2)]);
  return v2(e, V128.or, scaled, bytesConstant(e, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]));
}

/** The low four words of `v` chosen by four selectors, in both halves. */
function words(e: Emitter, v: Value, imm: Value): Value {
  const spread = swizzle(
    e,
    splat(e, 32, selectors(e, imm)),
    bytesConstant(e, [0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 1, 1, 2, 2, 3, 3]),
  );
  const scaled = e.op("v128", I8x16.shl, [spread, e.i32(1)]);
  return swizzle(e, v, v2(e, V128.or, scaled, splatConstant(e, 16, 0x0100n)));
}

const LOW_BYTES = [0, 1, 2, 3, 4, 5, 6, 7];
const HIGH_BYTES = LOW_BYTES.map((at) => at + 8);
const LOW_HIGH = [0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31];
const HIGH_TWICE = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];

const shuffleDwords: Semantics = (e, dst, src, imm) => {
  const v = readAligned(e, src);
  const n = imm!.read();
  dst.write(n.isConst ? e.shuffle(v, v, chosen(n, 4)) : swizzle(e, v, dwordIndices(e, n)));
};
const shuffleLowWords: Semantics = (e, dst, src, imm) => {
  const v = readAligned(e, src);
  const n = imm!.read();
  if (n.isConst) dst.write(e.shuffle(v, v, [...chosen(n, 2), ...HIGH_BYTES]));
  else dst.write(e.shuffle(words(e, v, n), v, LOW_HIGH));
};
const shuffleHighWords: Semantics = (e, dst, src, imm) => {
  const v = readAligned(e, src);
  const n = imm!.read();
  if (n.isConst) dst.write(e.shuffle(v, v, [...LOW_BYTES, ...chosen(n, 2, 8)]));
  else dst.write(e.shuffle(v, words(e, e.shuffle(v, v, HIGH_TWICE), n), LOW_HIGH));
};
const shuffleSingles: Semantics = (e, dst, src, imm) => {
  const b = readAligned(e, src);
  const n = imm!.read();
  if (n.isConst) {
    dst.write(e.shuffle(dst.read(), b, [...chosen(n, 4).slice(0, 8), ...chosen(n, 4, 16).slice(8)]));
    return;
  }
  const indices = e.let(dwordIndices(e, n));
  dst.write(e.shuffle(swizzle(e, dst.read(), indices), swizzle(e, b, indices), LOW_HIGH));
};
const shuffleDoubles: Semantics = (e, dst, src, imm) => {
  const b = readAligned(e, src);
  const a = dst.read();
  const n = imm!.read();
  if (n.isConst) {
    const bits = Number(n.constant);
    const [low, high] = [bits & 1 ? HIGH_BYTES : LOW_BYTES, bits & 2 ? HIGH_BYTES : LOW_BYTES];
    dst.write(e.shuffle(a, b, [...low, ...high.map((at) => at + 16)]));
    return;
  }
  const pick = (v: Value, bit: number) => e.select(e.and(n, e.i32(bit)), half(e, v, 1), half(e, v, 0));
  dst.write(e.op("v128", I64x2.replace, [splat(e, 64, pick(a, 1)), pick(b, 2)], 1));
};

/** All ones in the lanes of `bits` whose bit is set in an immediate; bits repeat after 8 lanes. */
export function laneMask(e: Emitter, bits: number, imm: Value): Value {
  const lane = { 16: I16x8, 32: I32x4, 64: I64x2 }[bits]!;
  const places = Array.from({ length: 16 }, (_, i) => (i % (bits / 8) === 0 ? 1 << Math.floor(i / (bits / 8)) : 0));
  const constant = bytesConstant(e, places);
  const chosen = v2(e, V128.and, splat(e, bits, bits === 64 ? e.extendU(imm) : imm), constant);
  return v2(e, lane.eq, chosen, constant);
}

const blend =
  (bits: number): Semantics =>
  (e, dst, src, imm) => {
    const b = readAligned(e, src);
    const n = imm!.read();
    if (n.isConst) {
      const fromB = (byte: number) => (Number(n.constant) >> (Math.floor(byte / (bits / 8)) & 7)) & 1;
      const bytes = Array.from({ length: 16 }, (_, i) => (fromB(i) ? i + 16 : i));
      dst.write(e.shuffle(dst.read(), b, bytes));
    } else dst.write(e.op("v128", V128.bitselect, [b, dst.read(), laneMask(e, bits, n)]));
  };

/** Lanes of src where the sign bit of XMM0's lane is set. `opcode`: arithmetic shift right of the lane. */
const variableBlend =
  (bits: number, opcode: number): Semantics =>
  (e, dst, src, selector) => {
    const b = readAligned(e, src);
    const mask = e.op("v128", opcode, [selector!.read(), e.i32(bits - 1)]);
    dst.write(e.op("v128", V128.bitselect, [b, dst.read(), mask]));
  };

/** By a lane's size: its operations; what is narrower than 32 bits is extended with zeros. */
const lanes: Readonly<Record<number, { replace: number; extract: number }>> = {
  8: { replace: I8x16.replace, extract: I8x16.extractU },
  16: { replace: I16x8.replace, extract: I16x8.extractU },
  32: I32x4,
  64: I64x2,
};

/** `v` with its lane of `bits` number imm (taken modulo the number of lanes) replaced by `value`. */
function insertLane(e: Emitter, v: Value, bits: number, imm: Value, value: Value): Value {
  const bytes = bits / 8;
  if (imm.isConst) return e.op("v128", lanes[bits]!.replace, [v, value], Number(imm.constant) & (16 / bytes - 1));
  const indices = bytesConstant(
    e,
    Array.from({ length: 16 }, (_, i) => Math.floor(i / bytes)),
  );
  const mask = v2(e, I8x16.eq, indices, splat(e, 8, e.and(imm, e.i32(16 / bytes - 1))));
  return e.op("v128", V128.bitselect, [splat(e, bits, value), v, mask]);
}

/** Lane of `bits` number imm (modulo the number of lanes) as i32, or i64 for 64 bits. */
function extractLane(e: Emitter, v: Value, bits: number, imm: Value): Value {
  const bytes = bits / 8;
  if (imm.isConst) {
    const lane = Number(imm.constant) & (16 / bytes - 1);
    return e.op(bits === 64 ? "i64" : "i32", lanes[bits]!.extract, [v], lane);
  }
  const first = e.shl(e.and(imm, e.i32(16 / bytes - 1)), e.i32(Math.log2(bytes)));
  const indices = v2(
    e,
    I8x16.add,
    splat(e, 8, first),
    bytesConstant(
      e,
      Array.from({ length: 16 }, (_, i) => i),
    ),
  );
  const moved = swizzle(e, v, indices);
  if (bits === 64) return half(e, moved, 0);
  return e.zeroExtend(e.op("i32", I32x4.extract, [moved], 0), bits);
}

const insert =
  (bits: number): Semantics =>
  (e, dst, src, imm) => {
    if (dst.kind === "mmx") {
      insertWordMmx(e, dst, src, imm!);
      return;
    }
    const value = src.read();
    dst.write(insertLane(e, dst.read(), bits, imm!.read(), value));
  };

/** PINSRW and PEXTRW of an MMX register: shifts do. */
function insertWordMmx(e: Emitter, dst: Operand, src: Operand, imm: Operand): void {
  mmxResult(e, dst, src, (a, b) => {
    const place = e.let(e.extendU(e.shl(e.and(imm.read(), e.i32(3)), e.i32(4))));
    const mask = e.shl(e.i64(0xffff), place);
    return e.or(e.and(a, e.not(mask)), e.shl(e.and(b, e.i64(0xffff)), place));
  });
}

const extract =
  (bits: number): Semantics =>
  (e, dst, src, imm) => {
    if (src.kind !== "mmx") {
      dst.write(extractLane(e, src.read(), bits, imm!.read()));
      return;
    }
    checkPendingX87(e);
    const place = e.extendU(e.shl(e.and(imm!.read(), e.i32(3)), e.i32(4)));
    const word = e.let(e.wrap(e.and(e.shrU(src.read(), place), e.i64(0xffff))));
    enterMmxState(e);
    dst.write(word);
  };

/** Imm: bits 7-6 source lane (of a register source), 5-4 destination lane, 3-0 lanes to clear. */
const insertSingle: Semantics = (e, dst, src, imm) => {
  const n = imm!.read();
  const lane = () => e.shrU(n, e.i32(6));
  const value = src.kind === "memory" ? src.read() : e.let(extractLane(e, src.read(), 32, lane()));
  const inserted = insertLane(e, dst.read(), 32, e.shrU(n, e.i32(4)), value);
  const clears = !n.isConst || (n.constant & 15n) !== 0n;
  dst.write(clears ? v2(e, V128.andNot, inserted, laneMask(e, 32, n)) : inserted);
};

/** The low elements of the source widened by one or more steps of doubling. */
const extend =
  (bits: number, ...steps: number[]): Semantics =>
  (e, dst, src) => {
    const wide = src.kind === "memory" ? splat(e, Math.max(bits, 32), src.read()) : src.read();
    dst.write(steps.reduce((v, opcode) => v1(e, opcode, v), wide));
  };

const signed = [I16x8.extendLowS, I32x4.extendLowS, I64x2.extendLowS] as const;
const unsigned = [I16x8.extendLowU, I32x4.extendLowU, I64x2.extendLowU] as const;

function extendTable(name: string, [bw, wd, dq]: readonly [number, number, number]): SemanticsTable {
  return {
    [`${name}BW`]: extend(64, bw),
    [`${name}BD`]: extend(32, bw, wd),
    [`${name}BQ`]: extend(16, bw, wd, dq),
    [`${name}WD`]: extend(64, wd),
    [`${name}WQ`]: extend(32, wd, dq),
    [`${name}DQ`]: extend(64, dq),
  };
}

/** MPSADBW: eight sums of four absolute differences, of a block of src (imm 1-0) against windows of dst (imm 2). */
const multipleSums: Semantics = (e, dst, src, imm) => {
  const b = readAligned(e, src);
  const a = dst.read();
  const n = imm!.read();
  const block = e.let(e.shl(e.and(n, e.i32(3)), e.i32(2)));
  const window = e.let(e.and(n, e.i32(4)));
  const iota = bytesConstant(
    e,
    Array.from({ length: 16 }, (_, i) => i),
  );
  let sum: Value | undefined;
  for (let k = 0; k < 4; k++) {
    const moving = swizzle(e, a, v2(e, I8x16.add, iota, splat(e, 8, e.add(window, e.i32(k)))));
    const fixed = swizzle(e, b, splat(e, 8, e.add(block, e.i32(k))));
    const difference = v2(e, I16x8.sub, v1(e, I16x8.extendLowU, moving), v1(e, I16x8.extendLowU, fixed));
    const absolute = v1(e, I16x8.abs, difference);
    sum = sum ? v2(e, I16x8.add, sum, absolute) : absolute;
  }
  dst.write(sum!);
};

export const shuffleSemantics: SemanticsTable = {
  PSHUFD: shuffleDwords,
  PSHUFLW: shuffleLowWords,
  PSHUFHW: shuffleHighWords,
  PSHUFW: (e, dst, src, imm) => {
    mmxResult(e, dst, src, (_a, b) => half(e, words(e, splat(e, 64, b), imm!.read()), 0));
  },
  SHUFPS: shuffleSingles,
  SHUFPD: shuffleDoubles,
  BLENDPS: blend(32),
  BLENDPD: blend(64),
  PBLENDW: blend(16),
  PBLENDVB: variableBlend(8, I8x16.shrS),
  BLENDVPS: variableBlend(32, I32x4.shrS),
  BLENDVPD: variableBlend(64, I64x2.shrS),
  PINSRB: insert(8),
  PINSRW: insert(16),
  PINSRD: insert(32),
  PINSRQ: insert(64),
  PEXTRB: extract(8),
  PEXTRW: extract(16),
  PEXTRD: extract(32),
  PEXTRQ: extract(64),
  EXTRACTPS: extract(32),
  INSERTPS: insertSingle,
  MPSADBW: multipleSums,
  ...extendTable("PMOVSX", signed),
  ...extendTable("PMOVZX", unsigned),
};
