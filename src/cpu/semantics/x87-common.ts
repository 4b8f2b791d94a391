// What x87 bodies share: the checks before an instruction (SDM volume 1, 8.7; volume 3A, 2.5) and addressing of operands that
// are larger than a register.

import type { Emitter, Operand } from "../emit/emitter.js";
import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import type { Value } from "../wasm/function-builder.js";

/** #NM when CR0.TS or CR0.EM is set: comes before everything else. */
export function needsUnit(e: Emitter): void {
  e.raiseIf(e.stateLoad("i32", S.FPU_TRAP), Vector.NM);
}

/** Waiting instructions also report an exception that an earlier one left pending: #MF when ES is set. */
export function waits(e: Emitter): void {
  needsUnit(e);
  e.raiseIf(e.and(e.stateLoad("i32", S.FSW), e.i32(0x80)), Vector.MF);
}

/** The longest access that one segment check takes. */
const CHECK_BYTES = 248;

/** An access from here raises #SS or #GP by segment, which host operations can't tell. */
function checkCanonical(e: Emitter, linear: Value): void {
  const canonical = e.eq(e.shrS(e.shl(linear, e.i64(16)), e.i64(16)), linear);
  e.if(e.eqz(canonical), () => e.readLinear(linear, 8));
}

/** Linear address (i64) of a memory operand of `bytes` bytes, all of it checked against the segment. */
export function areaLinear(e: Emitter, area: Operand, bytes: number, write: boolean): Value {
  if (e.mode === 64) {
    const linear = e.let(area.linear());
    checkCanonical(e, linear);
    return linear;
  }
  const offset = area.address();
  for (let at = CHECK_BYTES; at < bytes; at += CHECK_BYTES) {
    const piece = Math.min(bytes - at, CHECK_BYTES);
    e.segmentLinear("operand", e.let(e.add(offset, e.i64(at))), 8 * piece, write);
  }
  return e.segmentLinear("operand", offset, 8 * Math.min(bytes, CHECK_BYTES), write);
}

/**
 * The same of an area that must be aligned, which host operations check: misalignment comes before the segment's limit, whose check
 * is of the first byte alone then. `lastFirst`: the processor begins with the last byte.
 */
export function alignedAreaLinear(
  e: Emitter,
  area: Operand,
  bytes: number,
  write: boolean,
  alignment: number,
  lastFirst: boolean,
): Value {
  const first = e.mode === 64 ? areaLinear(e, area, 1, write) : e.segmentLinear("operand", area.address(), 8, write);
  e.if(e.eqz(e.and(e.wrap(first), e.i32(alignment - 1))), () => {
    if (e.mode !== 64) areaLinear(e, area, bytes, write);
    else if (lastFirst) checkCanonical(e, e.let(e.add(first, e.i64(bytes - 1))));
  });
  return first;
}

/**
 * Error pointers of a non-control instruction: FIP and its selector, and the operand's address when it has one. Call it
 * when nothing can fault any more. The data selector isn't kept.
 */
export function pointers(e: Emitter, memory?: Operand): void {
  e.stateStore("i64", S.FIP, e.currentRip());
  e.stateStore("i32", S.FIP_SEL, e.stateLoad("i32", S.SEG_SELECTOR + 4 * S.Seg.CS));
  if (!memory) return;
  e.stateStore("i64", S.FDP, memory.address());
  e.stateStore("i32", S.FDP_SEL, e.i32(0));
}

/** A physical register in generated code; it is ST(index) at the time this was made. */
export interface Slot {
  /** 1 when it isn't empty (i32). */
  readonly occupied: Value;
  readonly significand: Value;
  /** Sign and exponent (i32). */
  readonly exponent: Value;
  /** Writes the register and marks it occupied. `exponent` is an i32 of 16 bits. */
  write(significand: Value, exponent: Value): void;
  free(): void;
  /** Makes it ST(0). */
  top(): void;
}

/** ST(index), index -1 to 7 (-1 is where the next push goes). The vCPU struct is every generated function's first parameter. */
export function stack(e: Emitter, index: number | Value): Slot {
  const offset = typeof index === "number" ? e.i32(index) : index;
  const number = e.let(e.and(e.add(e.stateLoad("i32", S.FTOP), offset), e.i32(7)));
  const address = () => e.add(e.param(0), e.shl(number, e.i32(4)));
  const bit = () => e.shl(e.i32(1), number);
  return {
    occupied: e.let(e.and(e.shrU(e.stateLoad("i32", S.FTW), number), e.i32(1))),
    get significand() {
      return e.let(e.load("i64", address(), S.FPR));
    },
    get exponent() {
      return e.let(e.load("i32", address(), S.FPR + 8));
    },
    write(significand, exponent) {
      e.store("i64", address(), significand, S.FPR);
      e.store("i64", address(), e.extendU(exponent), S.FPR + 8);
      e.stateStore("i32", S.FTW, e.or(e.stateLoad("i32", S.FTW), bit()));
    },
    free() {
      e.stateStore("i32", S.FTW, e.and(e.stateLoad("i32", S.FTW), e.not(bit())));
    },
    top() {
      e.stateStore("i32", S.FTOP, number);
    },
  };
}

/** Pops once. */
export function popStack(e: Emitter): void {
  stack(e, 0).free();
  stack(e, 1).top();
}

export function clearC1(e: Emitter): void {
  e.stateStore("i32", S.FSW, e.and(e.stateLoad("i32", S.FSW), e.i32(~C1)));
}

/** Kinds of memory operand as the host operations take them. */
export const SINGLE = 0;
export const DOUBLE = 1;
export const INTEGER = 2;
const C1 = 0x200;

/** Exponent fields of the formats in memory: width, bias difference to the extended format. */
export const formats = {
  32: { fraction: 23, exponents: 255, rebias: 16383 - 127, kind: SINGLE },
  64: { fraction: 52, exponents: 2047, rebias: 16383 - 1023, kind: DOUBLE },
} as const;

/** A number as a register holds it: significand (i64), sign and exponent (i32). */
export interface Extended {
  readonly significand: Value;
  readonly exponent: Value;
}

/** A pattern (i64) of 32 or 64 bits; right when `usual` (i32): a zero or a normal number. */
export function extendFloat(e: Emitter, value: Value, size: 32 | 64): Extended & { usual: Value } {
  const { fraction, exponents, rebias } = formats[size];
  const sign = e.let(e.shl(e.wrap(e.shrU(value, e.i64(size - 1))), e.i32(15)));
  const biased = e.let(e.and(e.wrap(e.shrU(value, e.i64(fraction))), e.i32(exponents)));
  const shifted = e.let(e.shl(value, e.i64(63 - fraction)));
  const normal = e.let(e.ltU(e.sub(biased, e.i32(1)), e.i32(exponents - 1)));
  const zero = e.let(e.eqz(e.shl(value, e.i64(65 - size))));
  return {
    usual: e.or(normal, zero),
    significand: e.let(e.select(zero, e.i64(0), e.or(shifted, e.i64(1n << 63n)))),
    exponent: e.let(e.select(zero, sign, e.or(sign, e.add(biased, e.i32(rebias))))),
  };
}

/** A signed integer (i64). */
export function extendInteger(e: Emitter, value: Value): Extended {
  const negative = e.let(e.shrU(value, e.i64(63)));
  const magnitude = e.let(e.sub(e.xor(value, e.neg(negative)), e.neg(negative)));
  const shift = e.let(e.clz(magnitude));
  const exponent = e.or(e.shl(e.wrap(negative), e.i32(15)), e.sub(e.i32(16383 + 63), e.wrap(shift)));
  return {
    significand: e.let(e.shl(magnitude, shift)),
    exponent: e.let(e.select(e.eqz(value), e.i32(0), exponent)),
  };
}
