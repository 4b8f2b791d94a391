// Emits the body of a region's function from a request: a pure function of the request and the decoder's features.

import { CodeMode, type Decoded, DecodeResult, OperandKind } from "../decode/decoded.js";
import type { Decoder } from "../decode/decoder.js";
import type { SemanticsTable } from "../emit/emitter.js";
import { Vector } from "../exit.js";
import { hasMemoryOperand } from "../interpreter/handlers.js";
import { runtimeIndices } from "../interpreter/runtime-imports.js";
import { checkUnit, unitOf } from "../interpreter/unit.js";
import * as S from "../state-layout.js";
import type { FunctionBody } from "../wasm/code-writer.js";
import type { Label } from "../wasm/function-builder.js";
import { type BlockTree, blockTrees } from "./block-trees.js";
import { costsOf } from "./cost.js";
import { liveDoubles, writesVector } from "./float-liveness.js";
import type { RegionInstruction } from "./flow.js";
import { JitEmitter } from "./jit-emitter.js";
import { loopTrees } from "./loop-trees.js";
import { type FlagSource, sameSource } from "./region-flags.js";
import type { BlockRequest, RegionRequest } from "./request.js";
import { type Scope, type Structure, structureOf } from "./structure.js";

/** A function of the handlers' signature. `quickly`: without what takes long for what it gains. */
export function emitRegion(
  request: RegionRequest,
  decoder: Decoder,
  semantics: SemanticsTable,
  quickly = false,
): FunctionBody {
  const { blocks } = request;
  const laidOut = layOut(request);
  const { edges, entries, direct } = laidOut;
  const costs = costsOf(blocks, entries);
  /** By block: those that it leads to. */
  const behind: number[][] = blocks.map(() => []);
  for (const [from, to] of edges) if (from > 0) behind[from - 1]!.push(to - 1);
  const { structure, trees } = withTrees(laidOut, blocks, behind, quickly);
  /** Blocks that a tree's copy runs in the place of. */
  const copied = new Set<number>();
  /** Places that selectors stand for: the entries first, as in their records. */
  const selectable = [-1, ...entries.map((block) => block + 1)];
  for (const place of structure.selected) if (!selectable.includes(place)) selectable.push(place);
  const labels = new Map<string, Label>();
  const labelOf = (from: number, to: number) => labels.get(`${to <= from ? "loop" : "block"}${to}`)!;
  let current = 0;
  /** The block whose code is emitted: in a loop's copy not the current place's. */
  let emitted = 0;
  const emitter = new JitEmitter({
    runtime: runtimeIndices,
    entry: (block) => entries.indexOf(block) + 1,
    jumpsDirectly: () => direct.has(emitted),
    route: (block) => {
      const via = structure.via(current, block + 1);
      return {
        label: labelOf(current, via),
        selector: via === block + 1 ? 0 : selectable.indexOf(block + 1),
        free: costs[block]!.before > 0,
      };
    },
  });
  /** By block: what the flags come from behind it; and the blocks that lead to it. */
  const flagSources: (FlagSource | undefined)[] = [];
  const before: number[][] = blocks.map(() => []);
  for (const [from, to] of edges) before[to - 1]!.push(from - 1);
  const flagsAt = (block: number) => {
    const sources = before[block]!;
    const of = (from: number) => (from < block ? flagSources[from] : undefined);
    const first = sources.length > 0 ? of(sources[0]!) : undefined;
    return first && sources.every((from) => sameSource(first, of(from))) ? first : undefined;
  };
  const instructions = blocks.map((block) => instructionsOf(block, decoder));
  const lanes = liveDoubles(instructions, behind);
  const code = (number: number) => {
    emitted = number;
    emitBlock(emitter, blocks[number]!, instructions[number]!, lanes[number]!, semantics);
  };
  const open: Scope[] = [];
  for (let place = 0; place <= blocks.length; place++) {
    while (open.length > 0 && open.at(-1)!.end === place) {
      const scope = open.pop()!;
      labels.delete(`${scope.kind}${scope.target}`);
      emitter.end();
    }
    for (const scope of structure.opening[place]!) {
      open.push(scope);
      labels.set(`${scope.kind}${scope.target}`, emitter.begin(scope.kind));
    }
    current = place;
    if (place === 0) {
      const ways = entries.map((block) => labelOf(0, structure.via(0, block + 1)));
      emitter.enterBySelector([ways[0]!, ...ways], ways[0]!);
      continue;
    }
    const table = structure.dispatch.get(place);
    if (table) {
      emitter.selectInLoop(
        selectable.map((to) => {
          const via = table.get(to);
          return via === undefined ? undefined : labelOf(place, via);
        }),
      );
    }
    const number = place - 1;
    emitter.enterBlock(number, blocks[number]!, costs[number]!, structure.selected.has(place), flagsAt(number));
    const tree = trees.get(number);
    if (tree) {
      const held = emitter.treeCopy(tree, (member) => ({
        block: blocks[member]!,
        cost: costs[member]!,
        reachable: structure.via(place, member + 1) === member + 1,
        emit: () => code(member),
      }));
      if (!tree.repeats)
        for (const member of held) if (member === number || !entries.includes(member)) copied.add(member);
    }
    emitter.blockBody(() => code(number), copied.has(number));
    flagSources[number] = emitter.flagSource;
  }
  while (open.pop()) emitter.end();
  return emitter.finishRegion();
}

interface Layout {
  /** In the structure, place 0 is the region's entrance and block i has place i + 1. */
  readonly edges: readonly [number, number][];
  readonly structure: Structure;
  /** Blocks that the region's entrance leads to: those of the request first. */
  readonly entries: readonly number[];
  /** Blocks whose computed jumps are edges. */
  readonly direct: ReadonlySet<number>;
}

/**
 * A computed jump that closes a loop into which others come in the middle, behind calls, costs them more than it gains: it goes
 * to the region's entrance instead.
 */
function layOut({ blocks, entries }: RegionRequest): Layout {
  const ways: [number, number][] = [];
  for (const [i, block] of blocks.entries()) {
    for (const edge of [block.target, block.returnTo, block.fallThrough])
      if (edge && edge.block >= 0) ways.push([i + 1, edge.block + 1]);
  }
  const jumping = [...blocks.keys()].filter((i) => blocks[i]!.jumps.length > 0);
  const attempt = (direct: ReadonlySet<number>): Layout => {
    const entered = new Set(entries);
    const edges = [...ways];
    for (const i of jumping) {
      for (const { block } of blocks[i]!.jumps) {
        if (direct.has(i)) edges.push([i + 1, block + 1]);
        else entered.add(block);
      }
    }
    for (const block of entered) edges.push([0, block + 1]);
    return { edges, entries: [...entered], direct, structure: structureOf(blocks.length + 1, edges) };
  };
  /** Entries of the request in the middle of a loop. */
  const selected = ({ structure }: Layout) => entries.filter((block) => structure.selected.has(block + 1)).length;
  let best = attempt(new Set());
  for (const i of jumping) {
    const other = attempt(new Set([...best.direct, i]));
    if (selected(other) <= selected(best)) best = other;
  }
  return best;
}

/** Ways out of a tree's copy, and to its blocks themselves, begin where its head stands. */
function withTrees(
  { edges, structure, direct }: Layout,
  blocks: readonly BlockRequest[],
  behind: readonly (readonly number[])[],
  loopsOnly: boolean,
): { structure: Structure; trees: ReadonlyMap<number, BlockTree> } {
  const ways = edges.flatMap(([from, to]) => (from > 0 ? [[from - 1, to - 1] as const] : []));
  const counts = blocks.map(({ count }) => count);
  const isReachable = (head: number, block: number) => structure.via(head + 1, block + 1) === block + 1;
  const trees = loopTrees(counts, ways, direct);
  const taken = new Set([...trees.values()].flatMap(({ nodes }) => nodes.map(({ block }) => block)));
  if (!loopsOnly) for (const [head, tree] of blockTrees(counts, ways, taken, isReachable)) trees.set(head, tree);
  if (trees.size === 0) return { structure, trees };
  const all = [...edges];
  for (const [head, { nodes }] of trees) {
    for (const { block, next } of nodes) {
      if (block !== head && isReachable(head, block)) all.push([head + 1, block + 1]);
      for (const to of behind[block]!) if (to > head && !next.has(to)) all.push([head + 1, to + 1]);
    }
  }
  return { structure: structureOf(blocks.length + 1, all), trees };
}

function emitBlock(
  emitter: JitEmitter,
  block: BlockRequest,
  instructions: readonly RegionInstruction[],
  lanes: number,
  semantics: SemanticsTable,
): void {
  const vectorsEnd = instructions.findLastIndex(writesVector) + 1;
  emitter.floatRanges.wanted = lanes;
  emitter.floatRanges.allowsExact = !instructions.some(
    (each) => writesVector(each) && /^(DIV|SQRT)[SP]D$/.test(each.decoded.form.semantics),
  );
  for (const [position, instruction] of instructions.entries()) {
    if (emitter.dead) break;
    const { form } = instruction.decoded;
    const prologue = () => {
      if (form.row.options.cpl === 0) emitter.raiseIf(emitter.stateLoad("i32", S.CPL), Vector.GP, 0);
      if (position >= vectorsEnd) emitter.floatRanges.finish();
      checkUnit(emitter, unitOf(form));
    };
    emitter.instruction(instruction, prologue, (operands) => semantics[form.semantics]!(emitter, ...operands));
  }
  if (block.fallThrough) emitter.fallThrough(block.fallThrough);
  emitter.unreachable();
}

function instructionsOf(block: BlockRequest, decoder: Decoder): RegionInstruction[] {
  const { bytes, count } = block;
  let at = 0;
  return Array.from({ length: count }, (_, position) => {
    const decoded: Decoded = decoder.newDecoded();
    if (decoder.decode(bytes, at, bytes.length, CodeMode.Bits64, decoded) !== DecodeResult.Ok)
      throw new Error("jit: a region's bytes are no instructions");
    const { form, length } = decoded;
    const segment = hasMemoryOperand(form) || decoded.segmentOverridden ? decoded.segment : S.Seg.DS;
    const relative = form.operands.at(-1)?.kind === OperandKind.Relative;
    const start = block.at + at;
    at += length;
    const last = position === count - 1;
    return {
      at: start,
      length,
      decoded,
      segment,
      position,
      record: block.records + position,
      crosses: last ? block.crosses : -1,
      target: relative && last ? block.target : undefined,
      jumps: last ? block.jumps : [],
      returnTo: last ? block.returnTo : undefined,
      behindCalls: last ? block.behindCalls : [],
    };
  });
}
