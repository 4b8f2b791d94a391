// The page-table entries that translate an address, in the form Xen prints them when a guest can't take a page fault.

import { hex, type PvContext, type PvHost } from "./pv-context.js";

const SHIFTS = [39n, 30n, 21n, 12n] as const;

/** Lines without the "(XEN) " prefix: "Pagetable walk from …", then one line a level down to the leaf or the gap. */
export function pageWalkLines(host: PvHost, vcpu: PvContext, va: bigint): string[] {
  const lines = [`Pagetable walk from ${hex(va)}:`];
  const { memory } = host;
  let table = vcpu.pv.kernelMode ? vcpu.pv.guestTable : vcpu.pv.guestUserTable;
  for (let level = 4; level >= 1; level--) {
    if (!memory.contains(table * 4096, 4096) || table < 0) {
      lines.push(` L${level} table ${hex(table, 1)} is not RAM`);
      break;
    }
    const index = Number((va >> SHIFTS[4 - level]!) & 0x1ffn);
    const entry = memory.readU64(table * 4096 + index * 8);
    const frame = Number((entry >> 12n) & 0xff_ffff_ffffn);
    const present = (entry & 1n) !== 0n;
    lines.push(` L${level}[0x${hex(index, 3)}] = ${hex(entry)} ${present ? hex(frame) : "ffffffffffffffff"}`);
    if (!present || (level > 1 && level < 4 && entry & 0x80n)) break;
    table = frame;
  }
  return lines;
}
