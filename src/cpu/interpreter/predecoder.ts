// Turns bytes of a code page into records: a straight run from an offset to the first instruction that never falls through,
// to code that is already decoded, or to the end of the page.

import { type MachineMemory, PAGE_SIZE } from "../../mmu/machine-memory.js";
import type { Decoded } from "../decode/decoded.js";
import { type CodeMode, DecodeResult, OperandKind } from "../decode/decoded.js";
import type { Decoder } from "../decode/decoder.js";
import { gprOffset } from "../emit/interpreter-emitter.js";
import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import type { CodeCache, CodePage } from "./code-cache.js";
import { Slot } from "./core-module.js";
import { addressFormOf, type HandlerSet, hasMemoryOperand } from "./handlers.js";
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
  instructions = 0;

  constructor(memory: MachineMemory, decoder: Decoder, cache: CodeCache, handlers: HandlerSet) {
    this.#memory = memory;
    this.#decoder = decoder;
    this.#cache = cache;
    this.#handlers = handlers;
    this.#decoded = decoder.newDecoded();
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
      this.#cache.watch(page, at, at + length);
      view.setUint8(record + R.LENGTH, length);
      at += length;
      if (result !== DecodeResult.Ok || this.#handlers.ends(slot)) break;
    }
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
    view.setUint16(record + R.OFFSET, offset, true);
    view.setUint32(record + R.PAGE, page.table, true);
    view.setUint32(record + R.LINK, 0, true);
    this.instructions++;
    if (result !== DecodeResult.Ok) {
      const slot =
        result === DecodeResult.Invalid
          ? this.#handlers.raiseSlot(Vector.UD, -1)
          : this.#handlers.raiseSlot(Vector.GP, 0);
      view.setUint32(record + R.HANDLER, slot, true);
      return slot;
    }
    const { form } = d;
    const mode = modes[page.mode]!;
    const memory = hasMemoryOperand(form);
    // String instructions have no memory operand, yet their source segment can be overridden.
    const segment = memory || d.segmentOverridden ? d.segment : S.Seg.DS;
    const addressForm = memory
      ? addressFormOf(true, mode, d.index, segment)
      : d.segmentOverridden && segment >= S.Seg.FS && mode === 64
        ? "full"
        : "base";
    const slot = this.#handlers.slotFor({ form, addressForm, addressSize: d.addressSize, mode, rep: d.rep });
    view.setUint32(record + R.HANDLER, slot, true);
    view.setUint8(record + R.SEGMENT, segment);
    for (let i = 0; i < form.operands.length; i++) {
      const { kind } = form.operands[i]!;
      const code = d.code[i]!;
      const place =
        kind === OperandKind.Gpr
          ? gprOffset(code)
          : kind === OperandKind.Xmm
            ? S.XMM + 16 * code
            : kind === OperandKind.Mmx
              ? S.FPR + 16 * code
              : code;
      view.setUint16(record + R.OPERAND + 2 * i, place & 0xffff, true);
    }
    const relative = form.operands.length > 0 && form.operands.at(-1)!.kind === OperandKind.Relative;
    let dispLo = d.dispLo;
    if (d.ripRelative) dispLo += offset + d.length;
    view.setUint16(record + R.BASE, d.ripRelative ? S.PAGE_VA : d.base >= 0 ? gprOffset(d.base) : S.ZERO_SLOT, true);
    view.setUint16(record + R.INDEX, d.index >= 0 ? gprOffset(d.index) : S.ZERO_SLOT, true);
    view.setUint16(
      record + R.SEGMENT_BASE,
      mode === 64 && segment < S.Seg.FS ? S.ZERO_SLOT : S.SEG_BASE + 8 * segment,
      true,
    );
    view.setUint8(record + R.SCALE, d.scale);
    if (!relative && (form.semantics === "JMP_NEAR" || form.semantics === "CALL_NEAR"))
      view.setUint8(record + R.COMPUTED, 1);
    if (d.ripRelative) view.setBigInt64(record + R.DISPLACEMENT, BigInt(dispLo), true);
    else {
      view.setInt32(record + R.DISPLACEMENT, dispLo, true);
      view.setInt32(record + R.DISPLACEMENT + 4, d.dispHi, true);
    }
    if (relative) view.setBigInt64(record + R.IMMEDIATE, BigInt(d.immLo | 0) + BigInt(offset + d.length), true);
    else {
      view.setInt32(record + R.IMMEDIATE, d.immLo | 0, true);
      view.setInt32(record + R.IMMEDIATE + 4, d.immHi | 0, true);
    }
    view.setInt32(
      record + R.IMMEDIATE2,
      (form.operands[0]?.kind === OperandKind.FarPointer ? d.immHi : d.imm2) | 0,
      true,
    );
    return slot;
  }
}
