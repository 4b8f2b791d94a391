// The floating-point environment: control in, exceptions and condition codes out (SDM Vol. 1, 8.1.3-8.1.5, 10.2.3).
// One is created per virtual CPU and unit (x87 or SSE) and reused; nothing in this folder has other state.
// The caller clears `flags` at the start of an instruction, calls the operation (once per lane for packed ones) and
// then merges `flags` into the status word or MXCSR.

import { createUnpacked, type Unpacked } from "./format.js";

/** Exception bits, placed as in the x87 status word, the x87 control word's masks and MXCSR's flags. */
export const IE = 0x01;
export const DE = 0x02;
export const ZE = 0x04;
export const OE = 0x08;
export const UE = 0x10;
export const PE = 0x20;
export const ALL_EXCEPTIONS = 0x3f;
/** Exceptions found before the operation starts: unmasked, they keep it from happening. */
export const PRE_COMPUTATION: number = IE | DE | ZE;

/** Rounding modes as encoded in the control word's and MXCSR's RC fields. */
export const NEAREST = 0;
export const DOWN = 1;
export const UP = 2;
export const TRUNCATE = 3;

/** Condition codes, placed as in the x87 status word. */
export const C0 = 0x0100;
export const C1 = 0x0200;
export const C2 = 0x0400;
export const C3 = 0x4000;

export interface FloatEnvironment {
  /** Whose rules hold for NaN choice and unmasked responses. */
  readonly unit: "x87" | "sse";
  /** RC: 0 nearest even, 1 down, 2 up, 3 toward zero. */
  rounding: number;
  /** Significand bits of x87 add, subtract, multiply, divide and square root results: 24, 53 or 64. */
  precision: number;
  /** Bit set: exception masked. Same bits as `flags`. */
  masks: number;
  /** MXCSR.DAZ and MXCSR.FTZ; false for x87. */
  denormalsAreZero: boolean;
  flushToZero: boolean;
  /** Exceptions raised since the caller last cleared it. */
  flags: number;
  /** x87: C0-C3 of the last operation, as status word bits; C1 means "rounded up" for arithmetic. */
  condition: number;
  /** Operands of the operation under way, and what its last rounding did. Private to this folder. */
  readonly a: Unpacked;
  readonly b: Unpacked;
  inexact: boolean;
  roundedUp: boolean;
}

function createEnvironment(unit: FloatEnvironment["unit"]): FloatEnvironment {
  return {
    unit,
    rounding: NEAREST,
    precision: 64,
    masks: ALL_EXCEPTIONS,
    denormalsAreZero: false,
    flushToZero: false,
    flags: 0,
    condition: 0,
    a: createUnpacked(),
    b: createUnpacked(),
    inexact: false,
    roundedUp: false,
  };
}

export function createX87Environment(): FloatEnvironment {
  return createEnvironment("x87");
}

export function createSseEnvironment(): FloatEnvironment {
  return createEnvironment("sse");
}

/** Takes masks, precision and rounding from an x87 control word. The reserved precision 01 acts as 64 bits. */
export function setControlWord(env: FloatEnvironment, controlWord: number): void {
  env.masks = controlWord & ALL_EXCEPTIONS;
  const precision = (controlWord >> 8) & 3;
  env.precision = precision === 0 ? 24 : precision === 2 ? 53 : 64;
  env.rounding = (controlWord >> 10) & 3;
}

/** Takes DAZ, masks, rounding and FTZ from MXCSR; its sticky flags stay with the caller. */
export function setMxcsr(env: FloatEnvironment, mxcsr: number): void {
  env.denormalsAreZero = (mxcsr & 0x40) !== 0;
  env.masks = (mxcsr >> 7) & ALL_EXCEPTIONS;
  env.rounding = (mxcsr >> 13) & 3;
  env.flushToZero = (mxcsr & 0x8000) !== 0;
}

/**
 * Ends an SSE instruction after its last lane: true when the result may be written; false when an unmasked exception
 * forbids it and #XM is due. An unmasked pre-computation exception in any lane hides the post-computation flags of all
 * lanes (SDM Vol. 1, 11.5.2.1 and 11.5.3.2). MXCSR gets `env.flags` in both cases.
 */
export function finishSse(env: FloatEnvironment): boolean {
  const unmasked = env.flags & ~env.masks;
  if (unmasked === 0) return true;
  if ((unmasked & PRE_COMPUTATION) !== 0) env.flags &= PRE_COMPUTATION;
  return false;
}
