// What is known of addresses while a block is emitted: each as a sum of what registers held at the block's start, plus a constant.
// Two addresses with the same sum lie a known distance apart.

import type { FunctionBuilder, Value, Variable } from "../wasm/function-builder.js";

/** A sum of registers' values at the block's start, each shifted left; the same object for the same sum. */
export interface Sum {
  /** Its value where the block starts. */
  build(): Value;
}

export interface Form {
  readonly sum: Sum;
  readonly offset: bigint;
}

const LOCAL_GET = 0x20;
const ADD = 0x7c;
const SUB = 0x7d;
const SHL = 0x86;

export class AddressForms {
  readonly #f: FunctionBuilder;
  /** By index of a local; undefined: unknown. */
  readonly #locals = new Map<number, Form | undefined>();
  readonly #sums = new Map<string, Sum>();
  readonly #keys = new Map<Sum, string>();
  readonly #none: Sum;

  constructor(f: FunctionBuilder) {
    this.#f = f;
    this.#none = { build: () => f.i64(0) };
  }

  /** A block begins: `sources` are the i64 locals whose values there sums are made of. */
  begin(sources: Iterable<Variable>): void {
    this.#locals.clear();
    this.#sums.clear();
    this.#keys.clear();
    this.#keys.set(this.#none, "");
    for (const variable of sources) this.source(variable);
  }
  source(variable: Variable): void {
    const sum = this.#sum(`l${variable.index}`, () => this.#f.get(variable));
    this.#locals.set(variable.index, { sum, offset: 0n });
  }
  /** A local gets a value, on some paths only unless `unconditional`. */
  assign(variable: Variable, value: Value, unconditional: boolean): void {
    if (variable.type === "i64") this.#locals.set(variable.index, unconditional ? this.of(value) : undefined);
  }

  of(value: Value): Form | undefined {
    if (value.type !== "i64") return undefined;
    if (value.isConst) return { sum: this.#none, offset: value.constant };
    if (value.opcode === LOCAL_GET) return this.#locals.get(value.imm);
    if (value.opcode !== ADD && value.opcode !== SUB && value.opcode !== SHL) return undefined;
    const [x, y] = [this.of(value.args[0]!), this.of(value.args[1]!)];
    if (!x || !y) return undefined;
    if (value.opcode === ADD) return { sum: this.#add(x.sum, y.sum), offset: x.offset + y.offset };
    if (y.sum !== this.#none) return undefined;
    if (value.opcode === SUB) return { sum: x.sum, offset: x.offset - y.offset };
    return { sum: this.#shift(x.sum, y.offset), offset: x.offset << y.offset };
  }

  #add(x: Sum, y: Sum): Sum {
    if (x === this.#none) return y;
    if (y === this.#none) return x;
    const [a, b] = [this.#keys.get(x)!, this.#keys.get(y)!];
    if (a > b) return this.#add(y, x);
    return this.#sum(`(${a}+${b})`, () => this.#f.add(x.build(), y.build()));
  }
  #shift(x: Sum, by: bigint): Sum {
    if (x === this.#none) return x;
    return this.#sum(`${this.#keys.get(x)}<${by}`, () => this.#f.shl(x.build(), this.#f.i64(by)));
  }
  #sum(key: string, build: () => Value): Sum {
    let sum = this.#sums.get(key);
    if (!sum) {
      sum = { build };
      this.#sums.set(key, sum);
      this.#keys.set(sum, key);
    }
    return sum;
  }
}
