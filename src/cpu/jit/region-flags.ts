// The status flags of a region. FLAG_RESULT is always up to date in a local; FLAG_AUX is made of it and a second operand only where
// something asks for it: KIND says how, or 0 when the local has it. Beside that it is known within a block, and in blocks that
// only one way leads to, what the flags come from.

import { carriesOfAddition, carriesOfSubtraction } from "../emit/carries.js";
import type { Emitter } from "../emit/emitter.js";
import type { Value, Variable } from "../wasm/function-builder.js";
import { auxOf, type Comparison, withCarry } from "./comparison.js";

/** What the flags come from at a block's end: "aux" when FLAG_AUX is in its local. */
export type FlagSource =
  | { readonly kind: "sub" | "add" | "step" | "logic"; readonly size: number; readonly down: boolean }
  | "aux";

export function sameSource(a: FlagSource | undefined, b: FlagSource | undefined): boolean {
  if (a === b) return true;
  return typeof a === "object" && typeof b === "object" && a.kind === b.kind && a.size === b.size && a.down === b.down;
}

/** What flags need of the emitter that they belong to. */
export interface FlagsHost extends Emitter {
  /** Whether what is emitted now runs whenever the current instruction does. */
  readonly unconditional: boolean;
  lasting(type: "i32" | "i64"): Variable;
  /** A temporary must last until `unpin`. */
  pin(value: Value): void;
  unpin(): void;
}

/** KIND: the size, and these. Logic is an addition of 0. */
const SUBTRACT = 0x100;
const ADD = 0x200;
const STEP = 0x400;

export class RegionFlags {
  readonly #e: FlagsHost;
  readonly result: Variable;
  readonly aux: Variable;
  readonly #other: Variable;
  readonly #kind: Variable;
  #comparison: Comparison | undefined;
  #source: FlagSource | undefined;
  /** Changes whenever the flags do. */
  version = 0;
  read = false;
  written = false;

  constructor(emitter: FlagsHost) {
    this.#e = emitter;
    this.result = emitter.lasting("i64");
    this.aux = emitter.lasting("i32");
    this.#other = emitter.lasting("i64");
    this.#kind = emitter.lasting("i32");
  }

  /** A block's code begins. */
  begin(source: FlagSource | undefined): void {
    this.forget();
    this.#source = source;
  }
  /** Nothing is known of where the flags come from. */
  forget(): void {
    this.#e.unpin();
    this.version++;
    this.#comparison = undefined;
    this.#source = undefined;
  }
  get source(): FlagSource | undefined {
    return this.#source;
  }

  /** What the flags come from, when that is known. */
  get comparison(): Comparison | undefined {
    const { unconditional } = this.#e;
    const source = this.#source;
    if (!this.#comparison && source && source !== "aux" && unconditional) this.#know(this.#rebuild(source));
    return this.#comparison;
  }
  /** Of a block before this one. */
  #rebuild({ kind, size, down }: Exclude<FlagSource, "aux">): Comparison {
    const e = this.#e;
    const narrow = (v: Value) => (size === 64 ? v : e.zeroExtend(e.wrap(v), size));
    const result = e.let(narrow(e.get(this.result)));
    const other = e.let(narrow(e.get(this.#other)));
    this.read = true;
    if (kind === "logic") return { kind, size, a: result, b: result, result };
    if (kind === "step") {
      const b = e.constant(size, down ? -1 : 1);
      const a = e.let(e.zeroExtend(e.sub(result, b), size));
      return { kind, size, a, b, result, carry: e.wrap(other) };
    }
    const a = e.let(e.zeroExtend(kind === "sub" ? e.add(result, other) : e.sub(result, other), size));
    return { kind, size, a, b: other, result };
  }
  #know(comparison: Comparison): void {
    this.#comparison = comparison;
    const { a, b, result, carry } = comparison;
    for (const value of carry ? [a, b, result, carry] : [a, b, result]) this.#e.pin(value);
  }

  /** The flags come from this; false when they must be made at once, since that is so on some paths only. */
  set(comparison: Comparison): boolean {
    const e = this.#e;
    if (!e.unconditional) return false;
    this.forget();
    const { kind, size, b, result, carry } = comparison;
    if (kind === "result" || kind === "float") throw new Error("jit: flags of unknown operands");
    const down = kind === "step" && b.constant < 0n;
    this.written = true;
    e.set(this.result, e.extendS(e.signExtend(result, size)));
    e.set(this.#other, kind === "logic" ? e.i64(0) : e.extendU(carry ?? b));
    const operation = kind === "sub" ? SUBTRACT : kind !== "step" ? ADD : STEP | (down ? SUBTRACT : ADD);
    e.set(this.#kind, e.i32(operation | size));
    this.#source = { kind, size, down };
    this.#know(comparison);
    return true;
  }
  /** After the flags were set: what else is known of them. */
  note(comparison: Comparison): void {
    // Flags that are set on some paths only tell nothing.
    if (this.#e.unconditional) this.#know(comparison);
  }

  setResult(value: Value): void {
    this.forget();
    this.written = true;
    this.#e.set(this.result, value);
  }
  setAux(value: Value): void {
    const e = this.#e;
    this.forget();
    this.written = true;
    e.set(this.aux, value);
    e.set(this.#kind, e.i32(0));
    if (e.unconditional) this.#source = "aux";
  }
  getResult(): Value {
    this.read = true;
    return this.#e.let(this.#e.get(this.result));
  }
  getAux(): Value {
    const e = this.#e;
    this.read = true;
    const { comparison } = this;
    const known = this.#source !== "aux" && comparison && auxOf(e, comparison);
    if (known) return e.let(known);
    if (this.#source !== "aux") this.settle();
    return e.let(e.get(this.aux));
  }

  /** CF (i32, 0 or 1), when nothing is known of it. Loops that count with INC or DEC alone ask in each round. */
  carry(): Value {
    const e = this.#e;
    this.read = true;
    const carry = e.variable(e.wrap(e.get(this.#other)));
    e.if(e.eqz(e.and(e.get(this.#kind), e.i32(STEP))), () => {
      this.settle();
      e.set(carry, e.shrU(e.get(this.aux), e.i32(31)));
    });
    return e.get(carry);
  }
  /** Makes FLAG_AUX, whatever it comes from. */
  settle(): void {
    const e = this.#e;
    e.if(e.get(this.#kind), () => {
      const kind = e.get(this.#kind);
      const r = e.get(this.result);
      const step = e.let(e.and(kind, e.i32(STEP)));
      const down = e.let(e.and(kind, e.i32(SUBTRACT)));
      const b = e.let(e.select(step, e.i64(1), e.get(this.#other)));
      const a = e.let(e.select(down, e.add(r, b), e.sub(r, b)));
      const carries = e.let(
        e.select(down, e.let(carriesOfSubtraction(e, a, b, r)), e.let(carriesOfAddition(e, a, b, r))),
      );
      const size = e.and(kind, e.i32(0xff));
      const top = e.shl(e.wrap(e.shrU(carries, e.extendU(e.sub(size, e.i32(2))))), e.i32(30));
      e.set(this.aux, e.or(top, e.and(e.wrap(carries), e.i32(8))));
      e.if(step, () => e.set(this.aux, withCarry(e, e.let(e.get(this.aux)), e.let(e.wrap(e.get(this.#other))))));
      e.set(this.#kind, e.i32(0));
    });
  }
}
