// What a region asks of MXCSR in each arithmetic instruction, kept in locals: found out where the region is entered, and again when it
// loads MXCSR. A region that goes on after PE was set finds results by the slower way until it's entered again.

import type { FloatBits } from "../emit/emitter.js";
import { floatExactOf, floatLimitOf, setFloatExact, setFloatLimit } from "../emit/float-limit.js";
import * as S from "../state-layout.js";
import type { FunctionBuilder, Variable } from "../wasm/function-builder.js";
import { RangeMode } from "./float-ranges.js";

export interface LocalsHost extends FunctionBuilder {
  /** A local for the whole region. */
  lasting(type: "i32"): Variable;
}

export class MxcsrLocals {
  readonly #e: LocalsHost;
  readonly #limits = new Map<FloatBits, Variable>();
  #exact: Variable | undefined;

  constructor(emitter: LocalsHost) {
    this.#e = emitter;
  }

  /** Emitter.floatLimit. */
  limit(bits: FloatBits): Variable {
    let variable = this.#limits.get(bits);
    if (!variable) {
      variable = this.#e.lasting("i32");
      this.#limits.set(bits, variable);
    }
    return variable;
  }
  /** Emitter.floatExact. */
  exact(): Variable {
    this.#exact ??= this.#e.lasting("i32");
    return this.#exact;
  }

  /** The region is entered: `f` writes its prologue. */
  prologue(f: FunctionBuilder): void {
    for (const [bits, variable] of this.#limits) setFloatLimit(f, bits, variable);
    if (this.#exact) setFloatExact(f, this.#exact);
  }
  /** Which ranged copies of blocks may run: a RangeMode, or 0. By branches, as the limits. */
  setRangeMode(f: FunctionBuilder, variable: Variable): void {
    const state = (offset: number) => f.load("i32", f.param(0), offset);
    const allow = (mode: RangeMode) => () =>
      f.if(f.and(state(S.FLOAT_CAREFUL), f.i32(mode)), () => f.set(variable, f.i32(0)));
    f.set(variable, f.i32(0));
    f.if(f.eqz(state(S.SSE_TRAP)), () =>
      f.if(
        floatLimitOf(f, 64),
        () => {
          f.set(variable, f.i32(RangeMode.Rounded));
          allow(RangeMode.Rounded)();
        },
        () =>
          f.if(floatExactOf(f), () => {
            f.set(variable, f.i32(RangeMode.Exact));
            allow(RangeMode.Exact)();
          }),
      ),
    );
  }
  /** MXCSR was stored. The limits of a block that comes first in the function may be made by one behind it. */
  changed(): void {
    for (const bits of [32, 64] as const) setFloatLimit(this.#e, bits, this.limit(bits));
    setFloatExact(this.#e, this.exact());
  }
}
