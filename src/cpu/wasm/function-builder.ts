// Builds one WebAssembly function. Expressions are immutable trees (`Value`), written to the body when a statement uses
// them; `let` snapshots one into a local, which is how a value is used twice or carried past a store. Constants fold.
// Knows no x86. Instruction opcodes: core specification, section 5.4.

import { CodeWriter, type FunctionBody } from "./code-writer.js";
import { ValueType, type ValueTypeName } from "./module-writer.js";

const CONST_I32 = 0x41;
const CONST_I64 = 0x42;
const LOCAL_GET = 0x20;
const SELECT = 0x1b;
const CALL = 0x10;
const SIMD = 0xfd00;

export class Value {
  readonly type: ValueTypeName;
  readonly opcode: number;
  readonly args: readonly Value[];
  /** Constant (i32), local index, memory offset, lane or function index. */
  readonly imm: number;
  readonly big: bigint;

  constructor(type: ValueTypeName, opcode: number, args: readonly Value[], imm = 0, big = 0n) {
    this.type = type;
    this.opcode = opcode;
    this.args = args;
    this.imm = imm;
    this.big = big;
  }

  get isConst(): boolean {
    return this.opcode === CONST_I32 || this.opcode === CONST_I64;
  }

  /** The constant as a bigint: signed. Only for constants. */
  get constant(): bigint {
    return this.opcode === CONST_I32 ? BigInt(this.imm) : this.big;
  }
}

export interface Variable {
  readonly type: ValueTypeName;
  readonly index: number;
}

export interface Label {
  readonly depth: number;
}

type Binary = (a: bigint, b: bigint, bits: bigint) => bigint;

interface IntegerOp {
  readonly i32: number;
  readonly i64: number;
  readonly fold?: Binary;
  readonly compare?: boolean;
}

const unsigned = (a: bigint, bits: bigint) => BigInt.asUintN(Number(bits), a);

const ops = {
  add: { i32: 0x6a, i64: 0x7c, fold: (a, b) => a + b },
  sub: { i32: 0x6b, i64: 0x7d, fold: (a, b) => a - b },
  mul: { i32: 0x6c, i64: 0x7e, fold: (a, b) => a * b },
  divS: { i32: 0x6d, i64: 0x7f },
  divU: { i32: 0x6e, i64: 0x80 },
  remS: { i32: 0x6f, i64: 0x81 },
  remU: { i32: 0x70, i64: 0x82 },
  and: { i32: 0x71, i64: 0x83, fold: (a, b) => a & b },
  or: { i32: 0x72, i64: 0x84, fold: (a, b) => a | b },
  xor: { i32: 0x73, i64: 0x85, fold: (a, b) => a ^ b },
  shl: { i32: 0x74, i64: 0x86, fold: (a, b, n) => a << (b & (n - 1n)) },
  shrS: { i32: 0x75, i64: 0x87, fold: (a, b, n) => a >> (b & (n - 1n)) },
  shrU: { i32: 0x76, i64: 0x88, fold: (a, b, n) => unsigned(a, n) >> (b & (n - 1n)) },
  rotl: { i32: 0x77, i64: 0x89 },
  rotr: { i32: 0x78, i64: 0x8a },
  eq: { i32: 0x46, i64: 0x51, fold: (a, b) => (a === b ? 1n : 0n), compare: true },
  ne: { i32: 0x47, i64: 0x52, fold: (a, b) => (a !== b ? 1n : 0n), compare: true },
  ltS: { i32: 0x48, i64: 0x53, fold: (a, b) => (a < b ? 1n : 0n), compare: true },
  ltU: { i32: 0x49, i64: 0x54, fold: (a, b, n) => (unsigned(a, n) < unsigned(b, n) ? 1n : 0n), compare: true },
  gtS: { i32: 0x4a, i64: 0x55, fold: (a, b) => (a > b ? 1n : 0n), compare: true },
  gtU: { i32: 0x4b, i64: 0x56, fold: (a, b, n) => (unsigned(a, n) > unsigned(b, n) ? 1n : 0n), compare: true },
  leS: { i32: 0x4c, i64: 0x57, compare: true },
  leU: { i32: 0x4d, i64: 0x58, compare: true },
  geS: { i32: 0x4e, i64: 0x59, compare: true },
  geU: { i32: 0x4f, i64: 0x5a, compare: true },
} satisfies Record<string, IntegerOp>;

type OpName = keyof typeof ops;

const loads = {
  i32: 0x28,
  i64: 0x29,
  f32: 0x2a,
  f64: 0x2b,
  i32_8s: 0x2c,
  i32_8u: 0x2d,
  i32_16s: 0x2e,
  i32_16u: 0x2f,
  i64_8s: 0x30,
  i64_8u: 0x31,
  i64_16s: 0x32,
  i64_16u: 0x33,
  i64_32s: 0x34,
  i64_32u: 0x35,
  v128: SIMD,
} as const;
const stores = {
  i32: 0x36,
  i64: 0x37,
  f32: 0x38,
  f64: 0x39,
  i32_8: 0x3a,
  i32_16: 0x3b,
  i64_8: 0x3c,
  i64_16: 0x3d,
  i64_32: 0x3e,
  v128: SIMD | 0x0b,
} as const;
export type LoadKind = keyof typeof loads;
export type StoreKind = keyof typeof stores;

export class FunctionBuilder {
  /** Where statements are written to. */
  code = new CodeWriter(512);
  readonly #params: readonly ValueTypeName[];
  readonly #locals: ValueTypeName[] = [];
  #depth = 0;
  /** True once a return stands at the outermost level: what follows there is dead. */
  terminated = false;

  constructor(params: readonly ValueTypeName[]) {
    this.#params = params;
  }

  /** The function's body as ModuleWriter.addFunction takes it; `prologue` is code to run first. */
  finish(prologue?: CodeWriter): FunctionBody {
    this.code.u8(0x0b);
    const out = new CodeWriter(this.code.length + 32);
    const runs: [ValueTypeName, number][] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last && last[0] === type) last[1]++;
      else runs.push([type, 1]);
    }
    out.u32(runs.length);
    for (const [type, count] of runs) {
      out.u32(count);
      out.u8(ValueType[type]);
    }
    if (prologue) out.append(prologue);
    out.append(this.code);
    return out.body();
  }

  // --- values ---

  param(index: number): Value {
    return new Value(this.#params[index]!, LOCAL_GET, [], index);
  }
  i32(value: number): Value {
    return new Value("i32", CONST_I32, [], value | 0);
  }
  i64(value: bigint | number): Value {
    return new Value("i64", CONST_I64, [], 0, BigInt.asIntN(64, BigInt(value)));
  }
  /** A constant of the type of `like`. */
  constantLike(like: Value, value: bigint | number): Value {
    return like.type === "i64" ? this.i64(value) : this.i32(Number(BigInt.asIntN(32, BigInt(value))));
  }

  #binary(name: OpName, a: Value, b: Value): Value {
    const op: IntegerOp = ops[name];
    if (a.type !== b.type) throw new Error(`wasm ${name}: ${a.type} with ${b.type}`);
    const type = op.compare ? "i32" : a.type;
    if (op.fold && a.isConst && b.isConst) {
      const result = op.fold(a.constant, b.constant, a.type === "i64" ? 64n : 32n);
      return type === "i64" ? this.i64(result) : this.i32(Number(BigInt.asIntN(32, result)));
    }
    if (
      b.isConst &&
      b.constant === 0n &&
      (name === "add" ||
        name === "sub" ||
        name === "or" ||
        name === "xor" ||
        name === "shl" ||
        name === "shrU" ||
        name === "shrS")
    )
      return a;
    if (a.isConst && a.constant === 0n && (name === "add" || name === "or" || name === "xor")) return b;
    return new Value(type, a.type === "i64" ? op.i64 : op.i32, [a, b]);
  }

  add(a: Value, b: Value): Value {
    return this.#binary("add", a, b);
  }
  sub(a: Value, b: Value): Value {
    return this.#binary("sub", a, b);
  }
  mul(a: Value, b: Value): Value {
    return this.#binary("mul", a, b);
  }
  /** Traps on a zero divisor and on overflow: check first. */
  divS(a: Value, b: Value): Value {
    return this.#binary("divS", a, b);
  }
  divU(a: Value, b: Value): Value {
    return this.#binary("divU", a, b);
  }
  remS(a: Value, b: Value): Value {
    return this.#binary("remS", a, b);
  }
  remU(a: Value, b: Value): Value {
    return this.#binary("remU", a, b);
  }
  and(a: Value, b: Value): Value {
    return this.#binary("and", a, b);
  }
  or(a: Value, b: Value): Value {
    return this.#binary("or", a, b);
  }
  xor(a: Value, b: Value): Value {
    return this.#binary("xor", a, b);
  }
  shl(a: Value, b: Value): Value {
    return this.#binary("shl", a, b);
  }
  shrS(a: Value, b: Value): Value {
    return this.#binary("shrS", a, b);
  }
  shrU(a: Value, b: Value): Value {
    return this.#binary("shrU", a, b);
  }
  rotl(a: Value, b: Value): Value {
    return this.#binary("rotl", a, b);
  }
  rotr(a: Value, b: Value): Value {
    return this.#binary("rotr", a, b);
  }
  eq(a: Value, b: Value): Value {
    return this.#binary("eq", a, b);
  }
  ne(a: Value, b: Value): Value {
    return this.#binary("ne", a, b);
  }
  ltS(a: Value, b: Value): Value {
    return this.#binary("ltS", a, b);
  }
  ltU(a: Value, b: Value): Value {
    return this.#binary("ltU", a, b);
  }
  gtS(a: Value, b: Value): Value {
    return this.#binary("gtS", a, b);
  }
  gtU(a: Value, b: Value): Value {
    return this.#binary("gtU", a, b);
  }
  leS(a: Value, b: Value): Value {
    return this.#binary("leS", a, b);
  }
  leU(a: Value, b: Value): Value {
    return this.#binary("leU", a, b);
  }
  geS(a: Value, b: Value): Value {
    return this.#binary("geS", a, b);
  }
  geU(a: Value, b: Value): Value {
    return this.#binary("geU", a, b);
  }

  /** 1 if zero. */
  eqz(a: Value): Value {
    if (a.isConst) return this.i32(a.constant === 0n ? 1 : 0);
    return new Value("i32", a.type === "i64" ? 0x50 : 0x45, [a]);
  }
  clz(a: Value): Value {
    return new Value(a.type, a.type === "i64" ? 0x79 : 0x67, [a]);
  }
  ctz(a: Value): Value {
    return new Value(a.type, a.type === "i64" ? 0x7a : 0x68, [a]);
  }
  popcnt(a: Value): Value {
    return new Value(a.type, a.type === "i64" ? 0x7b : 0x69, [a]);
  }
  neg(a: Value): Value {
    return this.sub(this.constantLike(a, 0), a);
  }
  not(a: Value): Value {
    return this.xor(a, this.constantLike(a, -1));
  }

  /** i64 -> i32, low half. An i32 passes through. */
  wrap(a: Value): Value {
    if (a.type === "i32") return a;
    if (a.isConst) return this.i32(Number(BigInt.asIntN(32, a.constant)));
    return new Value("i32", 0xa7, [a]);
  }
  /** i32 -> i64, zero-extended. An i64 passes through. */
  extendU(a: Value): Value {
    if (a.type === "i64") return a;
    if (a.isConst) return this.i64(BigInt.asUintN(32, a.constant));
    return new Value("i64", 0xad, [a]);
  }
  /** i32 -> i64, sign-extended. An i64 passes through. */
  extendS(a: Value): Value {
    if (a.type === "i64") return a;
    if (a.isConst) return this.i64(a.constant);
    return new Value("i64", 0xac, [a]);
  }
  /** Sign-extends the low `bits` (8, 16, 32) within the value's type. */
  signExtend(a: Value, bits: number): Value {
    if (a.type === "i32") {
      if (bits === 32) return a;
      if (a.isConst) return this.i32(Number(BigInt.asIntN(bits, a.constant)));
      return new Value("i32", bits === 8 ? 0xc0 : 0xc1, [a]);
    }
    if (bits === 64) return a;
    if (a.isConst) return this.i64(BigInt.asIntN(bits, a.constant));
    return new Value("i64", bits === 8 ? 0xc2 : bits === 16 ? 0xc3 : 0xc4, [a]);
  }
  /** Zero-extends the low `bits` (8, 16, 32) within the value's type. */
  zeroExtend(a: Value, bits: number): Value {
    if ((a.type === "i32" && bits === 32) || bits === 64) return a;
    return this.and(a, this.constantLike(a, (1n << BigInt(bits)) - 1n));
  }
  select(condition: Value, yes: Value, no: Value): Value {
    if (condition.isConst) return condition.constant !== 0n ? yes : no;
    return new Value(yes.type, SELECT, [yes, no, this.wrap(condition)]);
  }

  load(kind: LoadKind, address: Value, offset = 0): Value {
    const type =
      kind === "v128"
        ? "v128"
        : kind.startsWith("i64")
          ? "i64"
          : kind.startsWith("i32")
            ? "i32"
            : (kind as "f32" | "f64");
    return new Value(type, loads[kind], [address], offset);
  }
  call(functionIndex: number, result: ValueTypeName, args: readonly Value[]): Value {
    return new Value(result, CALL, args, functionIndex);
  }
  /** Any operation by opcode: float arithmetic (0x92…), conversions, SIMD as 0xfd00 | n (n < 256), saturating truncation 0xfc00 | n; `lane` where one is encoded. */
  op(type: ValueTypeName, opcode: number, args: readonly Value[], lane = -1): Value {
    return new Value(type, opcode, args, lane);
  }
  /** A v128 constant from two 64-bit halves. */
  v128(low: bigint, high: bigint): Value {
    return new Value("v128", SIMD | 0x0c, [], 0, BigInt.asUintN(64, low) | (BigInt.asUintN(64, high) << 64n));
  }
  /** i8x16.shuffle with 16 lane indices (0-31). */
  shuffle(a: Value, b: Value, lanes: readonly number[]): Value {
    let big = 0n;
    for (let i = 15; i >= 0; i--) big = (big << 8n) | BigInt(lanes[i]!);
    return new Value("v128", SIMD | 0x0d, [a, b], 0, big);
  }

  // --- locals ---

  local(type: ValueTypeName): Variable {
    this.#locals.push(type);
    return { type, index: this.#params.length + this.#locals.length - 1 };
  }
  get(variable: Variable): Value {
    return new Value(variable.type, LOCAL_GET, [], variable.index);
  }
  set(variable: Variable, value: Value): void {
    if (value.type !== variable.type) throw new Error(`wasm local: ${variable.type} = ${value.type}`);
    this.emit(value);
    this.code.u8(0x21);
    this.code.u32(variable.index);
  }
  /** Evaluates now; the result may be used any number of times. */
  let(value: Value): Value {
    if (value.isConst) return value;
    const variable = this.local(value.type);
    this.set(variable, value);
    return this.get(variable);
  }
  variable(initial: Value): Variable {
    const variable = this.local(initial.type);
    this.set(variable, initial);
    return variable;
  }

  // --- statements ---

  store(kind: StoreKind, address: Value, value: Value, offset = 0): void {
    this.emit(address);
    this.emit(value);
    this.#opcode(stores[kind]);
    this.code.u32(0);
    this.code.u32(offset);
  }
  /** Calls for effect; a result is dropped when `hasResult`. */
  callStatement(functionIndex: number, args: readonly Value[], hasResult = false): void {
    for (const arg of args) this.emit(arg);
    this.code.u8(CALL);
    this.code.u32(functionIndex);
    if (hasResult) this.code.u8(0x1a);
  }
  get currentDepth(): number {
    return this.#depth;
  }
  get atTopLevel(): boolean {
    return this.#depth === 0;
  }
  return(value?: Value): void {
    if (this.#depth === 0) this.terminated = true;
    if (value) this.emit(value);
    this.code.u8(0x0f);
  }
  unreachable(): void {
    this.code.u8(0x00);
  }
  /** `likely`: whether the condition holds as a rule, when that is known. */
  if(condition: Value, then: () => void, otherwise?: () => void, likely?: boolean): void {
    if (condition.isConst) {
      if (condition.constant !== 0n) then();
      else otherwise?.();
      return;
    }
    this.emit(this.wrap(condition));
    if (likely !== undefined) this.code.hint(likely);
    this.code.u8(0x04);
    this.code.u8(0x40);
    this.#depth++;
    then();
    if (otherwise) {
      this.code.u8(0x05);
      otherwise();
    }
    this.#depth--;
    this.code.u8(0x0b);
  }
  /** Runs `then` in rare cases: machine code for it goes out of the way, and costs the usual way no registers. */
  ifRare(condition: Value, then: () => void): void {
    this.if(condition, then, undefined, false);
  }
  /** Runs `then` as a rule, and what comes behind it in rare cases. */
  ifUsual(condition: Value, then: () => void): void {
    this.if(condition, then, undefined, true);
  }
  block(body: (end: Label) => void): void {
    this.#nest(0x02, body);
  }
  /** `br` to the label repeats. */
  loop(body: (start: Label) => void): void {
    this.#nest(0x03, body);
  }
  br(label: Label): void {
    this.code.u8(0x0c);
    this.code.u32(this.#depth - label.depth);
  }
  brIf(label: Label, condition: Value, likely?: boolean): void {
    this.emit(this.wrap(condition));
    if (likely !== undefined) this.code.hint(likely);
    this.code.u8(0x0d);
    this.code.u32(this.#depth - label.depth);
  }
  /** Branches to the label at `index`, or to `otherwise`. */
  brTable(labels: readonly Label[], otherwise: Label, index: Value): void {
    this.emit(index);
    this.code.u8(0x0e);
    this.code.u32(labels.length);
    for (const label of [...labels, otherwise]) this.code.u32(this.#depth - label.depth);
  }
  /** Opens a block or loop whose end is not known yet; `end` closes the innermost one. */
  begin(kind: "block" | "loop"): Label {
    this.code.u8(kind === "block" ? 0x02 : 0x03);
    this.code.u8(0x40);
    this.#depth++;
    return { depth: this.#depth };
  }
  end(): void {
    this.#depth--;
    this.code.u8(0x0b);
  }
  /** call_indirect through table 0. */
  callIndirect(type: number, result: ValueTypeName, args: readonly Value[], slot: Value): Value {
    return new Value(result, 0x11, [...args, slot], type);
  }
  memoryFill(address: Value, byte: Value, length: Value): void {
    this.emit(address);
    this.emit(byte);
    this.emit(length);
    this.code.u8(0xfc);
    this.code.u8(11);
    this.code.u8(0);
  }
  memoryCopy(to: Value, from: Value, length: Value): void {
    this.emit(to);
    this.emit(from);
    this.emit(length);
    this.code.u8(0xfc);
    this.code.u8(10);
    this.code.u8(0);
    this.code.u8(0);
  }

  #nest(opcode: number, body: (label: Label) => void): void {
    this.code.u8(opcode);
    this.code.u8(0x40);
    this.#depth++;
    body({ depth: this.#depth });
    this.#depth--;
    this.code.u8(0x0b);
  }

  #opcode(opcode: number): void {
    if (opcode < 0x100) {
      this.code.u8(opcode);
      return;
    }
    this.code.u8(opcode >> 8);
    this.code.u32(opcode & 0xff);
  }

  /** Writes a value's code, leaving it on the Wasm stack. */
  emit(value: Value): void {
    const { args, opcode, code } = { args: value.args, opcode: value.opcode, code: this.code };
    for (let i = 0; i < args.length; i++) this.emit(args[i]!);
    switch (opcode) {
      case CONST_I32:
        code.u8(opcode);
        code.s32(value.imm);
        return;
      case CONST_I64:
        code.u8(opcode);
        code.s64(value.big);
        return;
      case LOCAL_GET:
      case CALL:
        code.u8(opcode);
        code.u32(value.imm);
        return;
      case 0x11:
        code.u8(opcode);
        code.u32(value.imm);
        code.u8(0);
        return;
      case SIMD | 0x0c:
      case SIMD | 0x0d:
        this.#opcode(opcode);
        for (let i = 0n; i < 16n; i++) code.u8(Number((value.big >> (8n * i)) & 0xffn));
        return;
    }
    this.#opcode(opcode);
    if (
      (opcode >= 0x28 && opcode <= 0x35) ||
      (opcode >= SIMD && opcode <= (SIMD | 0x0a)) ||
      (opcode >= (SIMD | 0x5c) && opcode <= (SIMD | 0x5d))
    ) {
      code.u32(0);
      code.u32(value.imm);
    } else if (opcode > 0xff && value.imm >= 0) {
      code.u8(value.imm);
    }
  }
}
