// Memory accesses of a region: effective addresses of constants and register locals, and the probe of the TLB. What doesn't hit
// it is left to the interpreter, which looks the address up, and comes back.

import type { Operand } from "../emit/emitter.js";
import { bareOperand, loadKind, storeKindOf } from "../emit/operand.js";
import * as S from "../state-layout.js";
import { TLB_ENTRY_SHIFT, TLB_INDEX_MASK, TLB_LINEAR, TLB_READ, TLB_WRITE } from "../tlb-layout.js";
import type { FunctionBuilder, Label, LoadKind, Value, Variable } from "../wasm/function-builder.js";
import type { AddressForms, Strides } from "./address-forms.js";
import type { RegionInstruction } from "./flow.js";
import {
  type Access,
  type ProbeGroup,
  type ProbeNode,
  type ProbePlan,
  planProbes,
  sharingNodes,
} from "./shared-probes.js";

/** What accesses need of the emitter that they belong to. */
export interface MemoryHost extends FunctionBuilder {
  readonly addressSize: number;
  /** Address of the TLB, and of the region's first page. */
  readonly tlb: Variable;
  readonly pageVa: Variable;
  readonly forms: AddressForms;
  /** Whether what is emitted now runs whenever the current instruction does. */
  readonly unconditional: boolean;
  /** A local for the whole region. */
  lasting(type: "i32"): Variable;
  /** A general register's local. */
  register(code: number): Variable;
  stateLoad(kind: LoadKind, offset: number): Value;
  /** Leaves: the interpreter runs this instruction. */
  host(name: string): void;
}

export class RegionMemory {
  readonly #e: MemoryHost;
  #plan: ProbePlan | undefined;
  /** Of the block, in order. */
  #accesses: (Access | undefined)[] = [];
  /** Where groups begin in the Wasm memory. */
  readonly #groups: Variable[] = [];
  /** What to add to a group's virtual addresses. */
  readonly #linear: Variable[] = [];
  /** The last place, or the first one of those that lead downwards, from which a group's next one lies in the same page. */
  readonly #limits: Variable[] = [];
  /** The number of the access that must be aligned. */
  #aligned = -1;
  #node = 0;
  readonly #near = new Map<Value, { base: Value; distance: number }>();

  constructor(emitter: MemoryHost) {
    this.#e = emitter;
  }

  /** A block begins; with a plan it is emitted again, as its fast copy. */
  begin(plan: ProbePlan | undefined): void {
    this.#plan = plan;
    this.#accesses = [];
    this.#aligned = -1;
    this.#node = 0;
    this.#near.clear();
  }
  /** Another block begins, whose accesses share probes with those before. */
  goOn(node: number): void {
    this.#aligned = -1;
    this.#node = node;
    this.#near.clear();
  }
  /** How the block's accesses could share probes. */
  plan(ways: readonly Strides[], nodes?: readonly ProbeNode[]): ProbePlan | undefined {
    return planProbes(this.#accesses, ways, nodes);
  }
  sharingNodes(plan: ProbePlan, nodes: readonly ProbeNode[]): ReadonlySet<number> {
    return sharingNodes(plan, this.#accesses, nodes);
  }
  /** Where a block starts: the probes of a plan. */
  probe({ groups }: ProbePlan, otherwise: Label, node = 0): void {
    for (const [i, group] of groups.entries()) if (group.node === node) this.#probeGroup(i, group, otherwise);
  }
  #probeGroup(i: number, group: ProbeGroup, otherwise: Label): void {
    const e = this.#e;
    const { sum, start, span, write, table, strides, aligned } = group;
    const va = e.let(e.add(sum.build(), e.i64(start)));
    if (aligned !== undefined) e.brIf(otherwise, e.and(e.add(e.wrap(va), e.i32(aligned)), e.i32(15)), false);
    const { entry, misses } = this.#entry(va, span, write);
    e.brIf(otherwise, misses, false);
    const place = (this.#groups[i] ??= e.lasting("i32"));
    const linear = e.let(e.load("i32", entry, TLB_LINEAR));
    e.set(place, e.add(e.wrap(va), linear));
    if (table) e.set((this.#linear[i] ??= e.lasting("i32")), linear);
    const [stride] = strides;
    if (!stride || strides.length > 1) return;
    const limit = (this.#limits[i] ??= e.lasting("i32"));
    const page = e.and(e.get(place), e.i32(-4096));
    e.set(limit, e.add(page, e.i32(stride < 0 ? -stride : 4096 - span - stride)));
  }
  /** Where the way of this number leads to the start again: groups that go on in the same page aren't looked up. */
  repeat({ groups }: ProbePlan, otherwise: Label, way: number): void {
    const e = this.#e;
    for (const [i, group] of groups.entries()) {
      if (group.node > 0) continue;
      const stride = group.strides[way];
      if (stride === undefined) this.#probeGroup(i, group, otherwise);
      else if (stride !== 0) {
        const place = e.get(this.#groups[i]!);
        const end = group.strides.length > 1 ? e.let(e.and(place, e.i32(4095))) : place;
        const limit =
          end === place ? e.get(this.#limits[i]!) : e.i32(stride < 0 ? -stride : 4096 - group.span - stride);
        e.brIf(otherwise, stride < 0 ? e.ltU(end, limit) : e.gtU(end, limit), false);
        e.set(this.#groups[i]!, e.add(place, e.i32(stride)));
      }
    }
  }
  /** An address as a constant distance (of at most a page) from a local. */
  nearOf(address: Value): { base: Value; distance: number } | undefined {
    return this.#near.get(address);
  }

  /** The next access must be aligned; true when it is known to be. */
  expectAligned(): boolean {
    this.#aligned = this.#accesses.length;
    return this.#plan?.accesses[this.#aligned]?.aligned ?? false;
  }
  /** Where the bytes lie in the Wasm memory. */
  translate(va: Value, size: number, write: boolean): { address: Value; slow: Value } {
    const e = this.#e;
    const bytes = size / 8;
    const number = this.#accesses.length;
    const form = e.unconditional ? e.forms.of(va) : undefined;
    this.#accesses.push(form && { form, bytes, write, aligned: this.#aligned === number, node: this.#node });
    const shared = this.#plan?.accesses[number];
    if (shared && shared.distance < 0)
      return { address: e.let(e.add(e.wrap(va), e.get(this.#linear[shared.group]!))), slow: e.i32(0) };
    if (shared) {
      const base = e.get(this.#groups[shared.group]!);
      const address = e.add(base, e.i32(shared.distance));
      this.#near.set(address, { base, distance: shared.distance });
      return { address, slow: e.i32(0) };
    }
    const { entry, misses } = this.#entry(va, bytes, write);
    // No call here: one that came back would cost the code around it its machine registers.
    e.ifRare(misses, () => e.host(""));
    const address = e.let(e.add(e.wrap(va), e.load("i32", entry, TLB_LINEAR)));
    return { address, slow: e.i32(0) };
  }
  #entry(va: Value, bytes: number, write: boolean): { entry: Value; misses: Value } {
    const e = this.#e;
    const mask = e.i32(TLB_INDEX_MASK << TLB_ENTRY_SHIFT);
    const index = e.and(e.wrap(e.shrU(va, e.i64(12 - TLB_ENTRY_SHIFT))), mask);
    const entry = e.let(e.add(e.get(e.tlb), index));
    const tag = e.load("i64", entry, write ? TLB_WRITE : TLB_READ);
    return { entry, misses: e.gtU(e.add(va, tag), e.i64(4096 - bytes)) };
  }
  read(address: Value, size: number): Value {
    const e = this.#e;
    return e.let(e.load(loadKind[size]!, this.translate(e.let(address), size, false).address));
  }
  readFloat(address: Value, bits: 32 | 64): Value {
    const e = this.#e;
    const place = this.translate(e.let(address), bits, false);
    return e.let(e.load(bits === 64 ? "f64" : "f32", place.address));
  }
  write(address: Value, size: number, value: Value): void {
    const e = this.#e;
    const v = e.let(value);
    this.#store(this.translate(e.let(address), size, true), size, v);
  }
  update(address: Value, size: number, change: (old: Value) => Value): void {
    const e = this.#e;
    const place = this.translate(address, size, true);
    const old = e.let(e.load(loadKind[size]!, place.address));
    this.#store(place, size, e.let(change(old)));
  }
  #store(place: { address: Value }, size: number, value: Value): void {
    this.#e.store(storeKindOf(value, size), place.address, value);
  }

  inSegment(segment: number, offset: Value): Value {
    const e = this.#e;
    const at = e.let(offset);
    if (segment < S.Seg.FS) return at;
    return e.let(e.add(at, e.stateLoad("i64", S.SEG_BASE + 8 * segment)));
  }

  effectiveAddress({ decoded, at, length }: RegionInstruction): Value {
    const e = this.#e;
    const displacement = (BigInt(decoded.dispHi | 0) << 32n) | BigInt(decoded.dispLo >>> 0);
    let address: Value;
    if (decoded.ripRelative) address = e.add(e.get(e.pageVa), e.i64(displacement + BigInt(at + length)));
    else {
      const index = decoded.index < 0 ? e.i64(0) : e.shl(e.get(e.register(decoded.index)), e.i64(decoded.scale));
      const base = decoded.base < 0 ? e.i64(0) : e.get(e.register(decoded.base));
      address = e.add(e.add(base, index), e.i64(displacement));
    }
    if (e.addressSize === 32) address = e.and(address, e.i64(0xffffffff));
    return e.let(address);
  }

  /** The instruction's memory operand, from byte `offset` on. */
  operand(instruction: RegionInstruction, size: number, offset = 0): Operand {
    const e = this.#e;
    let place: { address: Value } | undefined;
    const effective = () => {
      const base = this.effectiveAddress(instruction);
      return offset === 0 ? base : e.add(base, e.i64(offset));
    };
    const linear = () => this.inSegment(instruction.segment, effective());
    return {
      ...bareOperand("memory", size),
      read: () => this.read(linear(), size),
      readForWrite: () => {
        place = this.translate(linear(), size, true);
        return e.let(e.load(loadKind[size]!, place.address));
      },
      write: (value) => {
        if (place) this.#store(place, size, e.let(value));
        else this.write(linear(), size, value);
      },
      readFloat: (bits) => this.readFloat(linear(), bits),
      writeFloat: (bits, value) => this.write(linear(), bits, value),
      address: () => e.let(effective()),
      linear: () => linear(),
      part: (more, partSize) => this.operand(instruction, partSize, offset + more),
    };
  }
}
