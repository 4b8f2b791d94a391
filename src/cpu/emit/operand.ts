// What the emitters' operands have in common: an operand refuses whatever its kind can't do, and the Wasm memory operations by size.

import type { LoadKind, StoreKind, Value } from "../wasm/function-builder.js";
import type { Operand } from "./emitter.js";

/** By size in bits; 8 and 16 are zero-extended. */
export const loadKind: Readonly<Record<number, LoadKind>> = {
  8: "i32_8u",
  16: "i32_16u",
  32: "i32",
  64: "i64",
  128: "v128",
};
export const storeKind: Readonly<Record<number, StoreKind>> = {
  8: "i32_8",
  16: "i32_16",
  32: "i32",
  64: "i64",
  128: "v128",
};

/** The same for a value that may be a float. */
export function storeKindOf(value: Value, size: number): StoreKind {
  return value.type === "f32" || value.type === "f64" ? value.type : storeKind[size]!;
}

/** Flags beside the byte count in the argument of a translation. */
export const ACCESS_WRITE = 0x100;
export const ACCESS_STACK = 0x200;
/** The bytes behind it are going to be touched as well, as many as SPAN in the vCPU struct says. */
export const ACCESS_SPAN = 0x400;

/** An operand that throws for every use: a mistake in a semantics body. Kinds override what they can do. */
export function bareOperand(kind: Operand["kind"], size: number): Operand {
  const refuse = (what: string) => (): never => {
    throw new Error(`semantics: ${what} of a ${kind} operand`);
  };
  return {
    kind,
    size,
    read: refuse("read"),
    readForWrite: refuse("readForWrite"),
    write: refuse("write"),
    readFloat: refuse("readFloat"),
    writeFloat: refuse("writeFloat"),
    address: refuse("address"),
    linear: refuse("linear"),
    number: refuse("number"),
    part: refuse("part"),
  };
}
