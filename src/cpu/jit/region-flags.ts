// The status flags of a region: two locals, X and Y, and KIND, which says how FLAG_RESULT and FLAG_AUX (../state-layout.ts) follow
// from them; 0: they are them. A third one has CF where that was set alone. So nothing is computed for flags that nobody asks for. Beside that it is known within a block, and
// in blocks behind ones that agree, what the flags come from.

import { carriesOfAddition, carriesOfSubtraction, orderedFlags } from "../emit/carries.js";
import type { Emitter } from "../emit/emitter.js";
import * as S from "../state-layout.js";
import type { FunctionBuilder, Value, Variable } from "../wasm/function-builder.js";
import { auxOf, type Comparison, withCarry } from "./comparison.js";

/** What the flags come from at a block's end: "aux" when FLAG_AUX is in its local. */
export type FlagSource =
  | { readonly kind: "sub" | "add" | "step" | "logic" | "float"; readonly size: number; readonly down: boolean }
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

/** KIND: the size in bits, one of these, and a shift's count. */
const SUBTRACT = 0x100; // X - Y
const ADD = 0x200; // X, after Y was added; logic adds 0
const UP = 0x400; // X, after 1 was added; CF is Y
const DOWN = 0x800;
const SHIFT_LEFT = 0x1000; // X, after Y was shifted
const SHIFT_RIGHT = 0x2000;
const SHIFT_ARITHMETIC = 0x4000;
/** Added to any of these and to 0: CF isn't what follows from them, and OF neither. They are bits 0 and 1 of a local. */
const CARRY = 0x8000;
const OVERFLOW = 0x100_0000;
const FLOATS = 0x10000; // X and Y, compared as doubles that are no NaNs
/** Where the count stands, below 64. */
const COUNT = 17;
/** Of these CF follows at once. X and Y are unsigned. */
const PLAIN = SUBTRACT | ADD | UP | DOWN;

function kindOf({ kind, size, down }: Exclude<FlagSource, "aux">): number {
  if (kind === "float") return FLOATS;
  const operation = kind === "sub" ? SUBTRACT : kind !== "step" ? ADD : down ? DOWN : UP;
  return operation | size;
}

const operations = { left: SHIFT_LEFT, right: SHIFT_RIGHT, arithmetic: SHIFT_ARITHMETIC } as const;

/** The double of a pattern. */
const double = (f: FunctionBuilder, v: Value) => f.op("f64", 0xbf, [v]);

export class RegionFlags {
  readonly #e: FlagsHost;
  readonly #x: Variable;
  readonly #y: Variable;
  readonly #kind: Variable;
  readonly #carry: Variable;
  #comparison: Comparison | undefined;
  #source: FlagSource | undefined;
  /** The result that was set, until FLAG_AUX is. */
  #pending: Value | undefined;
  /** Changes whenever the flags do. */
  version = 0;
  #read = false;
  #written = false;

  constructor(emitter: FlagsHost) {
    this.#e = emitter;
    this.#x = emitter.lasting("i64");
    this.#y = emitter.lasting("i64");
    this.#kind = emitter.lasting("i32");
    this.#carry = emitter.lasting("i32");
  }

  /** Where the region is entered: takes the flags from the vCPU's state. */
  load(prologue: FunctionBuilder): void {
    if (!this.#read && !this.#written) return;
    prologue.set(this.#x, prologue.load("i64", prologue.param(0), S.FLAG_RESULT));
    prologue.set(this.#y, prologue.extendU(prologue.load("i32", prologue.param(0), S.FLAG_AUX)));
  }
  /** Where it is left. */
  store(): void {
    const e = this.#e;
    if (!this.#written) return;
    this.#settle();
    e.stateStore("i64", S.FLAG_RESULT, e.get(this.#x));
    e.stateStore("i32", S.FLAG_AUX, e.wrap(e.get(this.#y)));
  }

  /** A block's code begins. */
  begin(source: FlagSource | undefined): void {
    this.forget();
    this.#source = source;
    // A constant needn't be kept in a register where paths meet.
    if (source) this.#e.set(this.#kind, this.#e.i32(source === "aux" ? 0 : kindOf(source)));
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
    const source = this.#source;
    if (this.#comparison || !source || source === "aux") return this.#comparison;
    // On some paths only it's for these alone: if X and Y were settled there, they'd be something else than `source` says.
    const rebuilt = this.#rebuild(source);
    if (this.#e.unconditional) this.#know(rebuilt);
    return rebuilt;
  }
  /** Of a block before this one. */
  #rebuild({ kind, size, down }: Exclude<FlagSource, "aux">): Comparison {
    const e = this.#e;
    if (kind === "float") {
      const [a, b] = [e.let(double(e, e.get(this.#x))), e.let(double(e, e.get(this.#y)))];
      this.#read = true;
      return { kind, size, a, b, result: a };
    }
    const narrow = (v: Value) => (size === 64 ? v : e.zeroExtend(e.wrap(v), size));
    const [x, y] = [e.let(narrow(e.get(this.#x))), e.let(narrow(e.get(this.#y)))];
    this.#read = true;
    if (kind === "sub") return { kind, size, a: x, b: y, result: e.let(e.sub(x, y)) };
    if (kind === "logic") return { kind, size, a: x, b: x, result: x };
    if (kind === "add") return { kind, size, a: e.let(e.zeroExtend(e.sub(x, y), size)), b: y, result: x };
    const b = e.constant(size, down ? -1 : 1);
    return { kind, size, a: e.let(e.zeroExtend(e.sub(x, b), size)), b, result: x, carry: e.let(e.wrap(y)) };
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
    const { kind, size, a, b, result, carry } = comparison;
    if (kind === "result" || kind === "float" || kind === "carry") throw new Error("jit: flags of unknown operands");
    const down = kind === "step" && b.constant < 0n;
    const wide = (v: Value) => e.extendU(size < 32 ? e.zeroExtend(v, size) : v);
    const source = { kind, size, down };
    this.#assign(wide(kind === "sub" ? a : result), kind === "logic" ? e.i64(0) : wide(carry ?? b), kindOf(source));
    this.#source = source;
    this.#know(comparison);
    return true;
  }
  /** The same after a comparison of floats that are no NaNs. */
  setFloats(a: Value, b: Value): boolean {
    const e = this.#e;
    if (!e.unconditional) return false;
    this.forget();
    // Patterns of doubles.
    const wide = (v: Value) => e.op("i64", 0xbd, [v.type === "f64" ? v : e.op("f64", 0xbb, [v])]);
    this.#assign(wide(a), wide(b), FLOATS);
    const size = a.type === "f64" ? 64 : 32;
    this.#source = { kind: "float", size, down: false };
    this.#know({ kind: "float", size, a, b, result: a });
    return true;
  }
  /** The same after a shift of `source` by so much; one by 0 leaves them as they are. */
  setShift(direction: keyof typeof operations, size: number, source: Value, by: Value, result: Value): boolean {
    const e = this.#e;
    // Narrow operands are shifted by up to 31.
    if (!e.unconditional || (by.isConst ? Number(by.constant) >= size : size < 32)) return false;
    const wide = (v: Value) => e.extendU(size < 32 ? e.zeroExtend(v, size) : v);
    if (!by.isConst) {
      const kind = e.or(e.shl(by, e.i32(COUNT)), e.i32(operations[direction] | size));
      this.forget();
      this.#written = true;
      for (const [variable, value] of [
        [this.#x, wide(result)],
        [this.#y, wide(source)],
        [this.#kind, kind],
      ] as const)
        e.set(variable, e.select(by, value, e.get(variable)));
      return true;
    }
    const count = Number(by.constant);
    if (count === 0) return true;
    this.forget();
    this.#assign(wide(result), wide(source), operations[direction] | size | (count << COUNT));
    const amount = e.constant(size, direction === "left" ? size - count : count - 1);
    const carry = e.let(e.and(e.wrap(e.shrU(source, amount)), e.i32(1)));
    this.#know({ kind: "result", size, a: source, b: source, result, carry });
    return true;
  }
  /** CF alone becomes this; false as for `set`. */
  setCarry(value: Value): boolean {
    const e = this.#e;
    if (!e.unconditional) return false;
    const carry = e.let(value);
    this.forget();
    this.#written = true;
    e.set(this.#carry, e.or(carry, e.and(e.get(this.#carry), e.i32(2))));
    e.set(this.#kind, e.or(e.get(this.#kind), e.i32(CARRY)));
    this.#know({ kind: "carry", size: 32, a: carry, b: carry, result: carry, carry });
    return true;
  }
  /** CF and OF become these unless `count` is 0; false as for `set`. */
  setCarryOverflow(count: Value, flags: () => { cf: Value; of: Value }): boolean {
    const e = this.#e;
    if (!e.unconditional) return false;
    if (count.isConst && count.constant === 0n) return true;
    const { cf, of } = flags();
    const both = e.or(cf, e.shl(of, e.i32(1)));
    const kind = e.or(e.get(this.#kind), e.i32(CARRY | OVERFLOW));
    this.forget();
    this.#written = true;
    for (const [variable, value] of [
      [this.#carry, both],
      [this.#kind, kind],
    ] as const)
      e.set(variable, count.isConst ? value : e.select(count, value, e.get(variable)));
    if (count.isConst) this.#know({ kind: "carry", size: 32, a: cf, b: cf, result: cf, carry: cf });
    return true;
  }
  #assign(x: Value, y: Value, kind: number): void {
    const e = this.#e;
    this.#written = true;
    e.set(this.#x, x);
    e.set(this.#y, y);
    e.set(this.#kind, e.i32(kind));
  }
  /** After the flags were set: what else is known of them. */
  note(comparison: Comparison): void {
    // Flags that are set on some paths only tell nothing.
    if (this.#e.unconditional) this.#know(comparison);
  }

  /** FLAG_RESULT; `setAux` comes next. */
  setResult(value: Value): void {
    const e = this.#e;
    this.forget();
    this.#pending = e.let(value);
  }
  /** FLAG_AUX, of the result set just before, else of the one that there is. */
  setAux(value: Value): void {
    const e = this.#e;
    const aux = e.let(value);
    const result = this.#pending ?? this.getResult();
    this.#pending = undefined;
    this.forget();
    this.#assign(result, e.extendU(aux), 0);
    if (e.unconditional) this.#source = "aux";
  }
  getResult(): Value {
    const e = this.#e;
    this.#read = true;
    const { comparison } = this;
    if (this.#source !== "aux") {
      if (comparison?.kind === "float") return e.let(orderedFlags(e, comparison.a, comparison.b).result);
      if (comparison && comparison.kind !== "carry")
        return e.let(e.extendS(e.signExtend(comparison.result, comparison.size)));
      this.#settle();
    }
    return e.let(e.get(this.#x));
  }
  getAux(): Value {
    const e = this.#e;
    this.#read = true;
    const { comparison } = this;
    if (this.#source !== "aux") {
      const known = comparison && auxOf(e, comparison);
      if (known) return e.let(known);
      this.#settle();
    }
    return e.let(e.wrap(e.get(this.#y)));
  }

  /** CF (i32, 0 or 1), when nothing is known of it. Loops that count with INC or DEC alone ask in each round. */
  carry(): Value {
    const e = this.#e;
    this.#read = true;
    const [x, y, kind] = [e.get(this.#x), e.get(this.#y), e.get(this.#kind)];
    const carry = e.variable(e.select(e.and(kind, e.i32(UP | DOWN)), e.wrap(y), e.ltU(x, y)));
    const plain = e.and(kind, e.i32(PLAIN | CARRY));
    e.ifRare(e.geU(e.sub(plain, e.i32(1)), e.i32(PLAIN)), () => {
      this.#settle();
      e.set(carry, e.shrU(e.wrap(e.get(this.#y)), e.i32(31)));
    });
    return e.get(carry);
  }

  /** Makes X and Y the result and FLAG_AUX, whatever they are. */
  #settle(): void {
    const e = this.#e;
    const is = (bits: number) => e.and(e.get(this.#kind), e.i32(bits));
    const [floats, integers] = [() => this.#settleFloats(), () => this.#settleIntegers()];
    e.if(is(~(CARRY | OVERFLOW)), () => e.if(is(FLOATS), floats, integers));
    e.ifRare(e.and(e.get(this.#kind), e.i32(CARRY)), () => {
      const aux = e.let(e.wrap(e.get(this.#y)));
      const others = e.and(aux, e.i32(0x3fffffff));
      const flags = e.let(e.get(this.#carry));
      const carry = e.let(e.and(flags, e.i32(1)));
      const both = e.or(e.shl(carry, e.i32(31)), e.shl(e.xor(carry, e.shrU(flags, e.i32(1))), e.i32(30)));
      const top = e.select(e.and(e.get(this.#kind), e.i32(OVERFLOW)), both, e.let(withCarry(e, aux, carry)));
      e.set(this.#y, e.extendU(e.or(top, others)));
    });
    e.set(this.#kind, e.i32(0));
  }
  #settleFloats(): void {
    const e = this.#e;
    const { result, aux } = orderedFlags(e, double(e, e.get(this.#x)), double(e, e.get(this.#y)));
    e.set(this.#x, result);
    e.set(this.#y, e.extendU(aux));
  }
  #settleIntegers(): void {
    const e = this.#e;
    const kind = e.get(this.#kind);
    const size = e.let(e.and(kind, e.i32(0xff)));
    const has = (bits: number) => e.let(e.and(kind, e.i32(bits)));
    const [x, y] = [e.let(e.get(this.#x)), e.let(e.get(this.#y))];
    e.if(
      has(SHIFT_LEFT | SHIFT_RIGHT | SHIFT_ARITHMETIC),
      () => {
        const count = e.and(e.shrU(kind, e.i32(COUNT)), e.i32(63));
        const amount = e.select(has(SHIFT_LEFT), e.sub(size, count), e.sub(count, e.i32(1)));
        const bit = (v: Value, n: Value) => e.and(e.wrap(e.shrU(v, e.extendU(n))), e.i32(1));
        const carry = e.let(bit(y, amount));
        const last = e.let(e.sub(size, e.i32(1)));
        const other = e.select(has(SHIFT_RIGHT), bit(y, last), e.i32(0));
        const overflow = e.select(has(SHIFT_LEFT), e.xor(bit(x, last), carry), other);
        const aux = e.or(e.shl(carry, e.i32(31)), e.shl(e.xor(carry, overflow), e.i32(30)));
        e.set(this.#y, e.extendU(aux));
      },
      () => {
        const step = has(UP | DOWN);
        const less = has(SUBTRACT | DOWN);
        const b = e.let(e.select(step, e.i64(1), y));
        const r = e.let(e.select(has(SUBTRACT), e.sub(x, y), x));
        const a = e.let(e.select(less, e.add(r, b), e.sub(r, b)));
        const borrows = e.let(carriesOfSubtraction(e, a, b, r));
        const carries = e.let(e.select(less, borrows, e.let(carriesOfAddition(e, a, b, r))));
        const top = e.shl(e.wrap(e.shrU(carries, e.extendU(e.sub(size, e.i32(2))))), e.i32(30));
        const aux = e.let(e.or(top, e.and(e.wrap(carries), e.i32(8))));
        e.set(this.#x, r);
        e.set(this.#y, e.extendU(e.select(step, e.let(withCarry(e, aux, e.wrap(y))), aux)));
      },
    );
    const unused = e.let(e.extendU(e.sub(e.i32(64), size)));
    e.set(this.#x, e.shrS(e.shl(e.get(this.#x), unused), unused));
  }
}
