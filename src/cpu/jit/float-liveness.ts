// Which lanes of XMM registers a region's blocks compute with as doubles, going by mnemonics: for these it pays to know ranges across
// blocks (float-ranges.ts). What is missed here costs time, nothing else.

import { OperandKind } from "../decode/decoded.js";
import type { RegionInstruction } from "./flow.js";

const LOW = 1;
const HIGH = 1 << 16;
const BOTH = LOW | HIGH;

const SCALAR = /^(ADD|SUB|MUL|DIV|MIN|MAX|U?COMI)SD$/;
const PACKED = /^(ADD|SUB|MUL|DIV|MIN|MAX)PD$/;
const COPIES = /^(MOVAP[SD]|MOVUP[SD]|MOVDQ[AU])$/;
const KEEPS = /^(MOVH|MOVL|UNPCKLP)/;

/** Lanes that matter before an instruction, from those that matter behind it. */
function before(live: number, { decoded }: RegionInstruction): number {
  const { form, code } = decoded;
  const { semantics } = form;
  const xmm = (slot: number) => (form.operands[slot]?.kind === OperandKind.Xmm ? code[slot]! : -1);
  const [to, from] = [xmm(0), xmm(1)];
  const lanes = (register: number, mask: number) => (register < 0 ? 0 : mask << register);
  if (SCALAR.test(semantics)) return live | lanes(to, LOW) | lanes(from, LOW);
  if (PACKED.test(semantics)) return live | lanes(to, BOTH) | lanes(from, BOTH);
  if (/^CVTT?SD2SI$/.test(semantics)) return live | lanes(from, LOW);
  if (semantics === "SQRTSD") return (live & ~lanes(to, LOW)) | lanes(from, LOW);
  if (semantics === "SQRTPD") return (live & ~lanes(to, BOTH)) | lanes(from, BOTH);
  if (/^CVTS[IS]2SD$/.test(semantics)) return live & ~lanes(to, LOW);
  if (to < 0 || KEEPS.test(semantics)) return live;
  const isScalarMove = semantics === "MOVSD_XMM" && from >= 0;
  const copied = isScalarMove || semantics === "MOVQ" ? LOW : COPIES.test(semantics) ? BOTH : 0;
  const rest = live & ~lanes(to, isScalarMove ? LOW : BOTH);
  return from < 0 ? rest : rest | lanes(from, (live >>> to) & copied);
}

const hasVector = ({ decoded: { form } }: RegionInstruction) =>
  form.operands[0]?.kind === OperandKind.Xmm || form.operands[1]?.kind === OperandKind.Xmm;

/** By block, the lanes that matter behind it. `next`: blocks that control goes to. */
export function liveDoubles(
  blocks: readonly (readonly RegionInstruction[])[],
  next: readonly (readonly number[])[],
): number[] {
  // Most regions have none.
  const relevant = blocks.map((block) => block.filter(hasVector));
  const starts = blocks.map(() => 0);
  const ends = blocks.map(() => 0);
  if (relevant.every(({ length }) => length === 0)) return ends;
  for (let changed = true; changed; ) {
    changed = false;
    for (let block = blocks.length - 1; block >= 0; block--) {
      const end = next[block]!.reduce((lanes, to) => lanes | starts[to]!, 0);
      const start = relevant[block]!.reduceRight(before, end);
      if (start !== starts[block] || end !== ends[block]) changed = true;
      starts[block] = start;
      ends[block] = end;
    }
  }
  return ends;
}

/** Whether an instruction writes an XMM register. */
export function writesVector({ decoded: { form } }: RegionInstruction): boolean {
  return form.operands[0]?.kind === OperandKind.Xmm && !/^U?COMIS[SD]$/.test(form.semantics);
}
