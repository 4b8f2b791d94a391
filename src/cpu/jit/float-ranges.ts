// What is known of the doubles in XMM registers (../emit/float-range.ts) while a region's blocks are generated. Across blocks it is one
// local: a bit for each lane, clear where it is zero or in the wide range. A block with arithmetic on doubles is emitted twice: its copy
// without tests for exceptions runs where the bits of the lanes that it begins with are clear, or can be; the careful one elsewhere.
// Both say in the end which lanes they leave as what.

import { type FloatRange, isWide, type RangeTracker, WIDE, ZERO } from "../emit/float-range.js";
import { checkWide, isWideOrZero } from "../semantics/sse/ranged.js";
import * as S from "../state-layout.js";
import type { FunctionBuilder, Label, Value, Variable } from "../wasm/function-builder.js";
import { V128 } from "../wasm/simd.js";

/** Copies of a block: for PE set, and for PE clear. 0: the careful one. */
export const RangeMode = { Rounded: 1, Exact: 2 } as const;
export type RangeMode = (typeof RangeMode)[keyof typeof RangeMode];

/** A lane's contents, shared by all registers and snapshots that hold a copy. */
interface Cell {
  range: FloatRange | undefined;
  /** Bit of the lane that the block began with it in; 0: none. */
  readonly bit: number;
}

const LOW = 0;
const HIGH = 1;
/** Bits 0-15 are low lanes, 16-29 high ones; 0: not known of. Above them are the modes in which they were cleared. */
const bitOf = (register: number, lane: number) => (lane === HIGH && register >= 14 ? 0 : 1 << (register + 16 * lane));
const MODE_SHIFT = 29;
const unknown = (): Cell => ({ range: undefined, bit: 0 });
const BOTH = [LOW, HIGH] as const;

export interface RangesHost extends FunctionBuilder {
  readonly unconditional: boolean;
  /** A local for the whole region. */
  lasting(type: "i32" | "v128"): Variable;
  /** A register's vector. */
  vector(register: number): Variable;
  /** Leaves for the interpreter to run the instruction, and tells later entries to be careful. */
  leaveCarefully(): void;
}

export class FloatRanges implements RangeTracker {
  readonly #e: RangesHost;
  /** The bits, each clear where its lane is known, and the mode in which they may be. */
  #known: Variable | undefined;
  #usable: Variable | undefined;
  #zeros: Variable | undefined;
  #offset: Variable | undefined;
  /** By register and lane; undefined: as the block began. */
  #cells: (Cell | undefined)[] = [];
  #starts: (Cell | undefined)[] = [];
  #written = 0;
  /** Lanes that matter behind the block, and whether its results may well be exact. */
  wanted = 0;
  allowsExact = false;
  /** Lanes that the copy assumes to be wide. */
  #needs = 0;
  #lost = 0;
  /** The copy is repeated as it is: what it says of lanes in the end it can as well say where it's entered. */
  repeats = false;
  #early: { readonly lost: number; readonly won: number } | undefined;
  /** By local: the current instruction's snapshots. */
  readonly #values = new Map<number, readonly Cell[]>();
  #mode: RangeMode | 0 = 0;
  #finished = false;
  #helps = false;
  #hinders = false;

  constructor(emitter: RangesHost) {
    this.#e = emitter;
  }

  /** A block begins, with its careful copy. */
  beginBlock(): void {
    this.#helps = false;
    this.#hinders = false;
  }
  /** The block has arithmetic on doubles. */
  helps(): void {
    this.#helps = true;
  }
  /** Whether ranged copies of the block, of which the careful one was emitted, make sense. */
  get isUseful(): boolean {
    return this.#helps && !this.#hinders;
  }
  /** A block's copy begins. */
  begin(mode: RangeMode | 0): void {
    this.#mode = mode;
    this.#finished = false;
    this.#cells = [];
    this.#starts = [];
    this.#written = 0;
    this.#needs = 0;
    this.#lost = 0;
    this.repeats = false;
    this.#early = undefined;
    this.#values.clear();
  }
  get mode(): RangeMode | 0 {
    return this.#mode;
  }
  get exact(): boolean {
    return this.#mode === RangeMode.Exact;
  }
  endInstruction(): void {
    this.#values.clear();
  }
  /** Paths meet: what was written isn't known. */
  forget(): void {
    for (const index of this.#cells.keys()) {
      const bit = bitOf(index >> 1, index & 1);
      if (bit === 0 || this.#written & bit) this.#cells[index] = unknown();
    }
  }

  // --- registers ---

  #cell(register: number, lane: number): Cell {
    const index = 2 * register + lane;
    const known = this.#cells[index];
    if (known) return known;
    const made = { range: undefined, bit: bitOf(register, lane) };
    this.#starts[index] = made;
    this.#cells[index] = made;
    return made;
  }
  #setCell(register: number, lane: number, cell: Cell | undefined): void {
    this.#cells[2 * register + lane] = (this.#e.unconditional && cell) || unknown();
    const bit = bitOf(register, lane);
    this.#written |= bit;
    if (!this.#finished) return;
    const known = this.#bits();
    this.#e.set(known, this.#e.or(this.#e.get(known), this.#e.i32(bit)));
  }
  readWhole(register: number, value: Value): void {
    const cells = BOTH.map((lane) => this.#cell(register, lane));
    this.#values.set(value.imm, cells);
  }
  writeWhole(register: number, value: Value, isZero: boolean): void {
    const zero = { range: ZERO, bit: 0 };
    const cells = isZero ? [zero, zero] : value.opcode === 0x20 ? this.#values.get(value.imm) : undefined;
    for (const lane of BOTH) this.#setCell(register, lane, cells?.[lane]);
  }
  readLane(register: number, lane: number, value: Value): void {
    this.#values.set(value.imm, [this.#cell(register, lane)]);
  }
  /** `value` undefined: only a part of the lane is written. */
  writeLane(register: number, lane: number, value: Value | undefined): void {
    this.#setCell(register, lane, value?.opcode === 0x20 ? this.#values.get(value.imm)?.[0] : undefined);
  }

  // --- RangeTracker ---

  of(value: Value): readonly (FloatRange | undefined)[] {
    const cells = value.opcode === 0x20 ? this.#values.get(value.imm) : undefined;
    if (!cells) return [undefined];
    return cells.map((cell) => {
      if (cell.bit !== 0 && !cell.range) {
        this.#needs |= cell.bit;
        cell.range = WIDE;
      }
      return cell.range;
    });
  }
  note(value: Value, ranges: readonly FloatRange[]): void {
    if (value.opcode !== 0x20) return;
    const cells = this.#values.get(value.imm);
    const lanes = value.type === "v128" ? 2 : 1;
    if (!cells) {
      const made = ranges.slice(0, lanes).map((range) => ({ range, bit: 0 }));
      this.#values.set(value.imm, made);
    } else if (this.#e.unconditional) for (const [i, cell] of cells.entries()) cell.range = ranges[i];
  }
  get offset(): Value {
    this.#offset ??= this.#e.lasting("v128");
    return this.#e.get(this.#offset);
  }
  refuse(condition: Value): void {
    this.#e.ifRare(condition, () => this.#e.leaveCarefully());
  }

  // --- blocks ---

  #bits(): Variable {
    this.#known ??= this.#e.lasting("i32");
    return this.#known;
  }
  /** Where both ranged copies stand: goes on with the one for PE clear if that is what ran before. */
  chooseExact(exact: Label): void {
    const e = this.#e;
    e.brIf(exact, e.eqz(e.and(e.get(this.#bits()), e.i32(RangeMode.Exact << MODE_SHIFT))));
  }
  /** What the copy's start takes for granted still holds at its end. */
  get holdsAgain(): boolean {
    return this.#mode === 0 || (this.#finished && (this.#needs & this.#lost) === 0);
  }
  /** Before a ranged copy, which has been emitted: goes to `otherwise` where it may not run. */
  enter(otherwise: Label): void {
    const e = this.#e;
    const usable = (this.#usable ??= e.lasting("i32"));
    const needs = this.#needs | (this.#mode << MODE_SHIFT);
    const known = this.#bits();
    e.ifRare(e.and(e.get(known), e.i32(needs)), () => {
      e.brIf(otherwise, e.ne(e.get(usable), e.i32(this.#mode)));
      for (let register = 0; register < 16; register++) {
        const [low, high] = BOTH.map((lane) => this.#needs & bitOf(register, lane));
        if (!low && !high) continue;
        const vector = e.get(e.vector(register));
        const lane = (index: number) => e.let(e.op("f64", 0xfd21, [vector], index));
        e.brIf(otherwise, e.eqz(isWideOrZero(e, low && high ? vector : lane(high ? HIGH : LOW))));
      }
      e.set(known, e.and(e.get(known), e.i32(~needs)));
    });
    if (!this.#early) return;
    const { lost, won } = this.#early;
    e.set(known, e.and(e.or(e.get(known), e.i32(lost)), e.i32(~won)));
  }
  /**
   * Before another copy than the one for PE set, of which it is the one emitted last. V8 numbers values across both: what they have in common it would compute
   * again and again, wherever control leads. So this copy gets the registers by way of an operation that V8 can't see through.
   */
  separate(): void {
    const e = this.#e;
    // Another one for each copy.
    const opcode = this.#mode === 0 ? V128.or : V128.xor;
    const zeros = (this.#zeros ??= e.lasting("v128"));
    for (let register = 0; register < 16; register++) {
      if (!BOTH.some((lane) => this.#starts[2 * register + lane])) continue;
      const vector = e.vector(register);
      e.set(vector, e.op("v128", opcode, [e.get(vector), e.get(zeros)]));
    }
  }
  /** The region is entered: `f` writes its prologue, `setMode` finds out which mode is possible. */
  prologue(f: FunctionBuilder, setMode: (variable: Variable) => void): void {
    if (this.#known) f.set(this.#known, f.i32(-1));
    if (this.#usable) setMode(this.#usable);
    if (this.#zeros) f.set(this.#zeros, f.load("v128", f.param(0), S.ZEROS));
    if (this.#offset) f.set(this.#offset, f.load("v128", f.param(0), S.WIDE_OFFSET));
  }
  /** MXCSR changed: nothing is known. */
  reset(): void {
    this.#hinders = true;
    this.#usable ??= this.#e.lasting("i32");
    this.#e.set(this.#usable, this.#e.i32(0));
    this.#e.set(this.#bits(), this.#e.i32(-1));
  }

  /** The copy writes no more vectors: of what matters behind it, what is too wide is checked; `refuse` leaves. */
  finish(refuse: (condition: Value) => void = (condition) => this.refuse(condition)): void {
    if (this.#finished) return;
    this.#finished = true;
    const e = this.#e;
    let kept = 0;
    let gone = this.#written;
    /** By distance: lanes that hold what another one held. */
    const copies = new Map<number, number>();
    const checked = new Set<Cell>();
    const values: Value[] = [];
    for (let register = 0; register < 16; register++) {
      let open = 0;
      for (let lane = LOW; lane <= HIGH; lane++) {
        const cell = this.#cells[2 * register + lane];
        const bit = bitOf(register, lane);
        if (cell?.bit === bit) gone &= ~bit;
        if ((this.wanted & bit) === 0) continue;
        if (cell?.range) {
          kept |= bit;
          if (isWide(cell.range) || checked.has(cell)) continue;
          open |= 1 << lane;
        } else if (cell?.bit && cell.bit !== bit) {
          const distance = Math.clz32(cell.bit) - Math.clz32(bit);
          copies.set(distance, (copies.get(distance) ?? 0) | bit);
        }
      }
      if (open === 0) continue;
      for (let lane = LOW; lane <= HIGH; lane++) if (open & (1 << lane)) checked.add(this.#cells[2 * register + lane]!);
      const vector = e.get(e.vector(register));
      values.push(open === 3 ? vector : e.let(e.op("f64", 0xfd21, [vector], open & (1 << HIGH) ? HIGH : LOW)));
    }
    checkWide(e, values, () => this.offset, refuse);
    // What the careful copy does proves nothing: PE may be clear.
    if (this.#mode === 0) kept = 0;
    const lost = gone & ~kept;
    this.#lost = lost;
    const won = kept & ~this.#needs;
    if (!lost && !won) return;
    if (this.repeats && copies.size === 0) {
      this.#early = { lost, won };
      return;
    }
    const known = this.#bits();
    const moved = [...copies].map(([distance, bits]) => {
      const amount = e.i32(Math.abs(distance));
      const shifted = distance > 0 ? e.shl(e.get(known), amount) : e.shrU(e.get(known), amount);
      return e.or(shifted, e.i32(~bits));
    });
    let value = e.get(known);
    if (lost) value = e.or(value, e.i32(lost));
    for (const bits of won ? [e.i32(~won), ...moved] : moved) value = e.and(value, bits);
    e.set(known, value);
  }
}
