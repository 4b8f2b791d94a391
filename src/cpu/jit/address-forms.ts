// What is known of addresses while a block is emitted: each as a sum of what registers held at the block's start, plus a constant,
// plus a number with a known bound (a byte that indexes a table). Addresses with the same sum lie near one another. Where blocks
// follow one another sums go on from one to the next; a register of which nothing is known begins anew at each.

import type { FunctionBuilder, Value, Variable } from "../wasm/function-builder.js";

/** A sum of registers' values at the block's start, each shifted left; the same object for the same sum. */
export interface Sum {
  /** Of what its locals hold: its value where the block starts. */
  build(): Value;
  /** What a local held where `key` says, and how far that is shifted. */
  readonly terms: readonly (readonly [local: number, key: string, shift: bigint])[];
}

/** What was known at some place. */
export interface FormsThere {
  readonly locals: ReadonlyMap<number, Form | undefined>;
  readonly bounds: ReadonlyMap<number, bigint>;
}

/** How far sums have got when a block's end is reached; undefined: that isn't known. */
export type Strides = (sum: Sum) => bigint | undefined;

export interface Form {
  readonly sum: Sum;
  readonly offset: bigint;
  /** It is at most this much more. */
  readonly range: bigint;
}

const LOCAL_GET = 0x20;
const ADD = 0x7c;
const SUB = 0x7d;
const SHL = 0x86;
const SHL_32 = 0x74;
const AND = 0x83;
const AND_32 = 0x71;
const SHR = 0x88;
const SHR_32 = 0x76;
const EXTEND = 0xad;
const WRAP = 0xa7;
const LOAD_8 = 0x2d;
const LOAD_16 = 0x2f;
/** Numbers with greater bounds are of no use. */
const MAX_RANGE = 0xffffn;

export class AddressForms {
  readonly #f: FunctionBuilder;
  /** By index of a local; undefined: unknown. */
  readonly #locals = new Map<number, Form | undefined>();
  readonly #bounds = new Map<number, bigint>();
  readonly #sums = new Map<string, Sum>();
  readonly #keys = new Map<Sum, string>();
  readonly #none: Sum;

  constructor(f: FunctionBuilder) {
    this.#f = f;
    this.#none = { build: () => f.i64(0), terms: [] };
  }

  /** A block begins: `sources` are the i64 locals whose values there sums are made of. */
  begin(sources: Iterable<Variable>): void {
    this.#locals.clear();
    this.#bounds.clear();
    this.#sums.clear();
    this.#keys.clear();
    this.#keys.set(this.#none, "");
    for (const variable of sources) this.source(variable);
  }
  source(variable: Variable, node = 0): void {
    const key = `l${variable.index}${node === 0 ? "" : `@${node}`}`;
    const sum = this.#sum(key, () => this.#f.get(variable), [[variable.index, key, 0n]]);
    this.#locals.set(variable.index, { sum, offset: 0n, range: 0n });
  }
  /** Paths meet that may have assigned differently: nothing is known of any local. */
  forget(): void {
    for (const local of this.#locals.keys()) this.#locals.set(local, undefined);
    this.#bounds.clear();
  }
  /** For another block that control goes to from here alone. */
  get here(): FormsThere {
    return { locals: new Map(this.#locals), bounds: new Map(this.#bounds) };
  }
  /** Such a block begins. `sources` as at the first block: of those that weren't asked for on the way here nothing was assigned. */
  goOn({ locals, bounds }: FormsThere, sources: Iterable<Variable>, node: number): void {
    this.#locals.clear();
    this.#bounds.clear();
    for (const [local, form] of locals) this.#locals.set(local, form);
    for (const variable of sources)
      if (!this.#locals.get(variable.index)) this.source(variable, locals.has(variable.index) ? node : 0);
    for (const [local, bound] of bounds) this.#bounds.set(local, bound);
  }
  /** A local gets a value, on some paths only unless `unconditional`. */
  assign(variable: Variable, value: Value, unconditional: boolean): void {
    if (variable.type !== "i64" && variable.type !== "i32") return;
    const bound = unconditional ? this.#boundOf(value) : undefined;
    if (variable.type === "i64") this.#locals.set(variable.index, unconditional ? this.of(value) : undefined);
    if (bound === undefined) this.#bounds.delete(variable.index);
    else this.#bounds.set(variable.index, bound);
  }

  /** Of what is emitted so far. */
  get strides(): Strides {
    const steps = new Map<number, readonly [key: string, step: bigint] | undefined>();
    for (const [local, form] of this.#locals)
      steps.set(local, form?.range === 0n ? [this.#keys.get(form.sum)!, form.offset] : undefined);
    return ({ terms }) => {
      let sum = 0n;
      for (const [local, key, shift] of terms) {
        // What wasn't asked for yet wasn't assigned either.
        const [of, step] = steps.has(local) ? (steps.get(local) ?? []) : [`l${local}`, 0n];
        if (of !== key || step === undefined) return undefined;
        sum += step << shift;
      }
      return sum;
    };
  }

  of(value: Value): Form | undefined {
    if (value.type !== "i64") return undefined;
    const form = this.#sumOf(value);
    if (form) return form;
    const range = this.#boundOf(value);
    return range === undefined ? undefined : { sum: this.#none, offset: 0n, range };
  }
  #sumOf(value: Value): Form | undefined {
    if (value.isConst) return { sum: this.#none, offset: value.constant, range: 0n };
    if (value.opcode === LOCAL_GET) return this.#locals.get(value.imm);
    if (value.opcode !== ADD && value.opcode !== SUB && value.opcode !== SHL) return undefined;
    const [x, y] = [this.of(value.args[0]!), this.of(value.args[1]!)];
    if (!x || !y) return undefined;
    if (value.opcode === ADD)
      return { sum: this.#add(x.sum, y.sum), offset: x.offset + y.offset, range: x.range + y.range };
    if (y.sum !== this.#none || y.range !== 0n) return undefined;
    if (value.opcode === SUB) return { sum: x.sum, offset: x.offset - y.offset, range: x.range };
    const by = y.offset & 63n;
    return { sum: this.#shift(x.sum, by), offset: x.offset << by, range: x.range << by };
  }
  /** An unsigned bound of an integer. */
  #boundOf(value: Value): bigint | undefined {
    const { opcode, args } = value;
    if (value.isConst) return value.constant >= 0n ? value.constant : undefined;
    if (opcode === LOCAL_GET) return this.#bounds.get(value.imm);
    if (opcode === LOAD_8) return 0xffn;
    if (opcode === LOAD_16) return 0xffffn;
    if (opcode === EXTEND || opcode === WRAP) return this.#boundOf(args[0]!);
    if (opcode === AND || opcode === AND_32) {
      const bounds = args.flatMap((arg) => this.#boundOf(arg) ?? []);
      return bounds.length > 0 ? bounds.reduce((a, b) => (a < b ? a : b)) : undefined;
    }
    if (!args[1]?.isConst) return undefined;
    const by = args[1].constant & (value.type === "i64" ? 63n : 31n);
    if (opcode === SHR || opcode === SHR_32)
      return (this.#boundOf(args[0]!) ?? (1n << (opcode === SHR ? 64n : 32n)) - 1n) >> by;
    if (opcode !== SHL && opcode !== SHL_32) return undefined;
    const bound = this.#boundOf(args[0]!);
    return bound !== undefined && bound << by <= MAX_RANGE ? bound << by : undefined;
  }

  #add(x: Sum, y: Sum): Sum {
    if (x === this.#none) return y;
    if (y === this.#none) return x;
    const [a, b] = [this.#keys.get(x)!, this.#keys.get(y)!];
    if (a > b) return this.#add(y, x);
    return this.#sum(`(${a}+${b})`, () => this.#f.add(x.build(), y.build()), [...x.terms, ...y.terms]);
  }
  #shift(x: Sum, by: bigint): Sum {
    if (x === this.#none) return x;
    const terms = x.terms.map(([local, key, shift]) => [local, key, shift + by] as const);
    return this.#sum(`${this.#keys.get(x)}<${by}`, () => this.#f.shl(x.build(), this.#f.i64(by)), terms);
  }
  #sum(key: string, build: () => Value, terms: Sum["terms"]): Sum {
    let sum = this.#sums.get(key);
    if (!sum) {
      sum = { build, terms };
      this.#sums.set(key, sum);
      this.#keys.set(sum, key);
    }
    return sum;
  }
}
