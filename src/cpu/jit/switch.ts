// A jump to a computed address that was seen to lead to these places, or a return that may: one is compared with, few one after
// another, more by a table that some bits of the address choose from, or by halves.

import type { FunctionBuilder, Label, Value } from "../wasm/function-builder.js";
import type { Edge } from "./request.js";

/** More than so many by a table. */
const COMPARED = 3;
const MAX_BITS = 8;

/** Follows the edge that lies at `distance` (i64); behind it control goes on where none does. */
export function switchTo(
  f: FunctionBuilder,
  distance: Value,
  edges: readonly Edge[],
  follow: (to: Edge) => void,
): void {
  const check = (edge: Edge) => {
    const isIt = f.eq(distance, f.i64(edge.at));
    if (edges.length === 1) f.ifUsual(isIt, () => follow(edge));
    else f.if(isIt, () => follow(edge));
  };
  const choice = edges.length > COMPARED ? chooserOf(edges.map(({ at }) => at)) : undefined;
  if (!choice) {
    for (const edge of edges) check(edge);
    return;
  }
  const { shift, bits } = choice;
  const size = 1 << bits;
  const otherwise = f.begin("block");
  const labels: Label[] = new Array(size).fill(otherwise);
  const cases = edges.map((edge) => {
    const label = f.begin("block");
    labels[(edge.at >> shift) & (size - 1)] = label;
    return edge;
  });
  f.brTable(labels, otherwise, f.and(f.wrap(f.shrU(distance, f.i64(shift))), f.i32(size - 1)));
  for (const edge of cases.reverse()) {
    f.end();
    check(edge);
    f.br(otherwise);
  }
  f.end();
}

/** The same for edges in ascending order, by comparisons alone. */
export function searchFor(
  f: FunctionBuilder,
  distance: Value,
  edges: readonly Edge[],
  follow: (to: Edge) => void,
): void {
  if (edges.length <= COMPARED) {
    for (const edge of edges) f.if(f.eq(distance, f.i64(edge.at)), () => follow(edge));
    return;
  }
  const half = edges.length >> 1;
  const [low, high] = [edges.slice(0, half), edges.slice(half)];
  const search = (some: readonly Edge[]) => () => searchFor(f, distance, some, follow);
  f.if(f.ltS(distance, f.i64(high[0]!.at)), search(low), search(high));
}

/** The fewest bits in which numbers differ. */
function chooserOf(numbers: readonly number[]): { shift: number; bits: number } | undefined {
  for (let bits = Math.ceil(Math.log2(numbers.length)); bits <= MAX_BITS; bits++) {
    for (let shift = 0; shift <= 12; shift++) {
      const mask = (1 << bits) - 1;
      if (new Set(numbers.map((n) => (n >> shift) & mask)).size === numbers.length) return { shift, bits };
    }
  }
  return undefined;
}
