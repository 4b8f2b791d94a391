// Locals of a region's function: those that last, and temporaries, which live for one instruction unless they are pinned.

import { Emitter } from "../emit/emitter.js";
import type { Value, Variable } from "../wasm/function-builder.js";
import type { ValueTypeName } from "../wasm/module-writer.js";

export abstract class RegionLocals extends Emitter {
  readonly #free = new Map<ValueTypeName, Variable[]>();
  #temporaries: Variable[] = [];
  #pinned: Variable[] = [];

  override local(type: ValueTypeName): Variable {
    // The base class asks while it is made.
    const variable = this.#free?.get(type)?.pop() ?? super.local(type);
    this.#temporaries?.push(variable);
    return variable;
  }
  /** A local for the whole region. */
  lasting(type: ValueTypeName): Variable {
    return super.local(type);
  }
  /** An instruction ends. */
  protected recycle(): void {
    for (const variable of this.#temporaries) {
      if (this.#pinned.includes(variable)) continue;
      this.forgetPlain(variable);
      const list = this.#free.get(variable.type);
      if (list) list.push(variable);
      else this.#free.set(variable.type, [variable]);
    }
    this.#temporaries = [];
  }
  pin(value: Value): void {
    if (value.opcode !== 0x20) return;
    const variable = this.#temporaries.find((t) => t.index === value.imm);
    if (variable) this.#pinned.push(variable);
  }
  unpin(): void {
    for (const variable of this.#pinned) if (!this.#temporaries.includes(variable)) this.#temporaries.push(variable);
    this.#pinned = [];
  }
}
