// Finds a region: the basic blocks reachable from hot instructions by direct jumps and calls, through as many pages as are
// mapped beside one another now. Code that was not seen running (RAN) is left out. A small callee is copied for
// each call site, so that its returns are predicted by one comparison; other callees' blocks are shared.

import { compact, DOUBLE_ZERO } from "../../mmu/double.js";
import { type MachineMemory, PAGE_SIZE } from "../../mmu/machine-memory.js";
import type { CodeCache, CodePage } from "../interpreter/code-cache.js";
import type { ComputedJumps } from "../interpreter/computed-jumps.js";
import { Slot } from "../interpreter/core-module.js";
import type { Flow, HandlerSet } from "../interpreter/handlers.js";
import type { Predecoder } from "../interpreter/predecoder.js";
import * as R from "../interpreter/record.js";

/** Pages beside the one where the region begins. */
export interface Surroundings {
  /** The code page `distance` bytes (a multiple of the page size) away, when it can be run now. */
  page(distance: number): CodePage | undefined;
  /** Follow code that was not seen running too, decoding it; for tests. */
  readonly ahead: boolean;
  /** Where blocks begin that come before all others. */
  readonly first?: ReadonlySet<number>;
  /** The record that the interpreter runs where a region is entered, else the record itself. */
  interpreted(record: number): number;
}

interface Instruction {
  readonly at: number;
  readonly length: number;
  readonly page: CodePage;
  /** The page that it crosses into. */
  readonly crosses: CodePage | undefined;
  readonly flow: Flow;
  /** Of a direct branch, jump or call. */
  readonly target: number;
  /** Of a jump or call to a computed address: where it was seen to lead. */
  readonly targets: readonly number[];
}

/** A copy of a function for one call site; the root context has what isn't such a copy. */
class Context {
  readonly parent: Context | undefined;
  readonly returnAt: number;
  readonly depth: number;
  readonly instructions = new Map<number, Instruction>();
  readonly leaders = new Set<number>();
  readonly blocks = new Map<number, Block>();
  /** By the address of a call: its callee's copy. */
  readonly inlined = new Map<number, Context>();
  constructor(parent: Context | undefined, returnAt: number) {
    this.parent = parent;
    this.returnAt = returnAt;
    this.depth = parent ? parent.depth + 1 : 0;
  }
}

export interface Exit {
  readonly at: number;
  /** Undefined where control leaves the region. */
  readonly block: Block | undefined;
}

export interface Block {
  readonly at: number;
  readonly page: CodePage;
  readonly instructions: Instruction[];
  fallThrough: Exit | undefined;
  /** Of the last instruction, a direct branch, jump or call. */
  target: Exit | undefined;
  /** Where the last instruction, a jump or call to a computed address, leads in the region. */
  jumps: readonly Exit[];
  /** Where the last instruction, a return from a copied function, leads if nothing strange happens. */
  returnTo: Exit | undefined;
  /** The same of a shared function's return: the entries behind the calls that reach it. */
  behindCalls: readonly Block[];
}

export interface Region {
  /** Depth first, reverse postorder. */
  readonly blocks: Block[];
  readonly entries: Block[];
  readonly pages: ReadonlySet<CodePage>;
  readonly instructionCount: number;
  /** There was more than it may hold. */
  readonly isCut: boolean;
}

/** How much a region may hold. */
export interface RegionLimits {
  readonly instructions: number;
  readonly leaders: number;
  readonly entries: number;
  readonly pages: number;
}

/** The usual limits for a region of so many instructions. */
export const limitsFor = (instructions: number): RegionLimits => ({
  instructions,
  leaders: 160,
  entries: 60,
  pages: 16,
});
const MAX_INLINE = 40;
const MAX_DEPTH = 3;
/** Places that a return is compared with. */
const MAX_RETURNS = 16;

export class RegionFinder {
  readonly #memory: MachineMemory;
  readonly #cache: CodeCache;
  readonly #handlers: HandlerSet;
  readonly #predecoder: Predecoder;
  readonly #computedJumps: ComputedJumps;
  /** Instructions that all searches so far came to: what they took. */
  searched = DOUBLE_ZERO;

  constructor(
    memory: MachineMemory,
    cache: CodeCache,
    handlers: HandlerSet,
    predecoder: Predecoder,
    computedJumps: ComputedJumps,
  ) {
    this.#computedJumps = computedJumps;
    this.#memory = memory;
    this.#cache = cache;
    this.#handlers = handlers;
    this.#predecoder = predecoder;
  }

  /** The region around `entries` (distances), or undefined when nothing there can be compiled. */
  find(around: Surroundings, entries: readonly number[], limits: RegionLimits): Region | undefined {
    const read: Read = (page, at, distance, pageAt) => this.#instruction(page, at, distance, pageAt, around);
    const search = new Search(around, entries, limits, read);
    this.searched += search.count;
    return search.result();
  }

  /** What stands at `at`, in the page at `distance`, as far as regions care; undefined where no region goes. */
  #instruction(
    page: CodePage,
    at: number,
    distance: number,
    pageAt: (distance: number) => CodePage | undefined,
    { ahead, interpreted }: Surroundings,
  ): Instruction | undefined {
    const { view } = this.#memory;
    const next = distance + PAGE_SIZE;
    let record = this.#cache.recordAt(page, at - distance);
    if (record === 0 && ahead && this.#cache.hasRoom)
      record = this.#predecoder.decode(page, at - distance, () => pageAt(next));
    if (record === 0 || !(ahead || view.getUint8(record + R.RAN))) return undefined;
    const original = record;
    record = interpreted(record);
    let slot = view.getUint32(record + R.HANDLER, true);
    let crosses: CodePage | undefined;
    if (slot === Slot.Crossing) {
      crosses = pageAt(next);
      if (crosses?.table !== view.getUint32(record + R.LINK, true)) return undefined;
      record += R.RECORD_SIZE;
      slot = view.getUint32(record + R.HANDLER, true);
    }
    if (slot < Slot.First) return undefined;
    const flow = this.#handlers.flow(slot);
    if (!flow) return undefined;
    let target = 0;
    if (flow === "branch" || flow === "jump" || flow === "call") {
      // 64 bits, the distance of a 32-bit displacement.
      const high = view.getInt32(record + R.IMMEDIATE + 4, true);
      target = compact(distance + high * 2 ** 32 + view.getUint32(record + R.IMMEDIATE, true));
    }
    const isComputed = view.getUint8(record + R.COMPUTED) === 1;
    const targets = isComputed ? Array.from(this.#computedJumps.of(original), (to) => distance + to) : [];
    return { at, length: view.getUint8(record + R.LENGTH), page, crosses, flow, target, targets };
  }
}

/** What stands at `at`, in the page that lies at `distance`; `pageAt` gives others. */
type Read = (
  page: CodePage,
  at: number,
  distance: number,
  pageAt: (distance: number) => CodePage | undefined,
) => Instruction | undefined;

/** One search. */
class Search {
  readonly #around: Surroundings;
  readonly #limits: RegionLimits;
  readonly #read: Read;
  readonly #root = new Context(undefined, 0);
  readonly #contexts: Context[] = [this.#root];
  /** Null: nothing that a region could hold. */
  readonly #known = new Map<number, Instruction | null>();
  readonly #sizes = new Map<number, number>();
  readonly #pages = new Map<number, CodePage | undefined>();
  readonly #pageAt = (distance: number) => this.#page(distance);
  readonly #entries = new Set<number>();
  #work: [Context, number][] = [];
  /** What isn't among those that come first. */
  #others: [Context, number][] = [];
  /** Shared callees: after everything nearer. */
  #later: number[] = [];
  #count = 0;
  #leaders = 0;

  constructor(around: Surroundings, entries: readonly number[], limits: RegionLimits, read: Read) {
    this.#around = around;
    this.#limits = limits;
    this.#read = read;
    for (const at of entries) this.#enter(at);
    for (;;) {
      const next = this.#work.shift();
      if (next) this.#walk(...next);
      else if (this.#later.length > 0) this.#lead(this.#root, this.#later.shift()!);
      else if (this.#others.length > 0) this.#work.push(this.#others.shift()!);
      else break;
    }
  }

  get count(): number {
    return this.#count;
  }

  result(): Region | undefined {
    for (const context of this.#contexts) this.#cut(context);
    for (const context of this.#contexts) this.#connect(context);
    const entries = [...this.#entries].flatMap((at) => this.#root.blocks.get(at) ?? []);
    if (entries.length === 0) return undefined;
    this.#pair(entries);
    const order: Block[] = [];
    const seen = new Set<Block>();
    const open = new Set<Block>();
    const heads = new Set<Block>();
    const visit = (block: Block): void => {
      seen.add(block);
      open.add(block);
      // The fall-through is visited last, so that it comes right behind in reverse postorder.
      for (const exit of [block.returnTo, block.target, ...block.jumps, block.fallThrough]) {
        const next = exit?.block;
        if (next && open.has(next)) heads.add(next);
        if (next && !seen.has(next)) visit(next);
      }
      open.delete(block);
      order.push(block);
    };
    for (const entry of entries) if (!seen.has(entry)) visit(entry);
    // What leaves in the middle of a loop comes back at its head.
    for (const head of heads)
      if (entries.length < this.#limits.entries && !entries.includes(head) && this.#root.blocks.get(head.at) === head)
        entries.push(head);
    order.reverse();
    const pages = new Set<CodePage>();
    let instructionCount = 0;
    for (const { instructions, page } of order) {
      const { crosses } = instructions.at(-1)!;
      pages.add(page);
      if (crosses) pages.add(crosses);
      instructionCount += instructions.length;
    }
    return {
      blocks: order,
      entries,
      pages,
      instructionCount,
      isCut: this.#count >= this.#limits.instructions || this.#leaders >= this.#limits.leaders,
    };
  }

  #instruction(at: number): Instruction | undefined {
    const known = this.#known.get(at);
    if (known !== undefined) return known ?? undefined;
    const distance = Math.floor(at / PAGE_SIZE) * PAGE_SIZE;
    const page = this.#page(distance);
    const instruction = page && this.#read(page, at, distance, this.#pageAt);
    this.#known.set(at, instruction ?? null);
    return instruction;
  }

  #page(distance: number): CodePage | undefined {
    if (!this.#pages.has(distance) && this.#pages.size < this.#limits.pages)
      this.#pages.set(distance, this.#around.page(distance));
    return this.#pages.get(distance);
  }

  #enter(at: number): void {
    if (this.#entries.size >= this.#limits.entries) return;
    this.#entries.add(at);
    this.#lead(this.#root, at);
  }
  #lead(context: Context, at: number): void {
    if (context.leaders.has(at) || this.#leaders >= this.#limits.leaders) return;
    context.leaders.add(at);
    this.#leaders++;
    const { first } = this.#around;
    (first && !first.has(at) ? this.#others : this.#work).push([context, at]);
  }

  #walk(context: Context, start: number): void {
    for (let at = start; !context.instructions.has(at) && this.#count < this.#limits.instructions; ) {
      const instruction = this.#instruction(at);
      if (!instruction) return;
      context.instructions.set(at, instruction);
      this.#count++;
      at += instruction.length;
      const { flow, target, targets } = instruction;
      if (flow === "branch" || flow === "jump") this.#lead(context, target);
      for (const to of targets) this.#reach(at, to, flow);
      if (flow === "branch") this.#lead(context, at);
      if (flow === "call") this.#call(context, instruction);
      if ((flow === "indirectCall" || flow === "host") && context === this.#root) this.#enter(at);
      if (flow !== "next" && flow !== "branch") return;
      if (at % PAGE_SIZE === 0 || instruction.crosses) this.#lead(context, at);
    }
  }

  /** A computed address was seen to be `to`: of a table of the function's own, or that of a function. */
  #reach(from: number, to: number, flow: Flow): void {
    if (!this.#instruction(to)) return;
    if (flow === "indirectJump" && Math.abs(to - from) < PAGE_SIZE) this.#lead(this.#root, to);
    else this.#later.push(to);
  }

  #call(context: Context, { at, length, target }: Instruction): void {
    const size = this.#instruction(target) ? this.#inlineSize(target, context.depth + 1) : 0;
    if (size > 0 && this.#count + size < this.#limits.instructions) {
      const copy = new Context(context, at + length);
      this.#contexts.push(copy);
      context.inlined.set(at, copy);
      this.#lead(copy, target);
      this.#lead(context, at + length);
    } else if (context === this.#root) {
      if (this.#instruction(target)) this.#later.push(target);
      this.#enter(at + length);
    }
  }

  /** Instructions of a function that can be copied; 0 when it can't. */
  #inlineSize(start: number, depth: number): number {
    if (depth > MAX_DEPTH) return 0;
    const known = this.#sizes.get(start);
    if (known !== undefined) return known;
    // A function that calls itself isn't copied.
    this.#sizes.set(start, 0);
    const seen = new Set<number>();
    const work = [start];
    let count = 0;
    let returns = false;
    while (work.length > 0) {
      for (let at = work.pop()!; !seen.has(at); ) {
        const instruction = this.#instruction(at);
        if (!instruction) break;
        seen.add(at);
        const { flow, target } = instruction;
        if (++count > MAX_INLINE || flow === "indirectJump" || flow === "indirectCall" || flow === "host") return 0;
        if (flow === "call" && this.#instruction(target)) {
          const inner = this.#inlineSize(target, depth + 1);
          if (inner === 0) return 0;
          count += inner;
        }
        if (flow === "return") returns = true;
        if (flow === "branch" || flow === "jump") work.push(target);
        if (flow === "return" || flow === "jump" || flow === "end") break;
        at += instruction.length;
      }
    }
    const size = returns && count <= MAX_INLINE ? count : 0;
    this.#sizes.set(start, size);
    return size;
  }

  #cut(context: Context): void {
    for (const at of context.leaders) {
      const first = context.instructions.get(at);
      if (!first) continue;
      const instructions = [first];
      const pageNumber = Math.floor(at / PAGE_SIZE);
      for (let last = first; last.flow === "next"; ) {
        const next = last.at + last.length;
        const following = context.instructions.get(next);
        // Not by its CodePage: a page can be mapped twice in a row.
        if (!following || context.leaders.has(next) || Math.floor(next / PAGE_SIZE) !== pageNumber) break;
        instructions.push(following);
        last = following;
      }
      context.blocks.set(at, {
        at,
        page: first.page,
        instructions,
        fallThrough: undefined,
        target: undefined,
        jumps: [],
        returnTo: undefined,
        behindCalls: [],
      });
    }
  }

  #connect(context: Context): void {
    const exit = (to: Context, at: number): Exit => ({ at, block: to.blocks.get(at) });
    for (const block of context.blocks.values()) {
      const { at, length, flow, target, targets } = block.instructions.at(-1)!;
      block.jumps = targets.map((to) => exit(this.#root, to)).filter((jump) => jump.block);
      if (flow === "next" || flow === "branch" || flow === "host") block.fallThrough = exit(context, at + length);
      if (flow === "branch" || flow === "jump") block.target = exit(context, target);
      if (flow === "call") {
        const copy = context.inlined.get(at);
        const callee = copy ?? (context === this.#root ? context : undefined);
        block.target = callee ? exit(callee, target) : { at: target, block: undefined };
      }
      if (flow === "return" && context.parent) block.returnTo = exit(context.parent, context.returnAt);
    }
  }

  /** Finds where shared functions return to. */
  #pair(entries: readonly Block[]): void {
    const { blocks } = this.#root;
    const entered = new Set(entries);
    const callers = new Map<Block, Block[]>();
    for (const block of blocks.values()) {
      const { at, length, flow } = block.instructions.at(-1)!;
      if ((flow !== "call" && flow !== "indirectCall") || this.#root.inlined.has(at)) continue;
      const behind = blocks.get(at + length);
      if (!behind || !entered.has(behind)) continue;
      for (const callee of [block.target?.block, ...block.jumps.map((jump) => jump.block)]) {
        if (!callee) continue;
        const known = callers.get(callee);
        if (known) known.push(behind);
        else callers.set(callee, [behind]);
      }
    }
    const expected = new Map<Block, Set<Block>>();
    for (const [callee, behind] of callers) {
      for (const block of this.#returnsOf(callee)) {
        const all = expected.get(block) ?? new Set();
        for (const place of behind) all.add(place);
        expected.set(block, all);
      }
    }
    for (const [block, places] of expected)
      if (places.size <= MAX_RETURNS) block.behindCalls = [...places].sort((a, b) => a.at - b.at);
  }
  /** The blocks in which a shared function that begins here returns. */
  #returnsOf(callee: Block): Block[] {
    const returns: Block[] = [];
    const seen = new Set([callee]);
    for (const block of seen) {
      const { at, length, flow } = block.instructions.at(-1)!;
      if (flow === "return") returns.push(block);
      const isCall = flow === "call" || flow === "indirectCall";
      const jumps = flow === "indirectJump" ? block.jumps.map((jump) => jump.block) : [];
      const next = isCall ? this.#root.blocks.get(at + length) : block.target?.block;
      const ways = [next, block.fallThrough?.block, ...jumps];
      for (const next of ways) if (next) seen.add(next);
    }
    return returns;
  }
}
