// The part of a region's emitter that hands flags to region-flags.ts, which keeps them as what they follow from.

import type { ShiftFlags } from "../emit/emitter.js";
import type { Value } from "../wasm/function-builder.js";
import { fusedCarry, fusedCondition } from "./comparison.js";
import { type FlagSource, type FlagsHost, RegionFlags } from "./region-flags.js";
import { RegionLocals } from "./region-locals.js";

export abstract class FlagsEmitter extends RegionLocals implements FlagsHost {
  protected readonly flags: RegionFlags = new RegionFlags(this);
  abstract get unconditional(): boolean;

  flagResult(): Value {
    return this.flags.getResult();
  }
  flagAux(): Value {
    return this.flags.getAux();
  }
  setFlagResult(value: Value): void {
    this.flags.setResult(value);
  }
  setFlagAux(value: Value): void {
    this.flags.setAux(value);
  }
  /** What the flags come from behind the block emitted last. */
  get flagSource(): FlagSource | undefined {
    return this.flags.source;
  }
  override flagsSub(size: number, a: Value, b: Value, r: Value, exact = true): void {
    if (exact && this.flags.set({ kind: "sub", size, a, b, result: r })) return;
    super.flagsSub(size, a, b, r, exact);
    this.flags.note({ kind: "result", size, a, b, result: r });
  }
  override flagsAdd(size: number, a: Value, b: Value, r: Value, exact = true): void {
    if (exact && this.flags.set({ kind: "add", size, a, b, result: r })) return;
    super.flagsAdd(size, a, b, r, exact);
    this.flags.note({ kind: "result", size, a, b, result: r });
  }
  override flagsStep(size: number, step: 1 | -1, a: Value, r: Value): void {
    if (!this.unconditional) {
      super.flagsStep(size, step, a, r);
      return;
    }
    const carry = this.let(this.cf());
    this.flags.set({ kind: "step", size, a, b: this.constant(size, step), result: r, carry });
  }
  override flagsLogic(size: number, r: Value): void {
    if (!this.flags.set({ kind: "logic", size, a: r, b: r, result: r })) super.flagsLogic(size, r);
  }
  override flagsOfShift(shift: ShiftFlags): void {
    const { direction, size, source, count, result } = shift;
    if (!this.flags.setShift(direction, size, source, count, result)) super.flagsOfShift(shift);
  }
  override flagsOfRotate(count: Value, flags: () => { cf: Value; of: Value }): void {
    if (!this.flags.setCarryOverflow(count, flags)) super.flagsOfRotate(count, flags);
  }
  override setCf(cf: Value): void {
    if (!this.flags.setCarry(cf)) super.setCf(cf);
  }
  override flagsFloat(a: Value, b: Value): void {
    if (!this.flags.setFloats(a, b)) super.flagsFloat(a, b);
  }
  override cf(): Value {
    const { comparison, source } = this.flags;
    if (comparison) return fusedCarry(this, comparison) ?? super.cf();
    return source === undefined ? this.flags.carry() : super.cf();
  }
  override condition(cc: number): Value {
    const { comparison } = this.flags;
    return (comparison && fusedCondition(this, comparison, cc)) ?? super.condition(cc);
  }
}
