// The handlers of the interpreter, generated when the first instruction of their kind is decoded: no start-up cost, and
// only what a guest uses is compiled. Slots are given at once; `flush` compiles what is pending into one module.

import type { Form } from "../decode/decoded.js";
import { OperandKind } from "../decode/decoded.js";
import type { SemanticsTable } from "../emit/emitter.js";
import { type AddressForm, InterpreterEmitter, type RuntimeImports } from "../emit/interpreter-emitter.js";
import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import { ModuleWriter } from "../wasm/module-writer.js";
import { Slot, TABLE_SIZE } from "./core-module.js";
import { checkUnit, unitOf } from "./unit.js";

export interface HandlerKind {
  readonly form: Form;
  readonly addressForm: AddressForm;
  readonly addressSize: number;
  readonly mode: 16 | 32 | 64;
  readonly rep: 0 | 2 | 3;
}

interface Pending {
  readonly slot: number;
  readonly body: Uint8Array;
}

export class HandlerSet {
  readonly #semantics: SemanticsTable;
  readonly #slots = new Map<string, number>();
  /** By slot: 1 when control never falls through, 2 when it may branch. */
  readonly #ends = new Uint8Array(TABLE_SIZE);
  readonly #link: (bytes: Uint8Array<ArrayBuffer>, slots: readonly number[]) => void;
  readonly #pages: number;
  #next: number = Slot.First;
  #pending: Pending[] = [];

  /** `link` instantiates a module that exports one function per slot, named by it, and puts them into the table. */
  constructor(
    semantics: SemanticsTable,
    pages: number,
    link: (bytes: Uint8Array<ArrayBuffer>, slots: readonly number[]) => void,
  ) {
    this.#semantics = semantics;
    this.#pages = pages;
    this.#link = link;
  }

  get count(): number {
    return this.#next - Slot.First;
  }

  ends(slot: number): boolean {
    return this.#ends[slot] === 1;
  }

  /** Whether control may go elsewhere than to the next instruction; true for compiled regions. */
  branches(slot: number): boolean {
    return this.#ends[slot] !== 0;
  }

  slotFor(kind: HandlerKind): number {
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
    if (this.#ends[slot] === 0 && form.operands.at(-1)?.kind === OperandKind.Relative) this.#ends[slot] = 2;
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
    const slot = this.#next++;
    if (slot >= TABLE_SIZE) throw new Error("interpreter: dispatch table full");
    this.#slots.set(key, slot);
    this.#ends[slot] = emitter.endsBlock ? 1 : 0;
    if (!emitter.terminated) emitter.next();
    this.#pending.push({ slot, body: emitter.finish() });
    return slot;
  }

  /** Compiles a region's function at once; `install` gets its slot in the table. */
  addCompiled(body: Uint8Array, install: (slot: number) => void): void {
    this.flush();
    const slot = this.#next++;
    if (slot >= TABLE_SIZE) throw new Error("interpreter: dispatch table full");
    this.#ends[slot] = 1;
    this.#pending.push({ slot, body });
    this.flush();
    install(slot);
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

const runtimeNames = ["translate", "commit", "goto", "gotoDirect", "host", "checkSegment", "ordinaryFloat"] as const;
/** Function indices of the runtime in every module of handlers or regions. */
export const runtimeIndices: RuntimeImports = {
  translate: 0,
  commit: 1,
  goto: 2,
  gotoDirect: 3,
  host: 4,
  checkSegment: 5,
  ordinaryFloat: 6,
};

function declareRuntime(m: ModuleWriter, pages: number): number {
  m.importMemory("e", "memory", pages);
  const types = {
    translate: m.type(["i32", "i32", "i64", "i32"], ["i32"]),
    commit: m.type(["i32", "i32"], []),
    goto: m.type(["i32", "i32", "i64"], ["i32"]),
    gotoDirect: m.type(["i32", "i32", "i64"], ["i32"]),
    host: m.type(["i32", "i32", "i32"], ["i32"]),
    checkSegment: m.type(["i32", "i32", "i32", "i32", "i32"], ["i32"]),
    ordinaryFloat: m.type(["i32", "i32", "v128", "v128"], ["i32"]),
  };
  for (const name of runtimeNames) m.importFunction("e", name, types[name]);
  return m.type(["i32", "i32"], ["i32"]);
}

/** Address form that a decoded memory operand needs in 64-bit mode. */
export function addressFormOf(hasMemory: boolean, mode: 16 | 32 | 64, index: number, segment: number): AddressForm {
  if (!hasMemory) return "base";
  if (mode !== 64) return "checked";
  if (segment >= S.Seg.FS) return "full";
  return index >= 0 ? "indexed" : "base";
}

export function hasMemoryOperand(form: Form): boolean {
  return form.operands.some((o) => o.kind === OperandKind.Memory);
}
