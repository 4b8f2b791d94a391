// Emits a region: registers and lazy flags in Wasm locals across all blocks, operands as constants, one common exit that
// stores what changed. Runs the same semantics bodies as the interpreter. What needs a host operation is left to the interpreter:
// the region exits before that instruction.

import type { FloatBits, Operand } from "../emit/emitter.js";
import type { RangeTracker } from "../emit/float-range.js";
import * as R from "../interpreter/record.js";
import * as S from "../state-layout.js";
import { CodeWriter, type FunctionBody } from "../wasm/code-writer.js";
import {
  FunctionBuilder,
  type Label,
  type LoadKind,
  type StoreKind,
  type Value,
  type Variable,
} from "../wasm/function-builder.js";
import { AddressForms, type FormsThere, type Strides } from "./address-forms.js";
import { type BlockTree, pruneTree } from "./block-trees.js";
import { FlagsEmitter } from "./flags-emitter.js";
import { FloatRanges, RangeMode } from "./float-ranges.js";
import { type BlockCost, ifRecord, type RegionContext, type RegionInstruction } from "./flow.js";
import { type MemoryHost, RegionMemory } from "./memory.js";
import { MxcsrLocals } from "./mxcsr-locals.js";
import { type OperandsHost, operandOf } from "./operands.js";
import { PageChecks } from "./page-checks.js";
import type { FlagSource } from "./region-flags.js";
import type { BlockRequest, Edge } from "./request.js";
import type { ProbeNode, ProbePlan } from "./shared-probes.js";
import { searchFor, switchTo } from "./switch.js";
import { type VectorHost, VectorRegisters } from "./vector-registers.js";

/** What is known where control goes to a node of a tree's copy. */
interface Arrival {
  readonly forms: FormsThere;
  readonly source: FlagSource | undefined;
  readonly units: ReadonlySet<"mmx" | "sse">;
}

interface TreeCopy {
  readonly tree: BlockTree;
  /** Undefined while it is emitted to find one. */
  readonly plan: ProbePlan | undefined;
  readonly start: Label;
  /** By node. */
  readonly labels: readonly Label[];
  readonly arrivals: (Arrival | undefined)[];
  /** Instructions that must still be allowed where the head begins. */
  readonly needs: number;
  /** Ways to the head so far. */
  readonly ways: Strides[];
  readonly probes: ProbeNode[];
  node: number;
}

/** A block of a tree's copy. */
export interface TreeBlock {
  readonly block: BlockRequest;
  readonly cost: BlockCost;
  /** Whether the block itself can be reached from the tree's head. */
  readonly reachable: boolean;
  emit(): void;
}

export class JitEmitter extends FlagsEmitter implements VectorHost, MemoryHost, OperandsHost {
  readonly #context: RegionContext;
  readonly state: Value;
  readonly #registers: (Variable | undefined)[] = [];
  readonly #written: boolean[] = [];
  /** Address of the region's first page. */
  readonly pageVa: Variable;
  /** Which entry, or which block of the loop whose head control goes to. */
  readonly #selector: Variable;
  readonly #indirectTarget: Variable;
  /** Address of the region's pool, which is its number. */
  readonly #pool: Variable;
  readonly tlb: Variable;
  readonly #next: Variable;
  /** Instructions that may still run, as BUDGET. */
  readonly #left: Variable;
  readonly #exit: Label;
  readonly #again: Label;
  readonly #indirect: Label;
  readonly vectors: VectorRegisters = new VectorRegisters(this);
  readonly forms: AddressForms = new AddressForms(this);
  readonly memory: RegionMemory = new RegionMemory(this);
  readonly floatRanges: FloatRanges = new FloatRanges(this);
  readonly #pages: PageChecks = new PageChecks(this);
  readonly #mxcsr: MxcsrLocals = new MxcsrLocals(this);
  /** Units that the block has checked. */
  readonly #checkedUnits = new Set<"mmx" | "sse">();
  override readonly leavesForHost = true;
  #source: FlagSource | undefined;
  #instruction!: RegionInstruction;
  #block!: BlockRequest;
  #cost!: BlockCost;
  /** Its number. */
  #place = 0;
  /** Of the block's first copy when it leads to itself: what is known of addresses then. */
  #strides: Strides | undefined;
  /** Inside a copy that can be repeated without going to the block's start: how. */
  #repeat: { readonly label: Label; readonly plan: ProbePlan | undefined } | undefined;
  /** Inside a tree's copy. */
  #tree: TreeCopy | undefined;
  #after!: Label;
  /** The instruction's body went on with the next instruction from somewhere inside. */
  #reachesEnd = false;
  /** Control can't reach what would come next. */
  dead = false;
  #depth = 0;

  constructor(context: RegionContext) {
    super({ size: 64, addressSize: 64, mode: 64, rep: 0 });
    this.#context = context;
    this.state = this.param(0);
    this.#next = this.lasting("i32");
    this.#left = this.lasting("i32");
    this.tlb = this.lasting("i32");
    this.pageVa = this.lasting("i64");
    this.#selector = this.lasting("i32");
    this.#indirectTarget = this.lasting("i64");
    this.#pool = this.lasting("i32");
    this.set(this.#pool, this.load("i32", this.param(1), R.REGION));
    this.#enter(this.param(1), this.load("i64", this.state, S.PAGE_VA));
    this.#exit = this.begin("block");
    this.#again = this.begin("loop");
    this.#indirect = this.begin("block");
  }
  /** The region is entered by this record, of the page at `va`. */
  #enter(record: Value, va: Value): void {
    this.set(this.#selector, this.load("i32", record, R.ENTRY));
    const distance = this.extendS(this.and(this.get(this.#selector), this.i32(-4096)));
    this.set(this.pageVa, this.sub(va, distance));
    this.set(this.#selector, this.and(this.get(this.#selector), this.i32(0xfff)));
  }

  // --- region ---

  /** Branches by the selector. */
  enterBySelector(labels: readonly Label[], otherwise: Label): void {
    this.brTable(labels, otherwise, this.get(this.#selector));
  }
  /** At the head of a loop whose inner blocks can be jumped to. */
  selectInLoop(labels: readonly (Label | undefined)[]): void {
    this.ifRare(this.get(this.#selector), () => {
      const end = { depth: this.currentDepth };
      this.brTable(
        labels.map((label) => label ?? end),
        end,
        this.get(this.#selector),
      );
    });
  }

  /** Before a block's code: leaves when fewer instructions may still run than it takes. */
  enterBlock(place: number, block: BlockRequest, cost: BlockCost, selected: boolean, source?: FlagSource): void {
    this.#place = place;
    this.#block = block;
    this.#cost = cost;
    this.#source = source;
    if (selected) this.set(this.#selector, this.i32(0));
    if (cost.needs > 0)
      this.ifRare(this.ltS(this.get(this.#left), this.i32(cost.needs)), () => this.#leave(block.records, block.at, 0));
  }

  /** A block's code: `body` emits it, as often as there are copies of it; once where it is run seldom. */
  blockBody(body: () => void, seldom: boolean): void {
    this.floatRanges.beginBlock();
    this.#beginCopy(undefined, 0);
    if (seldom) {
      body();
      return;
    }
    this.#strides = undefined;
    const careful = this.#apart(body);
    const plan = this.memory.plan(this.#strides ? [this.#strides] : []);
    const asksOnce = this.#strides !== undefined && this.#checkedUnits.has("sse");
    const repeated = () => this.#apart(() => this.#repeatable(plan, body));
    const ranged = this.floatRanges.isUseful;
    const separation = ranged ? this.#apart(() => this.floatRanges.separate()) : undefined;
    if (plan || ranged) {
      const otherwise = this.begin("block");
      this.#beginCopy(plan, ranged ? RangeMode.Rounded : 0);
      if (plan) this.memory.probe(plan, otherwise);
      if (asksOnce && !this.unitChecked("sse")) this.brIf(otherwise, this.stateLoad("i32", S.SSE_TRAP), false);
      const exact = ranged && this.floatRanges.allowsExact ? this.begin("block") : otherwise;
      if (exact !== otherwise) this.floatRanges.chooseExact(exact);
      const copy = repeated();
      if (ranged) this.floatRanges.enter(exact);
      this.code.append(copy);
      if (exact !== otherwise) {
        this.end();
        this.#beginCopy(plan, RangeMode.Exact);
        const another = repeated();
        this.floatRanges.enter(otherwise);
        this.floatRanges.separate();
        this.code.append(another);
      }
      this.end();
    }
    if (separation) this.code.append(separation);
    this.code.append(careful);
  }
  /** A copy that is repeated as it is where the block leads to itself. */
  #repeatable(plan: ProbePlan | undefined, body: () => void): void {
    if (!this.#strides) {
      body();
      return;
    }
    this.#repeat = { label: this.begin("loop"), plan };
    this.floatRanges.repeats = this.floatRanges.mode !== 0;
    body();
    this.#repeat = undefined;
    this.end();
  }
  /** What `body` emits. */
  #apart(body: () => void): CodeWriter {
    const outer = this.code;
    const code = new CodeWriter(512);
    this.code = code;
    body();
    this.code = outer;
    return code;
  }
  #beginCopy(plan: ProbePlan | undefined, mode: RangeMode | 0): void {
    this.#beginCode(this.#source, mode);
    if (mode) this.#checkedUnits.add("sse");
    this.forms.begin(this.#sources);
    this.memory.begin(plan);
  }
  #beginCode(source: FlagSource | undefined, mode: RangeMode | 0): void {
    this.floatRanges.begin(mode);
    this.flags.begin(source);
    this.vectors.forget();
    this.#checkedUnits.clear();
    this.dead = false;
  }
  get #sources(): Variable[] {
    return [this.pageVa, ...this.#registers.filter((variable) => variable !== undefined)];
  }

  /**
   * Before the code of a tree's first block: a copy of the tree whose accesses share probes, if there are such that don't without it.
   * Returns the blocks that it holds.
   */
  treeCopy(whole: BlockTree, blockOf: (number: number) => TreeBlock): readonly number[] {
    const [place, block, cost, source] = [this.#place, this.#block, this.#cost, this.#source];
    const otherwise = this.begin("block");
    let floats = false;
    const copy = (tree: BlockTree, plan: ProbePlan | undefined): TreeCopy => {
      const { nodes, repeats } = tree;
      this.#beginCopy(plan, 0);
      if (plan) this.memory.probe(plan, otherwise);
      const start = this.begin(repeats ? "loop" : "block");
      const labels = nodes.map((_, i) => (i === 0 ? start : { depth: start.depth + nodes.length - i }));
      for (const _ of nodes.slice(1)) this.begin("block");
      const here = this.forms.strides;
      const probes = nodes.map(({ from }, i): ProbeNode => ({ from, ahead: i === 0 ? here : () => undefined }));
      const copied = { tree, plan, start, labels, arrivals: [], needs: cost.needs, ways: [], probes, node: 0 };
      this.#tree = copied;
      for (const [node, { block: number }] of nodes.entries()) {
        if (node > 0) this.end();
        copied.node = node;
        if (node > 0 && !copied.arrivals[node]) this.unreachable();
        else floats = this.#treeBlock(copied, number, blockOf(number)) || floats;
      }
      this.end();
      this.#tree = undefined;
      [this.#place, this.#block, this.#cost, this.#source] = [place, block, cost, source];
      return copied;
    };
    const planned = (tree: BlockTree) => {
      let tried!: TreeCopy;
      this.#apart(() => {
        tried = copy(tree, undefined);
      });
      return { probes: tried.probes, plan: floats ? undefined : this.memory.plan(tried.ways, tried.probes) };
    };
    let tree = whole;
    let { probes, plan } = planned(tree);
    if (plan && !tree.repeats) {
      tree = pruneTree(whole, this.memory.sharingNodes(plan, probes));
      if (tree.nodes.length < whole.nodes.length) plan = tree.nodes.length > 1 ? planned(tree).plan : undefined;
    }
    if (plan) copy(tree, plan);
    this.end();
    return plan ? tree.nodes.map(({ block }) => block) : [];
  }
  /** True when the block has arithmetic on doubles, which has copies of its own. */
  #treeBlock({ arrivals, node, plan, probes }: TreeCopy, number: number, of: TreeBlock): boolean {
    this.floatRanges.beginBlock();
    const arrival = arrivals[node];
    if (arrival) {
      this.#beginCode(arrival.source, 0);
      for (const unit of arrival.units) this.#checkedUnits.add(unit);
      this.forms.goOn(arrival.forms, this.#sources, node);
      this.memory.goOn(node);
      if (of.reachable) probes[node] = { from: probes[node]!.from, ahead: this.forms.strides };
      this.enterBlock(number, of.block, of.cost, false, arrival.source);
      if (plan && of.reachable) this.memory.probe(plan, this.#context.route(number).label, node);
    }
    of.emit();
    return this.floatRanges.isUseful;
  }
  /** True when control stays in the tree's copy. */
  #followInTree({ tree, plan, ...copy }: TreeCopy, edge: Edge, label: Label): boolean {
    const node = tree.nodes[copy.node]!.next.get(edge.block);
    if (node !== undefined) {
      if (copy.arrivals[node]) throw new Error("jit: two ways to a node of a tree's copy");
      const units = new Set(this.#checkedUnits);
      copy.arrivals[node] = { forms: this.forms.here, source: this.flags.source, units };
      this.br(copy.labels[node]!);
      return true;
    }
    if (!tree.repeats || edge.block !== tree.nodes[0]!.block) return false;
    copy.ways.push(this.forms.strides);
    if (plan) {
      this.brIf(label, this.ltS(this.get(this.#left), this.i32(copy.needs)), false);
      this.memory.repeat(plan, label, copy.ways.length - 1);
    }
    this.br(copy.start);
    return true;
  }

  instruction(instruction: RegionInstruction, prologue: () => void, body: (operands: Operand[]) => void): void {
    this.#instruction = instruction;
    this.#reachesEnd = false;
    const { decoded } = instruction;
    const { form } = decoded;
    this.size = form.operandSize;
    this.addressSize = decoded.addressSize;
    this.rep = decoded.rep;
    const before = this.flags.version;
    this.#after = this.begin("block");
    this.#depth = this.#after.depth;
    if (instruction.crosses >= 0) {
      this.#pages.require(instruction.at + 4096, instruction.crosses, () => this.#leaveBefore());
    }
    prologue();
    body(form.operands.map((operand, slot) => operandOf(this, instruction, operand, slot)));
    this.end();
    if (this.#reachesEnd) {
      this.dead = false;
      // A path that skipped the rest of the body (a count of zero under REP) didn't set these flags.
      if (this.flags.version !== before) this.flags.forget();
      this.vectors.forget();
      this.floatRanges.forget();
      this.forms.forget();
    }
    this.vectors.endInstruction();
    this.floatRanges.endInstruction();
    this.recycle();
  }

  /** After a block's last instruction, unless control never falls through. */
  fallThrough(edge: Edge): void {
    if (this.dead) return;
    const count = this.#block.count;
    this.floatRanges.finish((condition) =>
      this.ifRare(condition, () => {
        this.#noteCareful();
        this.#leave(-1, edge.at, count);
      }),
    );
    this.#follow(edge, count);
  }

  /** Goes on at an edge's end, after `count` instructions of this block. */
  #follow(edge: Edge, count: number): void {
    if (edge.block < 0) {
      this.#noteLeft();
      this.#leave(edge.record, edge.at, count);
      return;
    }
    if (edge.table >= 0) this.#pages.require(edge.at, edge.table, () => this.#leave(-1, edge.at, count));
    const { label, selector, free } = this.#context.route(edge.block);
    if (!free) this.#count(this.#cost.before + count);
    if (this.#tree && this.#followInTree(this.#tree, edge, label)) return;
    if (edge.block === this.#place && selector === 0) {
      const repeat = this.#repeat;
      if (!repeat) this.#strides ??= this.forms.strides;
      else if (this.floatRanges.holdsAgain) {
        this.brIf(label, this.ltS(this.get(this.#left), this.i32(this.#cost.needs)), false);
        if (repeat.plan) this.memory.repeat(repeat.plan, label, 0);
        this.br(repeat.label);
        return;
      }
    }
    if (selector !== 0) this.set(this.#selector, this.i32(selector));
    this.br(label);
  }
  /** Goes on at an address: in this region when one of its entries lies there. */
  #jumpIndirect(): void {
    const target = this.get(this.#indirectTarget);
    ifRecord(this, this.state, target, (record, va) => {
      this.if(this.eq(this.load("i32", record, R.REGION), this.get(this.#pool)), () => {
        this.#enter(record, va);
        this.#pages.forget();
        this.br(this.#again);
      });
      this.store("i64", this.state, va, S.PAGE_VA);
      this.set(this.#next, record);
      this.br(this.#exit);
    });
    // PAGE_VA is still that of the record by which the region was entered from outside.
    const args = [this.state, this.param(1), target];
    this.set(this.#next, this.call(this.#context.runtime.goto, "i32", args));
  }

  /** The whole function. */
  finishRegion(): FunctionBody {
    this.end();
    this.#jumpIndirect();
    this.end();
    this.end();
    const store = (offset: number, variable: Variable) =>
      this.store(variable.type === "i64" ? "i64" : "i32", this.state, this.get(variable), offset);
    const prologue = new FunctionBuilder(["i32", "i32"]);
    const load = (offset: number, variable: Variable) =>
      prologue.set(variable, prologue.load(variable.type === "i64" ? "i64" : "i32", prologue.param(0), offset));
    for (const [code, variable] of this.#registers.entries()) {
      if (!variable) continue;
      load(S.GPR + 8 * code, variable);
      if (this.#written[code]) store(S.GPR + 8 * code, variable);
    }
    for (const { index, vector, written } of this.vectors.used()) {
      const offset = S.XMM + 16 * index;
      prologue.set(vector, prologue.load("v128", prologue.param(0), offset));
      if (written) this.store("v128", this.state, this.get(vector), offset);
    }
    this.#mxcsr.prologue(prologue);
    this.floatRanges.prologue(prologue, (mode) => this.#mxcsr.setRangeMode(prologue, mode));
    this.flags.load(prologue);
    load(S.TLB, this.tlb);
    load(S.BUDGET, this.#left);
    this.flags.store();
    // The dispatch loop counts the call of this function as one instruction.
    this.store("i32", this.state, this.add(this.get(this.#left), this.i32(1)), S.BUDGET);
    this.return(this.get(this.#next));
    return this.finish(prologue.code);
  }

  pooled(place: number): Value {
    return this.load("i32", this.get(this.#pool), place * 4);
  }
  /** Leaves to a record (its place in the pool) of the block's page, or by lookup where there is none, after `count` instructions of this block. */
  #leave(record: number, at: number, count: number): void {
    this.#storePageVa();
    if (record >= 0) this.set(this.#next, this.pooled(record));
    else {
      const target = this.add(this.get(this.pageVa), this.i64(at));
      const args = [this.state, this.pooled(this.#block.records), target];
      this.set(this.#next, this.call(this.#context.runtime.goto, "i32", args));
    }
    this.#count(this.#cost.before + count);
    this.br(this.#exit);
  }
  /** For RegionLinks: where control came from when the dispatch loop finds it in another region. */
  #noteLeft(): void {
    this.store("i32", this.state, this.get(this.#pool), S.LEFT_REGION);
    this.store("i64", this.state, this.get(this.pageVa), S.LEFT_VA);
  }
  #storePageVa(): void {
    const distance = Math.floor(this.#block.at / 4096) * 4096;
    this.store("i64", this.state, this.add(this.get(this.pageVa), this.i64(distance)), S.PAGE_VA);
  }
  #count(count: number): void {
    if (count !== 0) this.set(this.#left, this.sub(this.get(this.#left), this.i32(count)));
  }
  /** The record whose place an exception is described with. */
  #here(): Value {
    return this.pooled(this.#instruction.record);
  }
  #markDead(): void {
    if (this.currentDepth === this.#depth) this.dead = true;
  }

  // --- guest state ---

  register(code: number): Variable {
    const known = this.#registers[code];
    if (known) return known;
    const made = this.lasting("i64");
    this.#registers[code] = made;
    this.forms.source(made);
    return made;
  }
  override set(variable: Variable, value: Value): void {
    super.set(variable, value);
    this.forms.assign(variable, value, this.unconditional);
  }
  override load(kind: LoadKind, address: Value, offset = 0): Value {
    const near = this.memory.nearOf(address);
    return near ? super.load(kind, near.base, near.distance + offset) : super.load(kind, address, offset);
  }
  override store(kind: StoreKind, address: Value, value: Value, offset = 0): void {
    const near = this.memory.nearOf(address);
    if (near) super.store(kind, near.base, value, near.distance + offset);
    else super.store(kind, address, value, offset);
  }
  gpr(code: number, size: number): Value {
    if (code >= 16) {
      const whole = this.wrap(this.get(this.register(code - 16)));
      return this.let(this.and(this.shrU(whole, this.i32(8)), this.i32(0xff)));
    }
    const whole = this.get(this.register(code));
    if (size === 64) return this.let(whole);
    return this.let(this.zeroExtend(this.wrap(whole), size));
  }
  setGpr(code: number, size: number, value: Value): void {
    const number = code >= 16 ? code - 16 : code;
    const variable = this.register(number);
    this.#written[number] = true;
    if (size === 64) this.set(variable, value);
    else if (size === 32) this.set(variable, this.extendU(value));
    else {
      const shift = code >= 16 ? 8n : 0n;
      const mask = ((1n << BigInt(size)) - 1n) << shift;
      const part = this.shl(this.extendU(this.zeroExtend(value, size)), this.i64(shift));
      this.set(variable, this.or(this.and(this.get(variable), this.i64(~mask)), part));
    }
  }
  xmm(index: number): Value {
    return this.vectors.read(index);
  }
  setXmm(index: number, value: Value): void {
    this.vectors.write(index, value);
  }
  override get unconditional(): boolean {
    // Behind a way out of the body that goes on with the next instruction nothing runs always.
    return this.currentDepth === this.#depth && !this.#reachesEnd;
  }
  override markPlain(value: Value, bits: FloatBits): void {
    super.markPlain(value, bits);
    this.vectors.notePlain(value, bits);
  }
  override get ranges(): RangeTracker | undefined {
    return this.floatRanges.mode && this.unconditional ? this.floatRanges : undefined;
  }
  vector(register: number): Variable {
    return this.vectors.vector(register);
  }
  floatLimit(bits: FloatBits): Value {
    if (bits === 64) this.floatRanges.helps();
    return this.get(this.#mxcsr.limit(bits));
  }
  floatExact(): Value {
    return this.get(this.#mxcsr.exact());
  }
  protected get x87Function(): number {
    return this.#context.runtime.x87;
  }
  protected get ordinaryFunction(): number {
    return this.#context.runtime.ordinary;
  }
  override unitChecked(unit: "mmx" | "sse"): boolean {
    if (this.#checkedUnits.has(unit)) return true;
    this.#checkedUnits.add(unit);
    return false;
  }
  override hostFlags(name: string): void {
    this.host(name);
  }
  stateLoad(kind: LoadKind, offset: number): Value {
    return this.load(kind, this.state, offset);
  }
  stateStore(kind: "i32" | "i64" | "v128", offset: number, value: Value): void {
    this.store(kind, this.state, value, offset);
    if (offset !== S.MXCSR) return;
    this.#mxcsr.changed();
    this.floatRanges.reset();
  }

  // --- memory ---

  translate(va: Value, size: number, write: boolean): { address: Value; slow: Value } {
    return this.memory.translate(va, size, write);
  }
  readLinear(address: Value, size: number): Value {
    return this.memory.read(address, size);
  }
  writeLinear(address: Value, size: number, value: Value): void {
    this.memory.write(address, size, value);
  }
  updateLinear(address: Value, size: number, change: (old: Value) => Value): void {
    this.memory.update(address, size, change);
  }
  override requireAligned(linear: Value): void {
    if (!this.memory.expectAligned()) super.requireAligned(linear);
  }
  segmentLinear(segment: number | "operand", offset: Value): Value {
    return this.memory.inSegment(segment === "operand" ? this.#instruction.segment : segment, offset);
  }

  // --- control ---

  currentRip(): Value {
    return this.let(this.add(this.get(this.pageVa), this.i64(this.#instruction.at)));
  }
  nextRip(): Value {
    return this.let(this.add(this.get(this.pageVa), this.i64(this.#instruction.at + this.#instruction.length)));
  }
  /** Canonical is what lies in the half of the address space that this code lies in; the interpreter sees to the rest. */
  checkTarget(target: Value): void {
    const otherHalf = this.shrU(this.xor(target, this.get(this.pageVa)), this.i64(47));
    this.ifRare(this.ne(otherHalf, this.i64(0)), () => this.#leaveBefore());
  }
  relativeTarget(target: Operand): Value {
    return target.read();
  }
  jump(target: Value): void {
    const to = this.let(target);
    const { jumps, returnTo, behindCalls, position, decoded } = this.#instruction;
    const isReturn = decoded.form.semantics === "RET_NEAR";
    if (returnTo && returnTo.block >= 0) {
      const expected = this.add(this.get(this.pageVa), this.i64(returnTo.at));
      this.ifUsual(this.eq(to, expected), () => this.#follow(returnTo, position + 1));
    }
    const distance = this.let(this.sub(to, this.get(this.pageVa)));
    const direct = this.#context.jumpsDirectly();
    if (direct) switchTo(this, distance, jumps, (edge) => this.#follow(edge, position + 1));
    this.#count(this.#cost.before + position + 1);
    if (!direct) switchTo(this, distance, jumps, (edge) => this.#enterAt(edge));
    searchFor(this, distance, behindCalls, (edge) => this.#enterAt(edge));
    this.set(this.#indirectTarget, to);
    // What a return leads to called this region.
    if (!isReturn) this.#noteLeft();
    this.br(this.#indirect);
    this.#markDead();
  }
  /** Goes on at an entry, unless its page isn't mapped there any more. */
  #enterAt({ at, block, table }: Edge): void {
    const otherwise = this.begin("block");
    if (table >= 0) this.#pages.require(at, table, () => this.br(otherwise));
    this.set(this.#selector, this.i32(this.#context.entry(block)));
    this.br(this.#again);
    this.end();
  }
  jumpRelative(_to: Operand): void {
    const { position } = this.#instruction;
    const target = this.#instruction.target!;
    this.#follow(target, position + 1);
    this.#markDead();
  }
  override jumpRelativeIf(condition: Value, to: Operand): void {
    const leaves = (edge: Edge | undefined) => edge !== undefined && edge.block < 0;
    const [target, next] = [leaves(this.#instruction.target), leaves(this.#block.fallThrough)];
    // What leaves was not seen to run.
    this.if(condition, () => this.jumpRelative(to), undefined, target === next ? undefined : next);
  }
  next(): void {
    this.br(this.#after);
    this.#reachesEnd = true;
  }
  again(): void {
    const { at, record, position } = this.#instruction;
    this.#leave(record, at, position + 1);
    this.#markDead();
  }
  /** The interpreter, running the instruction again, will raise it: bodies do before they change anything. */
  raise(_vector: number, _errorCode: number | Value = -1): void {
    this.host("");
  }
  exit(kind: number, options: { vector?: number | Value; before?: boolean } = {}): void {
    this.#describe(kind, options.vector ?? 0, options.before ? 1 : 0);
  }
  #describe(kind: number, vector: number | Value, error: number | Value): void {
    this.stateStore("i32", S.EXIT_RECORD, this.#here());
    this.stateStore("i32", S.EXIT_KIND, this.i32(kind));
    this.stateStore("i32", S.EXIT_VECTOR, typeof vector === "number" ? this.i32(vector) : vector);
    this.stateStore("i32", S.EXIT_ERROR, typeof error === "number" ? this.i32(error) : error);
    // This instruction isn't counted: TypeScript does where it is complete.
    this.#storePageVa();
    this.set(this.#next, this.i32(0));
    this.#count(this.#cost.before + this.#instruction.position + 1);
    this.br(this.#exit);
    this.#markDead();
  }
  /** The interpreter runs this instruction. */
  #leaveBefore(): void {
    const { at, record, position } = this.#instruction;
    this.#leave(record, at, position);
    this.#markDead();
  }
  leaveCarefully(): void {
    this.#noteCareful();
    this.#leaveBefore();
  }
  /** Until the slice ends regions entered don't run such copies. */
  #noteCareful(): void {
    const careful = this.or(this.stateLoad("i32", S.FLOAT_CAREFUL), this.i32(this.floatRanges.mode));
    this.store("i32", this.state, careful, S.FLOAT_CAREFUL);
  }
  gate(): void {
    this.#leaveBefore();
  }
  host(_name: string, ..._args: Value[]): void {
    this.#leaveBefore();
  }
}
