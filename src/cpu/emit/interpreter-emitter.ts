// Emits a handler of the interpreter: a function (state, record) -> next record, or 0 after an exit was described in the
// vCPU state. Operands are read through the offsets in the record, so one handler serves all registers.

import type { FormOperand } from "../decode/decoded.js";
import { OperandKind } from "../decode/decoded.js";
import { Vector } from "../exit.js";
import { hostOperationId } from "../host/registry.js";
import * as R from "../interpreter/record.js";
import * as S from "../state-layout.js";
import { TLB_ENTRY_SHIFT, TLB_INDEX_MASK, TLB_LINEAR, TLB_READ, TLB_WRITE } from "../tlb-layout.js";
import type { LoadKind, Value } from "../wasm/function-builder.js";
import { Emitter, type EmitterContext, type FloatBits, type Operand } from "./emitter.js";
import { floatExactOf, floatLimitOf } from "./float-limit.js";
import { ACCESS_SPAN, ACCESS_STACK, ACCESS_WRITE, bareOperand, loadKind, storeKind, storeKindOf } from "./operand.js";

/** How a memory operand's address is formed: how much of base + index * scale + displacement + segment there is. */
export type AddressForm = "base" | "indexed" | "full" | "checked";

export interface HandlerSpec extends EmitterContext {
  readonly operands: readonly FormOperand[];
  readonly addressForm: AddressForm;
}

/** Function indices of the runtime in the module that is being written. */
export interface RuntimeImports {
  /** (state, record, va, sizeAndAccess) -> linear address or 0. */
  readonly translate: number;
  /** (state, record): completes a write that `translate` redirected to SCRATCH. */
  readonly commit: number;
  /** (state, record, target) -> record or 0. */
  readonly goto: number;
  /** The same, remembering the target in the record's LINK when it stays in the page. */
  readonly gotoDirect: number;
  /** (state, record, operation) -> 0 to continue, 1 when an exit or jump was set up. */
  readonly host: number;
  /** (state, record, segment, offset, sizeAndAccess) -> 1, or 0 after #GP/#SS. */
  readonly checkSegment: number;
  /** (state, operation, two numbers) -> 1 when the result is in ARGS: see ../semantics/x87-arithmetic-core.ts. */
  readonly x87: number;
  /** (state, operation, two vectors) -> 1 when Wasm's result is the processor's: see ../semantics/sse/ordinary.ts. */
  readonly ordinary: number;
  /** (state, record) -> next record or 0: SYSCALL. */
  readonly gate: number;
}

/** State offset of a general register by OperandKind.Gpr code. */
export function gprOffset(code: number): number {
  return code < 16 ? S.GPR + 8 * code : S.GPR + 8 * (code - 16) + 1;
}

export class InterpreterEmitter extends Emitter {
  readonly state: Value;
  readonly record: Value;
  readonly operands: Operand[];
  readonly #spec: HandlerSpec;
  readonly #runtime: RuntimeImports;
  /** True when control never falls through to the next instruction. */
  endsBlock = false;
  /** True when every path performs a host operation. */
  needsHost = false;

  constructor(spec: HandlerSpec, runtime: RuntimeImports) {
    super(spec);
    this.#spec = spec;
    this.#runtime = runtime;
    this.state = this.param(0);
    this.record = this.param(1);
    this.operands = spec.operands.map((operand, slot) => this.#operand(operand, slot));
  }

  // --- guest state ---

  gpr(code: number, size: number): Value {
    return this.let(this.load(loadKind[size]!, this.state, gprOffset(code)));
  }
  setGpr(code: number, size: number, value: Value): void {
    this.#storeRegister(this.state, gprOffset(code), size, value);
  }
  xmm(index: number): Value {
    return this.let(this.load("v128", this.state, S.XMM + 16 * index));
  }
  setXmm(index: number, value: Value): void {
    this.store("v128", this.state, value, S.XMM + 16 * index);
  }
  flagResult(): Value {
    return this.let(this.load("i64", this.state, S.FLAG_RESULT));
  }
  flagAux(): Value {
    return this.let(this.load("i32", this.state, S.FLAG_AUX));
  }
  setFlagResult(value: Value): void {
    this.store("i64", this.state, value, S.FLAG_RESULT);
  }
  setFlagAux(value: Value): void {
    this.store("i32", this.state, value, S.FLAG_AUX);
  }
  stateLoad(kind: LoadKind, offset: number): Value {
    return this.load(kind, this.state, offset);
  }
  stateStore(kind: "i32" | "i64" | "v128", offset: number, value: Value): void {
    this.store(kind, this.state, value, offset);
  }

  floatLimit(bits: FloatBits): Value {
    return floatLimitOf(this, bits);
  }
  protected get x87Function(): number {
    return this.#runtime.x87;
  }
  protected get ordinaryFunction(): number {
    return this.#runtime.ordinary;
  }
  floatExact(): Value {
    return floatExactOf(this);
  }

  #storeRegister(address: Value, offset: number, size: number, value: Value): void {
    // A 32-bit destination clears the upper half of its register, SDM volume 1, 3.4.1.1.
    if (size === 32) this.store("i64", address, this.extendU(value), offset);
    else this.store(storeKind[size]!, address, value, offset);
  }

  // --- memory ---

  // An access on the slow path may have been sent to SCRATCH, so it needs #storeAt's commit.
  translate(va: Value, size: number, write: boolean, segment = -1, span?: Value): { address: Value; slow: Value } {
    const bytes = size / 8;
    const address = this.local("i32");
    const slow = this.local("i32");
    const tlb = this.load("i32", this.state, S.TLB);
    const index = this.and(
      this.wrap(this.shrU(va, this.i64(12 - TLB_ENTRY_SHIFT))),
      this.i32(TLB_INDEX_MASK << TLB_ENTRY_SHIFT),
    );
    const entry = this.let(this.add(tlb, index));
    const tag = this.load("i64", entry, write ? TLB_WRITE : TLB_READ);
    this.if(
      this.leU(this.add(va, tag), this.i64(4096 - bytes)),
      () => this.set(address, this.add(this.wrap(va), this.load("i32", entry, TLB_LINEAR))),
      () => {
        if (span) this.store("i32", this.state, span, S.SPAN);
        const access =
          bytes | (write ? ACCESS_WRITE : 0) | (segment === S.Seg.SS ? ACCESS_STACK : 0) | (span ? ACCESS_SPAN : 0);
        const args = [this.state, this.record, va, this.i32(access)];
        this.set(address, this.call(this.#runtime.translate, "i32", args));
        this.ifRare(this.eqz(this.get(address)), () => this.return(this.i32(0)));
        this.set(slow, this.load("i32", this.state, S.SLOW_ACCESS));
      },
      true,
    );
    return { address: this.get(address), slow: this.get(slow) };
  }

  readLinear(address: Value, size: number, segment?: number): Value {
    return this.let(this.load(loadKind[size]!, this.translate(this.let(address), size, false, segment).address));
  }

  writeLinear(address: Value, size: number, value: Value, segment?: number): void {
    const v = this.let(value);
    const place = this.translate(this.let(address), size, true, segment);
    this.#storeAt(place, size, v);
  }

  #storeAt(place: { address: Value; slow: Value }, size: number, value: Value): void {
    this.store(storeKindOf(value, size), place.address, value);
    this.if(place.slow, () => this.callStatement(this.#runtime.commit, [this.state, this.record]));
  }

  updateLinear(address: Value, size: number, change: (old: Value) => Value, segment?: number): void {
    const place = this.translate(this.let(address), size, true, segment);
    const old = this.let(this.load(loadKind[size]!, place.address));
    this.#storeAt(place, size, this.let(change(old)));
  }

  segmentLinear(segment: number | "operand", offset: Value, size: number, write: boolean): Value {
    const at = this.let(offset);
    const fixed = segment !== "operand";
    const base = fixed
      ? this.load("i64", this.state, S.SEG_BASE + 8 * segment)
      : this.load("i64", this.add(this.state, this.load("i32_16u", this.record, R.SEGMENT_BASE)));
    if (this.mode === 64) {
      if (fixed && segment < S.Seg.FS) return at;
      return this.let(this.add(at, base));
    }
    const number = fixed ? this.i32(segment) : this.load("i32_8u", this.record, R.SEGMENT);
    const args = [
      this.state,
      this.record,
      this.let(number),
      this.wrap(at),
      this.i32((size >> 3) | (write ? ACCESS_WRITE : 0)),
    ];
    this.if(this.eqz(this.call(this.#runtime.checkSegment, "i32", args)), () => this.return(this.i32(0)));
    return this.let(this.and(this.add(at, base), this.i64(0xffffffff)));
  }

  /** Effective address of the record's memory operand, within the address size. */
  effectiveAddress(): Value {
    const slot = (field: number) => this.load("i64", this.add(this.state, this.load("i32_16u", this.record, field)));
    let address = this.add(slot(R.BASE), this.load("i64", this.record, R.DISPLACEMENT));
    if (this.#spec.addressForm !== "base") {
      const scale = this.extendU(this.load("i32_8u", this.record, R.SCALE));
      address = this.add(address, this.shl(slot(R.INDEX), scale));
    }
    if (this.addressSize !== 64) address = this.and(address, this.i64(this.addressSize === 32 ? 0xffffffff : 0xffff));
    return this.let(address);
  }

  #operandLinear(extra: number, size: number, write: boolean): Value {
    const form = this.#spec.addressForm;
    const address = this.effectiveAddress();
    if (this.mode !== 64) {
      const mask = this.i64(this.addressSize === 16 ? 0xffff : 0xffffffff);
      const offset = extra === 0 ? address : this.and(this.add(address, this.i64(extra)), mask);
      return this.segmentLinear("operand", offset, size, write);
    }
    const shifted = extra === 0 ? address : this.add(address, this.i64(extra));
    return form === "full" ? this.segmentLinear("operand", shifted, size, write) : this.let(shifted);
  }

  // --- control ---

  currentRip(): Value {
    const offset = this.extendU(this.load("i32_16u", this.record, R.OFFSET));
    return this.let(this.#toRip(this.add(this.load("i64", this.state, S.PAGE_VA), offset)));
  }
  nextRip(): Value {
    const offset = this.add(this.load("i32_16u", this.record, R.OFFSET), this.load("i32_8u", this.record, R.LENGTH));
    return this.let(this.#toRip(this.add(this.load("i64", this.state, S.PAGE_VA), this.extendU(offset))));
  }
  /** From a linear code address to RIP, EIP or IP. */
  #toRip(linear: Value): Value {
    if (this.mode === 64) return linear;
    return this.and(this.sub(linear, this.load("i64", this.state, S.SEG_BASE + 8 * S.Seg.CS)), this.i64(0xffffffff));
  }
  #ends(): void {
    if (this.atTopLevel && !this.terminated) this.endsBlock = true;
  }
  checkTarget(target: Value): void {
    if (this.mode === 64) {
      const canonical = this.shrS(this.shl(target, this.i64(16)), this.i64(16));
      this.raiseIf(this.ne(canonical, target), Vector.GP, 0);
      return;
    }
    const limit = this.load("i32", this.state, S.SEG_LIMIT + 4 * S.Seg.CS);
    this.raiseIf(this.gtU(this.wrap(target), limit), Vector.GP, 0);
  }
  jump(target: Value): void {
    this.#ends();
    const linear =
      this.mode === 64
        ? target
        : this.and(this.add(target, this.load("i64", this.state, S.SEG_BASE + 8 * S.Seg.CS)), this.i64(0xffffffff));
    this.return(this.call(this.#runtime.goto, "i32", [this.state, this.record, linear]));
  }
  jumpRelative(target: Operand): void {
    this.#ends();
    if (this.mode === 64) {
      const link = this.let(this.load("i32", this.record, R.LINK));
      this.ifUsual(link, () => this.return(link));
      this.return(this.call(this.#runtime.gotoDirect, "i32", [this.state, this.record, target.read()]));
      return;
    }
    const to = this.relativeTarget(target);
    this.checkTarget(to);
    this.jump(to);
  }
  relativeTarget(target: Operand): Value {
    // A branch with 16-bit operand size clears the upper half of EIP.
    const narrow = this.mode !== 64 && this.size === 16;
    return narrow ? this.let(this.and(target.read(), this.i64(0xffff))) : target.read();
  }
  next(): void {
    this.return(this.add(this.record, this.i32(R.RECORD_SIZE)));
  }
  again(): void {
    this.return(this.record);
  }
  raise(vector: number, errorCode: number | Value = -1): void {
    this.#ends();
    this.stateStore("i32", S.EXIT_RECORD, this.record);
    this.stateStore("i32", S.EXIT_KIND, this.i32(2));
    this.stateStore("i32", S.EXIT_VECTOR, this.i32(vector));
    this.stateStore("i32", S.EXIT_ERROR, typeof errorCode === "number" ? this.i32(errorCode) : errorCode);
    this.return(this.i32(0));
  }
  exit(kind: number, options: { vector?: number | Value; before?: boolean } = {}): void {
    this.#ends();
    const vector = options.vector ?? 0;
    this.stateStore("i32", S.EXIT_RECORD, this.record);
    this.stateStore("i32", S.EXIT_KIND, this.i32(kind));
    this.stateStore("i32", S.EXIT_VECTOR, typeof vector === "number" ? this.i32(vector) : vector);
    this.stateStore("i32", S.EXIT_ERROR, this.i32(options.before ? 1 : 0));
    this.return(this.i32(0));
  }
  gate(): void {
    this.#ends();
    this.return(this.call(this.#runtime.gate, "i32", [this.state, this.record]));
  }
  host(name: string, ...args: Value[]): void {
    if (this.atTopLevel && !this.terminated) this.needsHost = true;
    args.forEach((arg, i) => {
      this.store("i64", this.state, this.extendU(arg), S.ARGS + 8 * i);
    });
    const call = this.call(this.#runtime.host, "i32", [this.state, this.record, this.i32(hostOperationId(name))]);
    this.if(call, () => this.return(this.i32(0)));
  }

  // --- operands ---

  #operand(form: FormOperand, slot: number): Operand {
    const { size } = form;
    const kinds = OperandKind;
    const number = () => this.let(this.load("i32_16u", this.record, R.OPERAND + 2 * slot));
    switch (form.kind) {
      case kinds.Gpr:
        return this.#registerOperand("register", size, slot);
      case kinds.Xmm:
        return this.#registerOperand("xmm", size, slot);
      case kinds.Mmx:
        return this.#registerOperand("mmx", size, slot);
      case kinds.Memory:
        return this.#memoryOperand(size, 0);
      case kinds.Constant:
        return { ...bareOperand("immediate", 8), read: () => this.let(this.load("i32", this.record, R.IMMEDIATE)) };
      case kinds.Immediate: {
        const read = () => this.let(this.load(size === 64 ? "i64" : "i32", this.record, R.IMMEDIATE));
        return { ...bareOperand("immediate", size), read: size < 32 ? () => this.zeroExtend(read(), size) : read };
      }
      case kinds.Immediate2:
        return { ...bareOperand("immediate", size), read: () => this.let(this.load("i32", this.record, R.IMMEDIATE2)) };
      case kinds.Relative: {
        const linear = () =>
          this.add(this.load("i64", this.state, S.PAGE_VA), this.load("i64", this.record, R.IMMEDIATE));
        return { ...bareOperand("relative", size), read: () => this.let(this.#toRip(linear())) };
      }
      case kinds.FarPointer:
        return {
          ...bareOperand("far", size),
          read: () => this.let(this.load("i64", this.record, R.IMMEDIATE)),
          number: () => this.let(this.load("i32", this.record, R.IMMEDIATE2)),
        };
      case kinds.Segment:
        return { ...bareOperand("segment", size), number };
      case kinds.Control:
        return { ...bareOperand("control", size), number };
      case kinds.Debug:
        return { ...bareOperand("debug", size), number };
      default:
        return { ...bareOperand("st", size), number };
    }
  }

  #registerOperand(kind: "register" | "xmm" | "mmx", size: number, slot: number): Operand {
    const place = () => this.add(this.state, this.load("i32_16u", this.record, R.OPERAND + 2 * slot));
    const at = (offset: number, width: number): Operand => {
      const read = () => this.let(this.load(loadKind[width]!, place(), offset));
      return {
        ...bareOperand(kind, width),
        read,
        readForWrite: read,
        write: (value) => {
          if (kind === "register") this.#storeRegister(place(), offset, width, value);
          else this.store(storeKind[width]!, place(), value, offset);
        },
        readFloat: (bits) => this.let(this.load(bits === 64 ? "f64" : "f32", place(), offset)),
        writeFloat: (bits, value) => this.store(bits === 64 ? "f64" : "f32", place(), value, offset),
        part: (more, partSize) => at(offset + more, partSize),
        number: () => this.let(this.load("i32_16u", this.record, R.OPERAND + 2 * slot)),
      };
    };
    return at(0, size);
  }

  #memoryOperand(size: number, offset: number): Operand {
    let place: { address: Value; slow: Value } | undefined;
    return {
      ...bareOperand("memory", size),
      read: () => this.readLinear(this.#operandLinear(offset, size, false), size),
      readForWrite: () => {
        place = this.translate(this.#operandLinear(offset, size, true), size, true);
        return this.let(this.load(loadKind[size]!, place.address));
      },
      write: (value) => {
        if (place) this.#storeAt(place, size, this.let(value));
        else this.writeLinear(this.#operandLinear(offset, size, true), size, value);
      },
      readFloat: (bits) => this.readFloatLinear(this.#operandLinear(offset, bits, false), bits),
      writeFloat: (bits, value) => this.writeLinear(this.#operandLinear(offset, bits, true), bits, value),
      address: () =>
        offset === 0 ? this.effectiveAddress() : this.let(this.add(this.effectiveAddress(), this.i64(offset))),
      linear: (write = false) => this.#operandLinear(offset, Math.max(size, 8), write),
      part: (more, partSize) => this.#memoryOperand(partSize, offset + more),
    };
  }
}
