// Turns bytes of a code page into records: a straight run from an offset to the first instruction that never falls through,
// to code that is already decoded, or to the end of the page.

import { type MachineMemory, PAGE_SIZE } from "../../mmu/machine-memory.js";
import type { Decoded, Form } from "../decode/decoded.js";
import { type CodeMode, DecodeResult, OperandKind } from "../decode/decoded.js";
import type { Decoder } from "../decode/decoder.js";
import { gprOffset } from "../emit/interpreter-emitter.js";
import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import type { CodeCache, CodePage } from "./code-cache.js";
import { Slot } from "./core-module.js";
import { AddressFormNumber, addressFormOf, type HandlerSet, hasMemoryOperand } from "./handlers.js";
import * as R from "./record.js";

/** Longest run decoded at once. */
const RUN_LIMIT = 48;
const modes = [16, 32, 64] as const;

export class Predecoder {
  readonly #memory: MachineMemory;
  readonly #decoder: Decoder;
  readonly #cache: CodeCache;
  readonly #handlers: HandlerSet;
  readonly #decoded: Decoded;
  readonly #crossing = new Uint8Array(32);
  /** By form. */
  readonly #shapes: (Shape | undefined)[];
  instructions = 0;

  constructor(memory: MachineMemory, decoder: Decoder, cache: CodeCache, handlers: HandlerSet) {
    this.#memory = memory;
    this.#decoder = decoder;
    this.#cache = cache;
    this.#handlers = handlers;
    this.#decoded = decoder.newDecoded();
    this.#shapes = decoder.forms.map(() => undefined);
  }

  /**
   * Decodes from `offset`. `nextPage` gives the code page that follows in virtual memory, for an instruction that crosses into
   * it, or undefined when it can't be fetched. Returns the record, or 0 when the first instruction crosses into a page that
   * `nextPage` refused.
   */
  decode(page: CodePage, offset: number, nextPage: () => CodePage | undefined): number {
    const { u8, view } = this.#memory;
    const base = page.frame * PAGE_SIZE;
    const d = this.#decoded;
    let first = 0;
    let at = offset;
    for (let count = 0; ; count++) {
      if (count > 0 && (count === RUN_LIMIT || at === PAGE_SIZE || this.#cache.recordAt(page, at) !== 0)) {
        this.#pseudo(page, at, Slot.Goto);
        break;
      }
      const result = this.#decoder.decode(u8, base + at, base + PAGE_SIZE, page.mode as CodeMode, d);
      if (result === DecodeResult.NeedMore) {
        if (count > 0) {
          this.#pseudo(page, at, Slot.Goto);
          break;
        }
        return this.#decodeCrossing(page, at, nextPage());
      }
      const record = this.#cache.newRecord();
      first ||= record;
      const slot = this.#fill(page, at, record, result);
      page.records.push(record);
      this.#cache.enter(page, at, record);
      const length = result === DecodeResult.Ok ? d.length : Math.min(15, PAGE_SIZE - at);
      view.setUint8(record + R.LENGTH, length);
      at += length;
      if (result !== DecodeResult.Ok || this.#handlers.ends(slot)) break;
    }
    this.#cache.watch(page, offset, at);
    this.#handlers.flush();
    return first;
  }

  #decodeCrossing(page: CodePage, at: number, next: CodePage | undefined): number {
    if (!next) return 0;
    const { u8 } = this.#memory;
    const here = PAGE_SIZE - at;
    this.#crossing.set(u8.subarray(page.frame * PAGE_SIZE + at, (page.frame + 1) * PAGE_SIZE), 0);
    this.#crossing.set(u8.subarray(next.frame * PAGE_SIZE, next.frame * PAGE_SIZE + 16), here);
    const result = this.#decoder.decode(this.#crossing, 0, here + 16, page.mode as CodeMode, this.#decoded);
    const guard = this.#pseudo(page, at, Slot.Crossing);
    this.#memory.view.setUint32(guard + R.LINK, next.table, true);
    const record = this.#cache.newRecord();
    this.#fill(page, at, record, result);
    const length = result === DecodeResult.Ok ? this.#decoded.length : here + 1;
    // What describes the instruction by its record finds the same in the guard.
    for (const at of [guard, record]) this.#memory.view.setUint8(at + R.LENGTH, length);
    this.#memory.view.setUint8(guard + R.SEGMENT, this.#memory.view.getUint8(record + R.SEGMENT));
    const after = this.#pseudo(page, at + length, Slot.Goto);
    page.records.push(record);
    next.records.push(guard, record, after);
    this.#cache.enter(page, at, guard);
    this.#cache.watch(page, at, PAGE_SIZE);
    this.#cache.watch(next, 0, Math.max(1, length - here));
    this.#handlers.flush();
    return guard;
  }

  #pseudo(page: CodePage, offset: number, slot: number): number {
    const record = this.#cache.newRecord();
    const { view } = this.#memory;
    view.setUint32(record + R.HANDLER, slot, true);
    view.setUint16(record + R.OFFSET, offset, true);
    view.setUint32(record + R.PAGE, page.table, true);
    view.setUint32(record + R.LINK, 0, true);
    page.records.push(record);
    return record;
  }

  /** Writes the record of what #decoded holds (or of the exception that undecodable bytes raise). Returns its handler's slot. */
  #fill(page: CodePage, offset: number, record: number, result: DecodeResult): number {
    const { view } = this.#memory;
    const d = this.#decoded;
    view.setUint32(record + R.PAGE, page.table, true);
    view.setUint32(record + R.LINK, 0, true);
    this.instructions++;
    if (result !== DecodeResult.Ok) {
      const slot =
        result === DecodeResult.Invalid
          ? this.#handlers.raiseSlot(Vector.UD, -1)
          : this.#handlers.raiseSlot(Vector.GP, 0);
      view.setUint32(record + R.HANDLER, slot, true);
      view.setUint16(record + R.OFFSET, offset, true);
      return slot;
    }
    const { form } = d;
    const shape = (this.#shapes[form.id] ??= shapeOf(form));
    const mode = modes[page.mode]!;
    // String instructions have no memory operand, yet their source segment can be overridden.
    const segment = shape.memory || d.segmentOverridden ? d.segment : S.Seg.DS;
    const addressForm = shape.memory
      ? addressFormOf(mode, d.index, segment)
      : d.segmentOverridden && segment >= S.Seg.FS && mode === 64
        ? AddressFormNumber.Full
        : AddressFormNumber.Base;
    const slot = this.#handlers.slotOf(form, addressForm, d.addressSize, mode, d.rep);
    const segmentBase = mode === 64 && segment < S.Seg.FS ? S.ZERO_SLOT : S.SEG_BASE + 8 * segment;
    const base = d.ripRelative ? S.PAGE_VA : d.base >= 0 ? gprOffset(d.base) : S.ZERO_SLOT;
    const index = d.index >= 0 ? gprOffset(d.index) : S.ZERO_SLOT;
    const { words } = this.#memory;
    const word = record >> 2;
    const { code } = d;
    words[word + (R.HANDLER >> 2)] = slot;
    words[word + (R.OFFSET >> 2)] = offset | (segment << 24);
    words[word + (R.OPERAND >> 2)] = placeOf(shape.kind0, code[0]!) | (placeOf(shape.kind1, code[1]!) << 16);
    words[word + (R.OPERAND >> 2) + 1] = placeOf(shape.kind2, code[2]!) | (placeOf(shape.kind3, code[3]!) << 16);
    words[word + (R.BASE >> 2)] = base | (index << 16);
    words[word + (R.SEGMENT_BASE >> 2)] = segmentBase | (d.scale << 16) | (shape.computed ? 1 << 24 : 0);
    // Counted from the instruction's end; in a record, from the page's start.
    const end = offset + d.length;
    const displacement = d.ripRelative ? d.dispLo + end : 0;
    words[word + (R.DISPLACEMENT >> 2)] = d.ripRelative ? displacement : d.dispLo;
    words[word + (R.DISPLACEMENT >> 2) + 1] = d.ripRelative ? Math.floor(displacement / 2 ** 32) : d.dispHi;
    const target = shape.relative ? (d.immLo | 0) + end : 0;
    words[word + (R.IMMEDIATE >> 2)] = shape.relative ? target : d.immLo;
    words[word + (R.IMMEDIATE >> 2) + 1] = shape.relative ? Math.floor(target / 2 ** 32) : d.immHi;
    words[word + (R.IMMEDIATE2 >> 2)] = shape.far ? d.immHi : d.imm2;
    return slot;
  }
}

/** What filling a record needs to know of a form. */
interface Shape {
  readonly memory: boolean;
  readonly relative: boolean;
  readonly far: boolean;
  readonly computed: boolean;
  /** Kinds of the operands, -1 where there is none. */
  readonly kind0: number;
  readonly kind1: number;
  readonly kind2: number;
  readonly kind3: number;
}

function shapeOf(form: Form): Shape {
  const kind = (at: number) => form.operands[at]?.kind ?? -1;
  const relative = form.operands.at(-1)?.kind === OperandKind.Relative;
  return {
    memory: hasMemoryOperand(form),
    relative,
    far: kind(0) === OperandKind.FarPointer,
    computed: !relative && (form.semantics === "JMP_NEAR" || form.semantics === "CALL_NEAR"),
    kind0: kind(0),
    kind1: kind(1),
    kind2: kind(2),
    kind3: kind(3),
  };
}

/** What a record says of an operand: where its register stands in the state, or the number itself. */
function placeOf(kind: number, code: number): number {
  if (kind === OperandKind.Gpr) return gprOffset(code);
  if (kind === OperandKind.Xmm) return S.XMM + 16 * code;
  if (kind === OperandKind.Mmx) return S.FPR + 16 * code;
  return kind < 0 ? 0 : code & 0xffff;
}
