// Finds a region: the basic blocks of one code page that are reachable from a hot instruction by direct jumps and falling
// through. Blocks are listed in reverse postorder, the entry first.

import type { MachineMemory } from "../../mmu/machine-memory.js";
import { PAGE_SIZE } from "../../mmu/machine-memory.js";
import type { Decoded, Form } from "../decode/decoded.js";
import { CodeMode, DecodeResult, OperandKind } from "../decode/decoded.js";
import type { Decoder } from "../decode/decoder.js";
import { addressFormOf, type HandlerSet, hasMemoryOperand } from "../interpreter/handlers.js";
import { Seg } from "../state-layout.js";

export interface RegionInstruction {
  readonly offset: number;
  readonly length: number;
  readonly form: Form;
  readonly decoded: Decoded;
  readonly segment: number;
  /** Control never falls through. */
  readonly ends: boolean;
  /** Page offset (maybe outside the page) of a direct branch's target. */
  readonly target: number | undefined;
}

export interface Block {
  readonly start: number;
  readonly instructions: RegionInstruction[];
  /** Page offset after the last instruction, when control can fall through to it. */
  fallThrough: number | undefined;
  /** Target of the last instruction, a direct branch. */
  target: number | undefined;
}

export interface Region {
  readonly frame: number;
  readonly blocks: Block[];
  /** Index of a block by its page offset. */
  readonly index: ReadonlyMap<number, number>;
  readonly instructionCount: number;
}

const MAX_INSTRUCTIONS = 300;
const MAX_BLOCKS = 60;

export class RegionFinder {
  readonly #memory: MachineMemory;
  readonly #decoder: Decoder;
  readonly #handlers: HandlerSet;

  constructor(memory: MachineMemory, decoder: Decoder, handlers: HandlerSet) {
    this.#memory = memory;
    this.#decoder = decoder;
    this.#handlers = handlers;
  }

  /** The region of 64-bit code around `entry`, or undefined when nothing there can be compiled. */
  find(frame: number, entry: number): Region | undefined {
    const instructions = new Map<number, RegionInstruction>();
    const leaders = new Set<number>([entry]);
    const work = [entry];
    while (work.length > 0) {
      let at = work.pop()!;
      while (at >= 0 && at < PAGE_SIZE && !instructions.has(at) && instructions.size < MAX_INSTRUCTIONS) {
        const instruction = this.#decode(frame, at);
        if (!instruction) break;
        instructions.set(at, instruction);
        const { target, ends, length } = instruction;
        if (target !== undefined) {
          if (target >= 0 && target < PAGE_SIZE && leaders.size < MAX_BLOCKS) {
            leaders.add(target);
            work.push(target);
          }
          if (!ends) leaders.add(at + length);
        }
        if (ends) break;
        at += length;
      }
    }
    if (!instructions.has(entry)) return undefined;
    return this.#blocks(frame, entry, instructions, leaders);
  }

  #blocks(frame: number, entry: number, instructions: Map<number, RegionInstruction>, leaders: Set<number>): Region {
    const byStart = new Map<number, Block>();
    for (const start of leaders) {
      if (!instructions.has(start)) continue;
      const block: Block = { start, instructions: [], fallThrough: undefined, target: undefined };
      for (let at = start; ; ) {
        const instruction = instructions.get(at);
        if (!instruction) {
          block.fallThrough = at;
          break;
        }
        block.instructions.push(instruction);
        at += instruction.length;
        block.target = instruction.target;
        if (instruction.ends) break;
        if (instruction.target !== undefined || leaders.has(at)) {
          block.fallThrough = at;
          break;
        }
      }
      byStart.set(start, block);
    }
    const order: Block[] = [];
    const seen = new Set<number>();
    const visit = (start: number): void => {
      if (seen.has(start)) return;
      seen.add(start);
      const block = byStart.get(start)!;
      // The fall-through is visited last, so that it comes right behind in reverse postorder.
      for (const next of [block.target, block.fallThrough]) if (next !== undefined && byStart.has(next)) visit(next);
      order.push(block);
    };
    visit(entry);
    order.reverse();
    return {
      frame,
      blocks: order,
      index: new Map(order.map((block, i) => [block.start, i])),
      instructionCount: order.reduce((sum, block) => sum + block.instructions.length, 0),
    };
  }

  #decode(frame: number, offset: number): RegionInstruction | undefined {
    const base = frame * PAGE_SIZE;
    const decoded = this.#decoder.newDecoded();
    const result = this.#decoder.decode(this.#memory.u8, base + offset, base + PAGE_SIZE, CodeMode.Bits64, decoded);
    if (result !== DecodeResult.Ok) return undefined;
    const { form, length } = decoded;
    const memory = hasMemoryOperand(form);
    const segment = memory || decoded.segmentOverridden ? decoded.segment : Seg.DS;
    const addressForm = memory ? addressFormOf(true, 64, decoded.index, segment) : segment >= Seg.FS ? "full" : "base";
    const { addressSize, rep } = decoded;
    const slot = this.#handlers.slotFor({ form, addressForm, addressSize, mode: 64, rep });
    const relative = form.operands.at(-1)?.kind === OperandKind.Relative;
    const target = relative ? offset + length + decoded.immLo : undefined;
    return { offset, length, form, decoded, segment, ends: this.#handlers.ends(slot), target };
  }
}
