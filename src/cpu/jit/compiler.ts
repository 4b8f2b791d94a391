// Compiles a region to a Wasm module with one function of the handlers' signature, and enters it in the dispatch table: the
// entry's record then runs the region as if it were one long instruction.

import type { MachineMemory } from "../../mmu/machine-memory.js";
import type { SemanticsTable } from "../emit/emitter.js";
import { Vector } from "../exit.js";
import type { CodeCache, CodePage } from "../interpreter/code-cache.js";
import { Slot } from "../interpreter/core-module.js";
import { type HandlerSet, runtimeIndices } from "../interpreter/handlers.js";
import type { Predecoder } from "../interpreter/predecoder.js";
import * as R from "../interpreter/record.js";
import { checkUnit, unitOf } from "../interpreter/unit.js";
import * as S from "../state-layout.js";
import type { Label } from "../wasm/function-builder.js";
import { JitEmitter } from "./jit-emitter.js";
import type { Region, RegionFinder } from "./region.js";
import { openingAt, type Scope, structureOf } from "./structure.js";

export class RegionCompiler {
  readonly #memory: MachineMemory;
  readonly #cache: CodeCache;
  readonly #handlers: HandlerSet;
  readonly #finder: RegionFinder;
  readonly #predecoder: Predecoder;
  readonly #semantics: SemanticsTable;
  /** Records inside regions, and (1) those that enter one. */
  readonly #covered = new Map<number, number>();
  regions = 0;
  compiledInstructions = 0;
  moduleBytes = 0;

  constructor(
    memory: MachineMemory,
    cache: CodeCache,
    handlers: HandlerSet,
    finder: RegionFinder,
    predecoder: Predecoder,
    semantics: SemanticsTable,
  ) {
    this.#predecoder = predecoder;
    this.#memory = memory;
    this.#cache = cache;
    this.#handlers = handlers;
    this.#finder = finder;
    this.#semantics = semantics;
  }

  /** Whether the record runs a region. */
  enters(record: number): boolean {
    return this.#covered.get(record) === 1;
  }

  covers(record: number): boolean {
    return this.#covered.has(record);
  }

  /** All records are gone. */
  reset(): void {
    this.#covered.clear();
  }

  /** Compiles the region at a record that the interpreter runs now. False when there is nothing to gain. */
  compile(page: CodePage, entry: number): boolean {
    const { view } = this.#memory;
    const entryRecord = this.#cache.recordAt(page, entry);
    if (this.#covered.get(entryRecord) === 1) return false;
    if (entryRecord === 0 || view.getUint32(entryRecord + R.HANDLER, true) < Slot.First) return false;
    const region = this.#finder.find(page.frame, entry);
    if (!region || region.instructionCount < 2) return false;
    if (!this.#decodeAll(page, region)) return false;
    const clone = this.#clone(page, entry, entryRecord);
    const body = this.#emit(region, page, entry, clone);
    this.#handlers.addCompiled(body, (slot) => view.setUint32(entryRecord + R.HANDLER, slot, true));
    for (const { instructions } of region.blocks) {
      for (const { offset } of instructions) {
        const record = this.#cache.recordAt(page, offset);
        if (!this.#covered.has(record)) this.#covered.set(record, 0);
      }
    }
    this.#covered.set(entryRecord, 1);
    this.regions++;
    this.compiledInstructions += region.instructionCount;
    this.moduleBytes += body.length;
    return true;
  }

  /** Exceptions and early exits name records: all of the region's instructions must have one. */
  #decodeAll(page: CodePage, region: Region): boolean {
    for (const { instructions } of region.blocks) {
      for (const { offset } of instructions) {
        if (this.#cache.recordAt(page, offset) === 0 && this.#cache.hasRoom)
          this.#predecoder.decode(page, offset, () => undefined);
        if (this.#cache.recordAt(page, offset) === 0) return false;
      }
    }
    return true;
  }

  /** A copy of the entry's record for the interpreter, followed by a jump to the instruction behind it. */
  #clone(page: CodePage, entry: number, record: number): number {
    const { linear, view } = this.#memory;
    const clone = this.#cache.newRecord();
    linear.copyWithin(clone, record, record + R.RECORD_SIZE);
    page.records.push(clone);
    const after = this.#cache.newRecord();
    const length = view.getUint8(record + R.LENGTH);
    view.setUint32(after + R.HANDLER, Slot.Goto, true);
    view.setUint16(after + R.OFFSET, entry + length, true);
    view.setUint32(after + R.PAGE, page.table, true);
    view.setUint32(after + R.LINK, 0, true);
    page.records.push(after);
    return clone;
  }

  #emit(region: Region, page: CodePage, entry: number, clone: number): Uint8Array {
    const { blocks, index } = region;
    const edges: [number, number][] = [];
    for (const [i, block] of blocks.entries()) {
      const target = block.target === undefined ? undefined : index.get(block.target);
      if (target !== undefined) edges.push([i, target]);
      const next = block.fallThrough === undefined ? undefined : index.get(block.fallThrough);
      if (next !== undefined && next !== i + 1) edges.push([i, next]);
    }
    const structure = structureOf(edges);
    const labels = new Map<string, Label>();
    let current = 0;
    const record = (offset: number) => (offset >= 0 && offset < 4096 ? this.#cache.recordAt(page, offset) : 0);
    const emitter = new JitEmitter({
      runtime: runtimeIndices,
      entryRecord: clone,
      record,
      interpreterRecord: (offset) => (offset === entry ? clone : record(offset)),
      label: (offset) => {
        const to = index.get(offset);
        if (to === undefined || !structure.canJump(current, to)) return undefined;
        return labels.get(`${to <= current ? "loop" : "block"}${to}`);
      },
    });
    const open: Scope[] = [];
    for (const [i, block] of blocks.entries()) {
      while (open.length > 0 && open.at(-1)!.end === i) {
        const scope = open.pop()!;
        labels.delete(`${scope.kind}${scope.target}`);
        emitter.end();
      }
      for (const scope of openingAt(structure, i)) {
        open.push(scope);
        labels.set(`${scope.kind}${scope.target}`, emitter.begin(scope.kind));
      }
      current = i;
      const { instructions } = block;
      emitter.enterBlock(block.start, instructions.length);
      for (const [position, instruction] of instructions.entries()) {
        if (emitter.dead) break;
        const { form } = instruction;
        const prologue = () => {
          if (form.row.options.cpl === 0) emitter.raiseIf(emitter.stateLoad("i32", S.CPL), Vector.GP, 0);
          checkUnit(emitter, unitOf(form));
        };
        emitter.instruction(instruction, position, prologue, (operands) =>
          this.#semantics[form.semantics]!(emitter, ...operands),
        );
      }
      if (block.fallThrough !== undefined)
        emitter.fallThrough(block.fallThrough, instructions.length, index.get(block.fallThrough) === i + 1);
      else if (!emitter.dead) emitter.unreachable();
    }
    while (open.pop()) emitter.end();
    return emitter.finishRegion();
  }
}
