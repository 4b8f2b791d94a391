// The handlers of the interpreter, generated when the first instruction of their kind is decoded: no start-up cost, and
// only what a guest uses is compiled. Slots are given at once; `flush` compiles what is pending into one module.

import type { Form } from "../decode/decoded.js";
import { OperandKind } from "../decode/decoded.js";
import type { SemanticsTable } from "../emit/emitter.js";
import { type AddressForm, InterpreterEmitter } from "../emit/interpreter-emitter.js";
import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import { ByteWriter } from "../wasm/byte-writer.js";
import type { BranchHint, FunctionBody } from "../wasm/code-writer.js";
import { ModuleWriter } from "../wasm/module-writer.js";
import { Slot, TABLE_SIZE } from "./core-module.js";
import { declareRuntime, runtimeIndices } from "./runtime-imports.js";
import { checkUnit, unitOf } from "./unit.js";

export interface HandlerKind {
  readonly form: Form;
  readonly addressForm: AddressForm;
  readonly addressSize: number;
  readonly mode: 16 | 32 | 64;
  readonly rep: 0 | 2 | 3;
}

/** "host": every path performs a host operation; "branch": to a relative target or on; "end": never on to the next instruction. */
export type Flow = "next" | "jump" | "branch" | "call" | "return" | "indirectJump" | "indirectCall" | "host" | "end";

interface Pending {
  readonly slot: number;
  readonly body: FunctionBody;
}

/** Slots that compiled regions leave to handlers: more than an instruction set can need. */
const HANDLER_RESERVE = 16_384;
/** Kinds that one form can be asked for in: by address form, address size, code mode and repeat prefix. */
const KINDS_PER_FORM = 4 * 3 * 3 * 3;

/** The handlers of some kinds as plain data, made once for many processes (`common-handlers.ts`). */
export interface PreparedHandlers {
  /** Of the forms that they were made for: kinds are known by number. */
  readonly forms: number;
  /** By slot, from Slot.First on: what its code depends on, how control leaves it. */
  readonly keys: readonly string[];
  readonly ends: Uint8Array;
  readonly flows: readonly (Flow | undefined)[];
  /** Pairs of a kind's number and its slot. */
  readonly kinds: Int32Array;
  /** All bodies, one behind the other; by slot a body's length and number of hints; pairs of a hint's place and 0 or 1. */
  readonly code: Uint8Array;
  readonly bodies: Int32Array;
  readonly hints: Int32Array;
}

/** Address forms in hot code. */
export const AddressFormNumber = { Base: 0, Indexed: 1, Full: 2, Checked: 3 } as const;
export type AddressFormNumber = (typeof AddressFormNumber)[keyof typeof AddressFormNumber];
const addressForms: readonly AddressForm[] = ["base", "indexed", "full", "checked"];

export class HandlerSet {
  readonly #semantics: SemanticsTable;
  /** Slots by what a handler's code depends on: forms that differ in encoding only share one. */
  readonly #slots = new Map<string, number>();
  /** The same by form and kind, a number each; 0 where not asked for yet. */
  readonly #slotOfKind: Uint16Array;
  /** By slot: 1 when control never falls through, 2 when it may branch. */
  readonly #ends = new Uint8Array(TABLE_SIZE);
  readonly #flows: (Flow | undefined)[] = [];
  readonly #link: (bytes: Uint8Array<ArrayBuffer>, slots: readonly number[]) => void;
  readonly #pages: number;
  #next: number = Slot.First;
  #handlers = 0;
  readonly #free: number[] = [];
  #pending: Pending[] = [];

  /** `link` instantiates a module that exports one function per slot, named by it, and puts them into the table. */
  constructor(
    semantics: SemanticsTable,
    forms: number,
    pages: number,
    link: (bytes: Uint8Array<ArrayBuffer>, slots: readonly number[]) => void,
  ) {
    this.#slotOfKind = new Uint16Array(forms * KINDS_PER_FORM);
    this.#semantics = semantics;
    this.#pages = pages;
    this.#link = link;
  }

  get count(): number {
    return this.#handlers;
  }

  ends(slot: number): boolean {
    return this.#ends[slot] === 1;
  }

  /** How control leaves a handler's instruction; undefined for bytes that are none. */
  flow(slot: number): Flow | undefined {
    return this.#flows[slot];
  }

  /** Whether control may go elsewhere than to the next instruction; true for compiled regions. */
  branches(slot: number): boolean {
    return this.#ends[slot] !== 0;
  }

  slotFor({ form, addressForm, addressSize, mode, rep }: HandlerKind): number {
    return this.slotOf(form, addressForms.indexOf(addressForm) as AddressFormNumber, addressSize, mode, rep);
  }
  /** The same, without an object. */
  slotOf(form: Form, addressForm: AddressFormNumber, addressSize: number, mode: 16 | 32 | 64, rep: 0 | 2 | 3): number {
    const variant = (addressForm * 3 + (addressSize >> 5)) * 3 + (mode >> 5);
    const place = form.id * KINDS_PER_FORM + variant * 3 + (rep === 0 ? 0 : rep - 1);
    const known = this.#slotOfKind[place]!;
    if (known !== 0) return known;
    const slot = this.#slotByText({ form, addressForm: addressForms[addressForm]!, addressSize, mode, rep });
    this.#slotOfKind[place] = slot;
    return slot;
  }

  #slotByText(kind: HandlerKind): number {
    const { form, mode, rep } = kind;
    const operands = form.operands.map((o) => `${o.kind}.${o.size}`).join();
    const { cpl } = form.row.options;
    const unit = unitOf(form);
    const key = `${form.semantics}/${form.operandSize}/${operands}/${kind.addressForm}${kind.addressSize}/${mode}/${rep}/${cpl ?? 3}${unit}`;
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const body = this.#semantics[form.semantics];
    if (!body) throw new Error(`no semantics for ${form.semantics} (${form.row.opcode} ${form.instruction.mnemonic})`);
    const emitter = new InterpreterEmitter(
      { ...kind, size: form.operandSize, operands: form.operands },
      runtimeIndices,
    );
    if (cpl === 0) emitter.raiseIf(emitter.stateLoad("i32", S.CPL), Vector.GP, 0);
    checkUnit(emitter, unit);
    body(emitter, ...emitter.operands);
    const slot = this.#add(key, emitter);
    const direct = form.operands.at(-1)?.kind === OperandKind.Relative;
    if (this.#ends[slot] === 0 && direct) this.#ends[slot] = 2;
    if (form.semantics === "CALL_NEAR") this.#flows[slot] = direct ? "call" : "indirectCall";
    else if (form.semantics === "JMP_NEAR") this.#flows[slot] = direct ? "jump" : "indirectJump";
    else if (form.semantics === "RET_NEAR") this.#flows[slot] = "return";
    else if (emitter.needsHost) this.#flows[slot] = "host";
    else if (this.#ends[slot] === 1) this.#flows[slot] = "end";
    else this.#flows[slot] = direct ? "branch" : "next";
    return slot;
  }

  /** A handler that only raises an exception (undecodable bytes). `errorCode` -1: none. */
  raiseSlot(vector: number, errorCode: number): number {
    const key = `raise ${vector} ${errorCode}`;
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const emitter = new InterpreterEmitter(
      { mode: 64, size: 32, addressSize: 64, rep: 0, addressForm: "base", operands: [] },
      runtimeIndices,
    );
    emitter.raise(vector, errorCode);
    return this.#add(key, emitter);
  }

  #add(key: string, emitter: InterpreterEmitter): number {
    const slot = this.#free.pop() ?? this.#next++;
    if (slot >= TABLE_SIZE) throw new Error("interpreter: dispatch table full");
    this.#handlers++;
    this.#slots.set(key, slot);
    this.#ends[slot] = emitter.endsBlock ? 1 : 0;
    if (!emitter.terminated) emitter.next();
    this.#pending.push({ slot, body: emitter.finish() });
    return slot;
  }

  /** A slot of the dispatch table for a compiled region; 0 when regions have used up theirs. */
  takeRegionSlot(): number {
    if (this.#free.length === 0 && this.#next >= TABLE_SIZE - HANDLER_RESERVE) return 0;
    const slot = this.#free.pop() ?? this.#next++;
    this.#ends[slot] = 1;
    return slot;
  }

  /** The region at this slot is no more, and no record leads to it. */
  freeRegionSlot(slot: number): void {
    this.#free.push(slot);
  }

  /** All there is, before it is compiled. */
  save(): PreparedHandlers {
    const pending = this.#pending;
    if (pending.length !== this.#next - Slot.First)
      throw new Error("interpreter: handlers to save were compiled already");
    const code = new ByteWriter(1 << 18);
    for (const { body } of pending) code.raw(body.bytes);
    const kinds = [...this.#slotOfKind.entries()].filter(([, slot]) => slot !== 0);
    return {
      forms: this.#slotOfKind.length / KINDS_PER_FORM,
      keys: [...this.#slots.keys()],
      ends: this.#ends.slice(Slot.First, this.#next),
      flows: pending.map(({ slot }) => this.#flows[slot]),
      kinds: Int32Array.from(kinds.flat()),
      code: code.bytes.slice(0, code.length),
      bodies: Int32Array.from(pending.flatMap(({ body }) => [body.bytes.length, body.hints.length])),
      hints: Int32Array.from(pending.flatMap(({ body }) => body.hints.flatMap((h) => [h.at, h.likely ? 1 : 0]))),
    };
  }

  /** Takes what `save` gave elsewhere, if there is nothing here yet and it was made for these forms; whether it did. */
  load(prepared: PreparedHandlers): boolean {
    if (this.#handlers > 0 || prepared.forms * KINDS_PER_FORM !== this.#slotOfKind.length) return false;
    const { keys, ends, flows, kinds, code, bodies, hints } = prepared;
    this.#ends.set(ends, Slot.First);
    for (let i = 0; i < kinds.length; i += 2) this.#slotOfKind[kinds[i]!] = kinds[i + 1]!;
    let at = 0;
    let hint = 0;
    for (const [i, key] of keys.entries()) {
      const slot = Slot.First + i;
      this.#slots.set(key, slot);
      this.#flows[slot] = flows[i];
      const own: BranchHint[] = [];
      for (let n = bodies[2 * i + 1]!; n > 0; n--, hint += 2)
        own.push({ at: hints[hint]!, likely: hints[hint + 1] === 1 });
      const end = at + bodies[2 * i]!;
      this.#pending.push({ slot, body: { bytes: code.subarray(at, end), hints: own } });
      at = end;
    }
    this.#next += keys.length;
    this.#handlers = keys.length;
    return true;
  }

  /** Compiles the handlers asked for since the last call. */
  flush(): void {
    if (this.#pending.length === 0) return;
    const m = new ModuleWriter();
    const handler = declareRuntime(m, this.#pages);
    for (const { slot, body } of this.#pending) m.addFunction(handler, body, String(slot));
    const slots = this.#pending.map((p) => p.slot);
    this.#pending = [];
    this.#link(m.toBytes(), slots);
  }
}

/** Address form that a decoded memory operand needs. */
export function addressFormOf(mode: 16 | 32 | 64, index: number, segment: number): AddressFormNumber {
  if (mode !== 64) return AddressFormNumber.Checked;
  if (segment >= S.Seg.FS) return AddressFormNumber.Full;
  return index >= 0 ? AddressFormNumber.Indexed : AddressFormNumber.Base;
}

export function hasMemoryOperand(form: Form): boolean {
  return form.operands.some((o) => o.kind === OperandKind.Memory);
}
