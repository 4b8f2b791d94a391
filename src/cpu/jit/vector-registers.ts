// XMM registers of a region: v128 locals, loaded at its entry and stored at its exit. Within a block the lowest lane is known as
// a float too, so that a chain of scalar operations passes floats on without going through vectors. A register's vector is
// always up to date; what is known beside it is forgotten where paths meet.

import type { Operand } from "../emit/emitter.js";
import { bareOperand, loadKind, storeKind } from "../emit/operand.js";
import type { FunctionBuilder, Value, Variable } from "../wasm/function-builder.js";
import { F32x4, F64x2, I8x16, I16x8, I32x4, I64x2, V128 } from "../wasm/simd.js";
import type { FloatRanges } from "./float-ranges.js";

export type FloatBits = 32 | 64;

interface Register {
  readonly vector: Variable;
  written: boolean;
  /** Changes with each write. */
  version: number;
  /** Lane 0 as a float, when that is known. */
  low: { readonly bits: FloatBits; readonly plain: boolean } | undefined;
  /** Lane width at which all lanes are known to be plain. */
  plain: FloatBits | undefined;
  f32: Variable | undefined;
  f64: Variable | undefined;
}

/** What the registers need of the emitter they belong to. */
export interface VectorHost extends FunctionBuilder {
  /** A local for the whole region. */
  lasting(type: "v128" | "f32" | "f64"): Variable;
  /** Whether what is emitted now runs whenever the current instruction does. */
  readonly unconditional: boolean;
  readonly floatRanges: FloatRanges;
  isPlain(value: Value, bits: FloatBits): boolean;
  markPlain(value: Value, bits: FloatBits): void;
}

const floatLanes = { 32: F32x4, 64: F64x2 } as const;
const LOCAL_GET = 0x20;

export class VectorRegisters {
  readonly #e: VectorHost;
  readonly #registers: (Register | undefined)[] = [];
  /** What the current instruction read as a whole, by local. */
  readonly #snapshots = new Map<number, { readonly register: Register; readonly version: number }>();

  constructor(emitter: VectorHost) {
    this.#e = emitter;
  }

  /** Registers in use, for the region's entry and exit. */
  *used(): Generator<{ index: number; vector: Variable; written: boolean }> {
    for (const [index, register] of this.#registers.entries())
      if (register) yield { index, vector: register.vector, written: register.written };
  }

  /** Paths meet here: nothing is known but the vectors. */
  forget(): void {
    for (const register of this.#registers) {
      if (!register) continue;
      register.low = undefined;
      register.plain = undefined;
    }
  }
  /** The instruction's locals are free for others. */
  endInstruction(): void {
    this.#snapshots.clear();
  }

  #register(index: number): Register {
    const known = this.#registers[index];
    if (known) return known;
    const vector = this.#e.lasting("v128");
    const made: Register = {
      vector,
      written: false,
      version: 0,
      low: undefined,
      plain: undefined,
      f32: undefined,
      f64: undefined,
    };
    this.#registers[index] = made;
    return made;
  }
  #float(register: Register, bits: FloatBits): Variable {
    if (bits === 64) return (register.f64 ??= this.#e.lasting("f64"));
    return (register.f32 ??= this.#e.lasting("f32"));
  }

  /** A register, or `size` bits of it from byte `offset` on. */
  operand(index: number, size: number, offset = 0): Operand {
    const whole = size === 128;
    const read = () => (whole ? this.read(index) : this.readPart(index, offset, size));
    return {
      ...bareOperand("xmm", size),
      read,
      readForWrite: read,
      write: (value) => {
        if (whole) this.write(index, value);
        else this.writePart(index, offset, size, value);
      },
      readFloat: (bits) => this.readFloat(index, bits),
      writeFloat: (bits, value) => this.writeFloat(index, bits, value),
      part: (more, partSize) => this.operand(index, partSize, offset + more),
    };
  }

  read(index: number): Value {
    const register = this.#register(index);
    const value = this.#e.let(this.#e.get(register.vector));
    this.#snapshots.set(value.imm, { register, version: register.version });
    if (register.plain) this.#e.markPlain(value, register.plain);
    this.#e.floatRanges.readWhole(index, value);
    return value;
  }
  vector(index: number): Variable {
    return this.#register(index).vector;
  }

  write(index: number, value: Value): void {
    const e = this.#e;
    const register = this.#register(index);
    const from = this.#snapshotOf(value);
    const zero = this.#isZero(value);
    const plain = e.isPlain(value, 64) ? 64 : e.isPlain(value, 32) ? 32 : undefined;
    e.set(register.vector, zero ? e.v128(0n, 0n) : value);
    this.#changed(register);
    e.floatRanges.writeWhole(index, value, zero);
    if (!e.unconditional) return;
    register.plain = plain;
    if (zero) this.#know(register, 64, e.op("f64", 0xbf, [e.i64(0)]), true);
    else if (from?.low && from !== register) {
      const { bits, plain } = from.low;
      this.#know(register, bits, e.get(this.#float(from, bits)), plain);
    }
  }

  /** A vector's lane of 8 to 64 bits at byte `offset`, as an integer. */
  readPart(index: number, offset: number, size: number): Value {
    const e = this.#e;
    const vector = e.get(this.#register(index).vector);
    if (size === 64) {
      const half = e.let(e.op("i64", I64x2.extract, [vector], offset >> 3));
      e.floatRanges.readLane(index, offset >> 3, half);
      return half;
    }
    if (size === 32) return e.let(e.op("i32", I32x4.extract, [vector], offset >> 2));
    if (size === 16) return e.let(e.op("i32", I16x8.extractU, [vector], offset >> 1));
    return e.let(e.op("i32", I8x16.extractU, [vector], offset));
  }
  writePart(index: number, offset: number, size: number, value: Value): void {
    const e = this.#e;
    const register = this.#register(index);
    const [opcode, lane] =
      size === 64
        ? [I64x2.replace, offset >> 3]
        : size === 32
          ? [I32x4.replace, offset >> 2]
          : size === 16
            ? [I16x8.replace, offset >> 1]
            : [I8x16.replace, offset];
    const { low } = register;
    e.set(register.vector, e.op("v128", opcode, [e.get(register.vector), value], lane));
    this.#changed(register);
    e.floatRanges.writeLane(index, offset >> 3, size === 64 ? value : undefined);
    // The lowest lane is still what it was.
    if (low && offset >= low.bits / 8 && e.unconditional) register.low = low;
  }

  /** Lane 0 as f32 or f64. */
  readFloat(index: number, bits: FloatBits): Value {
    const e = this.#e;
    const register = this.#register(index);
    const variable = this.#float(register, bits);
    const known = register.low?.bits === bits ? register.low : undefined;
    if (!known) {
      const extracted = e.op(variable.type, floatLanes[bits].extract, [e.get(register.vector)], 0);
      if (!e.unconditional) return e.let(extracted);
      e.set(variable, extracted);
      register.low = { bits, plain: false };
    }
    const value = e.let(e.get(variable));
    this.#snapshots.set(value.imm, { register, version: register.version });
    if (known?.plain || register.plain === bits) e.markPlain(value, bits);
    if (bits === 64) e.floatRanges.readLane(index, 0, value);
    return value;
  }
  /** Replaces lane 0. */
  writeFloat(index: number, bits: FloatBits, value: Value): void {
    const e = this.#e;
    const register = this.#register(index);
    const plain = e.isPlain(value, bits);
    const simple = value.opcode === LOCAL_GET ? value : e.let(value);
    e.set(register.vector, e.op("v128", floatLanes[bits].replace, [e.get(register.vector), simple], 0));
    this.#changed(register);
    e.floatRanges.writeLane(index, 0, bits === 64 ? simple : undefined);
    if (e.unconditional) this.#know(register, bits, simple, plain);
  }
  /** A snapshot was found to hold no denormal and no NaN: so does its register. */
  notePlain(value: Value, bits: FloatBits): void {
    const register = this.#snapshotOf(value);
    if (!register || !this.#e.unconditional) return;
    if (value.type === "v128") register.plain = bits;
    else if (register.low?.bits === bits) register.low = { bits, plain: true };
  }

  #know(register: Register, bits: FloatBits, value: Value, plain: boolean): void {
    this.#e.set(this.#float(register, bits), value);
    register.low = { bits, plain };
  }
  #changed(register: Register): void {
    register.written = true;
    register.version++;
    register.low = undefined;
    register.plain = undefined;
  }
  #snapshotOf(value: Value): Register | undefined {
    const snapshot = value.opcode === LOCAL_GET ? this.#snapshots.get(value.imm) : undefined;
    return snapshot && snapshot.version === snapshot.register.version ? snapshot.register : undefined;
  }
  /** XOR of a register with itself. */
  #isZero(value: Value): boolean {
    if (value.opcode !== V128.xor) return false;
    const [a, b] = [this.#snapshotOf(value.args[0]!), this.#snapshotOf(value.args[1]!)];
    return a !== undefined && a === b;
  }
}

/** An MMX register, or a part of it, in the vCPU's state. */
export function mmxOperand(e: FunctionBuilder, size: number, offset: number): Operand {
  const read = () => e.let(e.load(loadKind[size]!, e.param(0), offset));
  return {
    ...bareOperand("mmx", size),
    read,
    readForWrite: read,
    write: (value) => e.store(storeKind[size]!, e.param(0), value, offset),
    part: (more, partSize) => mmxOperand(e, partSize, offset + more),
  };
}
