// One recorded instruction: operands and control in, results and status out; and its comparison with our functions.

import { neighbour, operand } from "./operands.js";
import type { Operation } from "./operations.js";

export interface Vector {
  code: number;
  control: number;
  a: bigint;
  b: bigint;
  r1: bigint;
  r2: bigint;
  status: number;
  extra: number;
}

const COMPARE_CODES = new Set([113, 114, 133, 134]);
const TRANSCENDENTAL_FIRST = 70;
const TRANSCENDENTAL_LAST = 77;

export function isTranscendental(operation: Operation): boolean {
  return operation.code >= TRANSCENDENTAL_FIRST && operation.code <= TRANSCENDENTAL_LAST;
}

/** Control word or MXCSR: everything masked two times out of three. */
export function randomControl(operation: Operation, random: () => number): number {
  const masks = random() % 3 !== 0 ? 0x3f : random() & 0x3f;
  const rounding = random() & 3;
  if (operation.unit === "x87") return masks | 0x40 | ([0, 2, 3, 3][random() & 3]! << 8) | (rounding << 10);
  return (masks << 7) | (rounding << 13) | (random() % 3 === 0 ? 0x40 : 0) | (random() % 3 === 0 ? 0x8000 : 0);
}

export function randomVector(operation: Operation, random: () => number): Vector {
  const a = operand(operation.a, random);
  const b = operation.a === operation.b ? neighbour(operation.b, a, random) : operand(operation.b, random);
  return { code: operation.code, control: randomControl(operation, random), a, b, r1: 0n, r2: 0n, status: 0, extra: 0 };
}

function distance(x: bigint, y: bigint): bigint {
  return x > y ? x - y : y - x;
}

/** The bits as one integer in which neighbouring magnitudes differ by one, for counting units in the last place. */
function ordinal(bits: bigint): bigint {
  return (((bits >> 64n) & 0x7fffn) << 63n) | (bits & ((1n << 63n) - 1n));
}

/** What differs between the processor's and our outcome, or "" when nothing does. `ulps`: tolerated in results. */
export function difference(operation: Operation, vector: Vector, ulps = 0n): string {
  const ours = operation.run(vector.control, vector.a, vector.b);
  const problems: string[] = [];
  const flags = vector.status & 0x3f;
  if (ours.flags !== flags) problems.push(`flags ${ours.flags.toString(16)} native ${flags.toString(16)}`);
  const inRegister = operation.unit === "sse" && operation.name.includes("2si");
  const mask = (1n << BigInt(operation.width)) - 1n;
  const native1 = (inRegister ? vector.r2 : vector.r1) & mask;
  const check = (name: string, mine: bigint | null, native: bigint) => {
    if (mine === null || mine === native) return;
    const near = ulps > 0n && mine >> 79n === native >> 79n && distance(ordinal(mine), ordinal(native)) <= ulps;
    if (!near) problems.push(`${name} ${mine.toString(16)} native ${native.toString(16)}`);
  };
  check("r1", ours.r1, native1);
  check("r2", ours.r2, vector.r2);
  if (operation.unit === "x87") {
    const native = vector.status & operation.conditionMask;
    const mine = ours.condition & operation.conditionMask;
    if (mine !== native) problems.push(`condition ${mine.toString(16)} native ${native.toString(16)}`);
  } else if (COMPARE_CODES.has(operation.code) && ours.condition >= 0) {
    const native = vector.extra & 0xff;
    if (ours.condition !== native) problems.push(`eflags ${ours.condition} native ${native}`);
  }
  return problems.join(", ");
}

export function describe(operation: Operation, vector: Vector): string {
  const hex = (x: bigint | number) => x.toString(16);
  return `${operation.name} control ${hex(vector.control)} a ${hex(vector.a)} b ${hex(vector.b)}`;
}

const RECORD = 48;

function write128(view: DataView, at: number, value: bigint): void {
  view.setBigUint64(at, BigInt.asUintN(64, value), true);
  view.setBigUint64(at + 8, value >> 64n, true);
}

function read128(view: DataView, at: number): bigint {
  return view.getBigUint64(at, true) | (view.getBigUint64(at + 8, true) << 64n);
}

/** The oracle's input. */
export function encode(vectors: readonly Vector[]): Uint8Array {
  const bytes = new Uint8Array(vectors.length * RECORD);
  const view = new DataView(bytes.buffer);
  vectors.forEach((vector, index) => {
    const at = index * RECORD;
    view.setUint16(at, vector.code, true);
    view.setUint32(at + 4, vector.control, true);
    write128(view, at + 16, vector.a);
    write128(view, at + 32, vector.b);
  });
  return bytes;
}

/** Fills in the results from the oracle's output. */
export function decode(vectors: readonly Vector[], bytes: Uint8Array): void {
  if (bytes.length !== vectors.length * RECORD) throw new Error(`oracle wrote ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  vectors.forEach((vector, index) => {
    const at = index * RECORD;
    vector.r1 = read128(view, at);
    vector.r2 = read128(view, at + 16);
    vector.status = view.getUint32(at + 32, true);
    vector.extra = view.getUint32(at + 36, true);
  });
}

export function masksOf(operation: Operation, vector: Vector): number {
  return (operation.unit === "x87" ? vector.control : vector.control >> 7) & 0x3f;
}

/** One line of vectors.txt: the fields in hexadecimal. */
export function format(v: Vector): string {
  return [v.code, v.control, v.a, v.b, v.r1, v.r2, v.status, v.extra].map((field) => field.toString(16)).join(" ");
}

export function parse(line: string): Vector {
  const [code, control, a, b, r1, r2, status, extra] = line.split(" ").map((field) => BigInt(`0x${field}`));
  return {
    code: Number(code),
    control: Number(control),
    a: a!,
    b: b!,
    r1: r1!,
    r2: r2!,
    status: Number(status),
    extra: Number(extra),
  };
}
