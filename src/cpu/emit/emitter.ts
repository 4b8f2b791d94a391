// The vocabulary that instruction semantics are written in (see ../semantics). A semantics body runs once per code
// generation, never per executed instruction: `e.add(a, b)` makes an expression, `dst.write(v)` makes code.
// Consumers differ in where operands live: InterpreterEmitter takes them from a record, the JIT from constants and locals.
//
// Conventions: values of 8, 16 and 32 bits are i32 (8 and 16 zero-extended by `read`; what is written is truncated),
// 64 bits are i64, 128 bits v128. Anything that can fault must come before the first register or flag write, so
// that a faulting instruction can restart: write memory first, use readForWrite for read-modify-write.

import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import { FunctionBuilder, type LoadKind, type Value, type Variable } from "../wasm/function-builder.js";
import { auxFromCarries, carriesOfAddition, carriesOfSubtraction, orderedFlags } from "./carries.js";
import type { RangeTracker } from "./float-range.js";

/** Binary32 and binary64. */
export type FloatBits = 32 | 64;

export interface Operand {
  readonly kind:
    | "register"
    | "memory"
    | "immediate"
    | "relative"
    | "segment"
    | "control"
    | "debug"
    | "mmx"
    | "xmm"
    | "st"
    | "far";
  /** Bits. */
  readonly size: number;
  /** Snapshot of the value. Immediates are extended to `size`; relative targets give the target address (i64). */
  read(): Value;
  /** Like read, but a memory operand is checked for writing too, so that the following `write` cannot fault. */
  readForWrite(): Value;
  write(value: Value): void;
  /** XMM and memory operands: snapshot of the lowest lane as f32 or f64. */
  readFloat(bits: FloatBits): Value;
  /** Writes the lowest lane (f32 or f64) and nothing else. */
  writeFloat(bits: FloatBits, value: Value): void;
  /** Memory operands: the effective address (i64) without segment base, as LEA gives it. */
  address(): Value;
  /** Memory operands: the linear address (i64), after the segment's checks for reading, or for writing too. */
  linear(write?: boolean): Value;
  /** Register number as an i32 value (segment, control, debug, ST and far operands: selector). */
  number(): Value;
  /** Memory operands: another piece of the operand, `offset` bytes further, of `size` bits (m16:64, XMM halves). */
  part(offset: number, size: number): Operand;
}

/** Significand (i64), sign and exponent (i32). */
export interface X87Number {
  readonly significand: Value;
  readonly exponent: Value;
}

/** Order of the condition codes as in opcodes 70-7F. */
export const Condition = {
  O: 0,
  NO: 1,
  B: 2,
  NB: 3,
  Z: 4,
  NZ: 5,
  BE: 6,
  NBE: 7,
  S: 8,
  NS: 9,
  P: 10,
  NP: 11,
  L: 12,
  NL: 13,
  LE: 14,
  NLE: 15,
} as const;

export interface EmitterContext {
  /** Operand size of the form: 8, 16, 32, 64. */
  readonly size: number;
  /** 16, 32, 64: width of rCX, rSI, rDI in string and loop instructions. */
  readonly addressSize: number;
  /** 16, 32 or 64: code size. */
  readonly mode: 16 | 32 | 64;
  /** 0, or 2 for REPNE, 3 for REP/REPE. */
  readonly rep: 0 | 2 | 3;
}

/** What SHL, SHR or SAR did. */
export interface ShiftFlags {
  readonly direction: "left" | "right" | "arithmetic";
  readonly size: number;
  readonly source: Value;
  /** i32, masked. */
  readonly count: Value;
  readonly result: Value;
  /** CF and OF (i32, 0 or 1). */
  cf(): Value;
  of(carry: Value): Value;
}

export abstract class Emitter extends FunctionBuilder {
  // Fixed for a handler; the JIT sets them for each instruction of a region.
  size: number;
  addressSize: number;
  mode: 16 | 32 | 64;
  rep: 0 | 2 | 3;

  constructor(context: EmitterContext) {
    super(["i32", "i32"]);
    this.size = context.size;
    this.addressSize = context.addressSize;
    this.mode = context.mode;
    this.rep = context.rep;
  }

  // --- guest state: each consumer has its own ---

  /** Snapshot of a fixed general register (code as OperandKind.Gpr: 0-15, 16-19 = AH CH DH BH). */
  abstract gpr(code: number, size: number): Value;
  abstract setGpr(code: number, size: number, value: Value): void;
  abstract xmm(index: number): Value;
  abstract setXmm(index: number, value: Value): void;
  abstract flagResult(): Value;
  abstract flagAux(): Value;
  abstract setFlagResult(value: Value): void;
  abstract setFlagAux(value: Value): void;
  /** Any other field of the vCPU struct. */
  abstract stateLoad(kind: LoadKind, offset: number): Value;
  abstract stateStore(kind: "i32" | "i64" | "v128", offset: number, value: Value): void;

  // --- memory, by linear address ---

  /** `segment` matters for the exception only (#SS for SS). `size` in bits: 8-64, 128. */
  abstract readLinear(address: Value, size: number, segment?: number): Value;
  abstract writeLinear(address: Value, size: number, value: Value, segment?: number): void;
  /** Read-modify-write of one location: `change` gets the old value and gives the new one. */
  abstract updateLinear(address: Value, size: number, change: (old: Value) => Value, segment?: number): void;
  /**
   * Checks an access and gives where its bytes lie in the Wasm memory. Only while `slow` (i32) is 0 do the neighbouring bytes of
   * the page lie beside it, and may it be written directly; with `span` (i32, bytes up to the end of the page at most) that holds
   * for all of these, whatever the TLB held.
   */
  abstract translate(
    address: Value,
    size: number,
    write: boolean,
    segment?: number,
    span?: Value,
  ): { address: Value; slow: Value };
  /** The linear address of `offset` (i64) in a segment, checked against its limit outside 64-bit mode. */
  abstract segmentLinear(segment: number | "operand", offset: Value, size: number, write: boolean): Value;

  /** The same for an f32 or f64. */
  readFloatLinear(address: Value, bits: FloatBits, segment?: number): Value {
    const place = this.translate(this.let(address), bits, false, segment);
    return this.let(this.load(bits === 64 ? "f64" : "f32", place.address));
  }

  // --- floats ---

  /**
   * Exponent field minus 2 below which (unsigned) a rounded result is the processor's: none is unless MXCSR masks everything, rounds
   * to nearest, has neither DAZ nor FTZ, and PE set.
   */
  abstract floatLimit(bits: FloatBits): Value;
  /** (i32) 1 when an exact result is the processor's: MXCSR as above, but PE may be clear. */
  abstract floatExact(): Value;
  /** Ranges of doubles, in code that may rely on them (see ./float-range.ts). */
  get ranges(): RangeTracker | undefined {
    return undefined;
  }
  readonly #plain = new Map<number, FloatBits>();
  /** The value (a snapshot: f32, f64, or lanes of `bits`) is known to hold no denormal and no NaN. */
  markPlain(value: Value, bits: FloatBits): void {
    if (value.opcode === 0x20) this.#plain.set(value.imm, bits);
  }
  isPlain(value: Value, bits: FloatBits): boolean {
    return value.opcode === 0x20 && this.#plain.get(value.imm) === bits;
  }
  /** A local gets another meaning. */
  protected forgetPlain(variable: Variable): void {
    this.#plain.delete(variable.index);
  }
  /** Arithmetic on two x87 numbers by the core module (see ../semantics/x87-arithmetic-core.ts): i32, 1 when its result is in ARGS. */
  x87(operation: number, a: X87Number, b: X87Number): Value {
    const args = [a.significand, a.exponent, b.significand, b.exponent];
    return this.call(this.x87Function, "i32", [this.param(0), this.i32(operation), ...args]);
  }
  protected abstract get x87Function(): number;
  /** Whether Wasm's result of an operation on lanes is the processor's (see ../semantics/sse/ordinary.ts), after setting PE: i32. */
  ordinary(operation: number, a: Value, b: Value): Value {
    return this.call(this.ordinaryFunction, "i32", [this.param(0), this.i32(operation), a, b]);
  }
  protected abstract get ordinaryFunction(): number;
  /** After a comparison of two floats that are no NaNs: ZF, PF, CF tell the relation; OF, AF, SF are cleared. */
  flagsFloat(a: Value, b: Value): void {
    const { result, aux } = orderedFlags(this, a, b);
    this.setFlagResult(result);
    this.setFlagAux(aux);
  }
  /** Performs a host operation whose first result is the six status flags, and continues with the next instruction. */
  hostFlags(name: string): void {
    this.host(name);
    this.setStatusFlags(this.hostResult(0, "i32"));
    this.next();
  }
  /** Whether code that runs before this in the same generation has made sure already that the unit can be used. */
  unitChecked(_unit: "mmx" | "sse"): boolean {
    return false;
  }

  // --- control ---

  /** Architectural address (i64) of this instruction and of the next one. */
  abstract currentRip(): Value;
  abstract nextRip(): Value;
  /** #GP(0) when a branch target (i64) is beyond CS's limit or, in 64-bit mode, not canonical. Before anything changed. */
  abstract checkTarget(target: Value): void;
  /** Continues at `target` (i64; the RIP, truncated by the caller to its width). Ends the path. */
  abstract jump(target: Value): void;
  /** Continues at a relative operand's target, which is checked first. Ends the path. */
  abstract jumpRelative(target: Operand): void;
  /** The same where a condition (i32) holds. */
  jumpRelativeIf(condition: Value, target: Operand): void {
    this.if(condition, () => this.jumpRelative(target));
  }
  /** A relative operand's target as i64, cut to the operand size. */
  abstract relativeTarget(target: Operand): Value;
  /** Continues with the next instruction. Ends the path. */
  abstract next(): void;
  /** Runs this instruction again (string repeats): a point where interrupts may be taken. Ends the path. */
  abstract again(): void;
  /** Raises an exception with this instruction's address. Ends the path. `errorCode` -1: none. */
  abstract raise(vector: number, errorCode?: number | Value): void;
  /** Leaves to the host with the given ExitKind after (or at, `before`) this instruction. Ends the path. */
  abstract exit(kind: number, options?: { vector?: number | Value; before?: boolean }): void;
  /** SYSCALL: continues in the guest kernel, or leaves with ExitKind.Syscall after this instruction (Engine.setGate). Ends the path. */
  abstract gate(): void;
  /**
   * Performs host operation `name` (see ../host-operations.ts) with up to 4 arguments (i32 or i64). It may raise, or continue
   * elsewhere; otherwise execution goes on here. Results come back in `hostResult`.
   */
  abstract host(name: string, ...args: Value[]): void;
  /** True when `host` leaves the generated code, so that what follows never runs and arguments needn't be passed. */
  readonly leavesForHost: boolean = false;
  hostResult(index: number, type: "i32" | "i64" = "i64"): Value {
    return this.let(this.stateLoad(type, S.ARGS + 8 * index));
  }

  // --- shared vocabulary ---

  typeOf(size: number): "i32" | "i64" {
    return size === 64 ? "i64" : "i32";
  }
  constant(size: number, value: bigint | number): Value {
    return size === 64 ? this.i64(value) : this.i32(Number(BigInt.asIntN(32, BigInt(value))));
  }
  /** From the value type of one size to that of another: zero-extends or truncates. */
  resize(value: Value, from: number, to: number): Value {
    if (to === 64) return this.extendU(from < 32 ? this.zeroExtend(value, from) : value);
    return this.zeroExtend(this.wrap(value), Math.min(to, 32));
  }
  resizeSigned(value: Value, from: number, to: number): Value {
    const signed = this.signExtend(value, from);
    if (to === 64) return this.extendS(signed);
    return this.zeroExtend(this.wrap(signed), to);
  }
  raiseIf(condition: Value, vector: number, errorCode: number | Value = -1): void {
    this.ifRare(condition, () => this.raise(vector, errorCode));
  }

  // --- flags ---

  cf(): Value {
    return this.shrU(this.flagAux(), this.i32(31));
  }
  of(): Value {
    const aux = this.let(this.flagAux());
    return this.shrU(this.xor(aux, this.shl(aux, this.i32(1))), this.i32(31));
  }
  zf(): Value {
    return this.eqz(this.flagResult());
  }
  sf(): Value {
    return this.and(this.xor(this.wrap(this.shrU(this.flagResult(), this.i64(63))), this.flagAux()), this.i32(1));
  }
  pf(): Value {
    const bits = this.and(
      this.xor(this.wrap(this.flagResult()), this.shrU(this.flagAux(), this.i32(8))),
      this.i32(0xff),
    );
    return this.xor(this.and(this.popcnt(bits), this.i32(1)), this.i32(1));
  }
  af(): Value {
    return this.and(this.shrU(this.flagAux(), this.i32(3)), this.i32(1));
  }
  /** i32, 0 or 1. */
  condition(cc: number): Value {
    const negate = (v: Value) => this.xor(v, this.i32(1));
    switch (cc) {
      case 0:
        return this.of();
      case 1:
        return negate(this.of());
      case 2:
        return this.cf();
      case 3:
        return negate(this.cf());
      case 4:
        return this.zf();
      case 5:
        return this.ne(this.flagResult(), this.i64(0));
      case 6:
        return this.or(this.cf(), this.zf());
      case 7:
        return negate(this.or(this.cf(), this.zf()));
      case 8:
        return this.sf();
      case 9:
        return negate(this.sf());
      case 10:
        return this.pf();
      case 11:
        return negate(this.pf());
      case 12:
        return this.xor(this.sf(), this.of());
      case 13:
        return negate(this.xor(this.sf(), this.of()));
      case 14:
        return this.or(this.zf(), this.xor(this.sf(), this.of()));
      default:
        return negate(this.or(this.zf(), this.xor(this.sf(), this.of())));
    }
  }

  resultFlags(size: number, result: Value): void {
    this.setFlagResult(this.extendS(this.signExtend(result, size)));
  }
  /** After r = a + b: all six flags. With a carry added too, `_exact` is false: a follows from b and r no more. */
  flagsAdd(size: number, a: Value, b: Value, r: Value, _exact = true): void {
    this.resultFlags(size, r);
    this.setFlagAux(auxFromCarries(this, size, carriesOfAddition(this, a, b, r)));
  }
  /** After r = a - b: all six flags. With a borrow taken off too, `_exact` is false: a condition then can't compare a with b. */
  flagsSub(size: number, a: Value, b: Value, r: Value, _exact = true): void {
    this.resultFlags(size, r);
    this.setFlagAux(auxFromCarries(this, size, carriesOfSubtraction(this, a, b, r)));
  }
  /** After AND, OR, XOR, TEST: CF = OF = AF = 0. */
  flagsLogic(size: number, r: Value): void {
    this.resultFlags(size, r);
    this.setFlagAux(this.i32(0));
  }
  /** After r = a + 1 or a - 1: all but CF. */
  flagsStep(size: number, step: 1 | -1, a: Value, r: Value): void {
    const cf = this.let(this.cf());
    const one = this.constant(size, 1);
    if (step === 1) this.flagsAdd(size, a, one, r, false);
    else this.flagsSub(size, a, one, r, false);
    this.setCf(cf);
  }
  /** ZF, SF, PF from r; CF and OF (i32, 0 or 1) as given; AF = 0. */
  flagsShift(size: number, r: Value, cf: Value, of: Value): void {
    this.resultFlags(size, r);
    this.setCfOf(cf, of, this.i32(0));
  }
  /** #GP(0) unless a linear address, of the access that comes next, is a multiple of 16. */
  requireAligned(linear: Value): void {
    this.raiseIf(this.and(this.wrap(linear), this.i32(15)), Vector.GP, 0);
  }
  /** After a shift: nothing by a count of zero. */
  flagsOfShift({ size, count, result, cf, of }: ShiftFlags): void {
    this.if(count, () => {
      const carry = this.let(cf());
      this.flagsShift(size, result, carry, this.let(of(carry)));
    });
  }
  /** After a rotation: CF and OF (i32, 0 or 1), unless by a count of zero. */
  flagsOfRotate(count: Value, flags: () => { cf: Value; of: Value }): void {
    this.if(count, () => {
      const { cf, of } = flags();
      this.setCfOfOnly(cf, of);
    });
  }
  /** Sets CF and OF (0 or 1) and the AUX bits in `rest` (AF and deltas, as in FLAG_AUX). */
  setCfOf(cf: Value, of: Value, rest: Value): void {
    const c = this.let(cf);
    this.setFlagAux(this.or(this.or(this.shl(c, this.i32(31)), this.shl(this.xor(c, of), this.i32(30))), rest));
  }
  /** Changes CF (0 or 1) alone. */
  setCf(cf: Value): void {
    const of = this.let(this.of());
    const rest = this.let(this.and(this.flagAux(), this.i32(0x3fffffff)));
    this.setCfOf(cf, of, rest);
  }
  /** Changes CF and OF alone (rotates). */
  setCfOfOnly(cf: Value, of: Value): void {
    const rest = this.let(this.and(this.flagAux(), this.i32(0x3fffffff)));
    this.setCfOf(cf, of, rest);
  }
  /** The six status flags in their RFLAGS places, as i32. */
  statusFlags(): Value {
    const place = (v: Value, bit: number) => this.shl(v, this.i32(bit));
    let all = this.or(this.cf(), place(this.pf(), 2));
    all = this.or(all, place(this.af(), 4));
    all = this.or(all, place(this.zf(), 6));
    all = this.or(all, place(this.sf(), 7));
    return this.let(this.or(all, place(this.of(), 11)));
  }
  /** Sets all six status flags from their RFLAGS places in an i32. */
  setStatusFlags(flags: Value): void {
    const f = this.let(flags);
    const bit = (n: number) => this.and(this.shrU(f, this.i32(n)), this.i32(1));
    const zf = this.let(bit(6));
    const result = this.let(this.xor(zf, this.i32(1)));
    // The low byte of the result is 0 or 1, so the PF delta turns its parity into the PF wanted.
    const delta = this.xor(result, this.xor(bit(2), this.i32(1)));
    const rest = this.or(this.or(this.shl(bit(4), this.i32(3)), this.shl(delta, this.i32(8))), bit(7));
    const restValue = this.let(rest);
    this.setFlagResult(this.extendU(result));
    this.setCfOf(bit(0), bit(11), restValue);
  }
  /** EFLAGS as PUSHF sees it (all flags; i32). */
  eflags(): Value {
    return this.or(this.stateLoad("i32", S.EFLAGS), this.statusFlags());
  }

  // --- stack ---

  /** rSP as the stack uses it: i64, already within the stack's width. */
  stackPointer(): Value {
    const rsp = this.gpr(S.Reg.RSP, 64);
    if (this.mode === 64) return rsp;
    return this.let(this.and(rsp, this.extendU(this.stateLoad("i32", S.STACK_MASK))));
  }
  /** Writes a stack pointer computed from `stackPointer`, keeping the bits that a narrower stack leaves alone. */
  setStackPointer(value: Value): void {
    if (this.mode === 64) {
      this.setGpr(S.Reg.RSP, 64, value);
      return;
    }
    const mask = this.let(this.extendU(this.stateLoad("i32", S.STACK_MASK)));
    const kept = this.and(this.gpr(S.Reg.RSP, 64), this.not(mask));
    this.setGpr(S.Reg.RSP, 64, this.or(kept, this.and(value, mask)));
  }
  stackMasked(value: Value): Value {
    if (this.mode === 64) return value;
    return this.and(value, this.extendU(this.stateLoad("i32", S.STACK_MASK)));
  }
  /** Stores below rSP and moves rSP. */
  push(size: number, value: Value): void {
    const top = this.let(this.stackMasked(this.sub(this.stackPointer(), this.i64(size / 8))));
    this.writeLinear(this.segmentLinear(S.Seg.SS, top, size, true), size, value, S.Seg.SS);
    this.setStackPointer(top);
  }
  /** Reads at rSP + `offset` bytes without moving rSP. */
  peek(size: number, offset = 0): Value {
    const at = this.let(this.stackMasked(this.add(this.stackPointer(), this.i64(offset))));
    return this.readLinear(this.segmentLinear(S.Seg.SS, at, size, false), size, S.Seg.SS);
  }
  /** Moves rSP up by `bytes` (i64 or a number). */
  release(bytes: number | Value): void {
    const amount = typeof bytes === "number" ? this.i64(bytes) : bytes;
    this.setStackPointer(this.let(this.add(this.stackPointer(), amount)));
  }

  /** A mutable local initialised from `value`. */
  mutable(value: Value): Variable {
    return this.variable(value);
  }
}

export type Semantics = (e: Emitter, ...operands: Operand[]) => void;
/** Bodies by semantics key. */
export type SemanticsTable = Readonly<Record<string, Semantics>>;
