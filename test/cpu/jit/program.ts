// Random 64-bit programs for comparing the execution tiers: each item is some bytes that choose an instruction (family,
// registers, sizes, addressing, condition, target), so that fast-check can shrink the list of items.

/** What one item is made of: eight bytes of choice. */
export type Item = readonly number[];
export const ITEM_BYTES = 8;

export interface Program {
  readonly bytes: Uint8Array;
  /** Offset of each item's first byte. */
  readonly starts: readonly number[];
}

/** Base registers of memory operands: RBX, RBP, RSI, RDI. The machine points them into data. */
const BASES = [3, 5, 6, 7];
const SSE_OPS: readonly (readonly number[])[] = [
  [0, 0x10],
  [0, 0x11],
  [0, 0x28],
  [0, 0x58],
  [0, 0x59],
  [0, 0x57],
  [0, 0x2e],
  [0, 0xc6],
  [0x66, 0xfe],
  [0x66, 0xef],
  [0x66, 0x6f],
  [0x66, 0x7f],
  [0x66, 0x70],
  [0x66, 0x74],
  [0x66, 0x2e],
  [0x66, 0x61],
  [0xf2, 0x10],
  [0xf2, 0x11],
  [0xf2, 0x58],
  [0xf2, 0x5e],
  [0xf2, 0x2d],
  [0xf2, 0x2a],
  [0xf3, 0x6f],
  [0xf3, 0x5a],
];

/** Bytes of an item and, where it branches, the offset of a 32-bit displacement to fill in. */
interface Encoded {
  readonly bytes: number[];
  readonly relative?: { readonly at: number; readonly target: number; readonly extra: number };
}

class Choice {
  readonly #item: Item;
  constructor(item: Item) {
    this.#item = item;
  }
  of(index: number, count: number): number {
    return (this.#item[index] ?? 0) % count;
  }
  bit(index: number, bit: number): boolean {
    return (((this.#item[index] ?? 0) >> bit) & 1) === 1;
  }
  /** Not RSP, so that the stack stays where it is. */
  register(index: number): number {
    const r = this.of(index, 16);
    return r === 4 ? 0 : r;
  }
}

/** Prefixes, opcode and ModRM of an instruction with one register field and one register or memory operand. */
function withModRm(c: Choice, opcode: readonly number[], reg: number, wide: boolean, prefix = 0): number[] {
  const memory = c.bit(7, 0);
  const rex = 0x40 | (wide ? 8 : 0) | (reg & 8 ? 4 : 0);
  const head = prefix ? [prefix] : [];
  const field = (reg & 7) << 3;
  if (!memory) {
    const rm = c.register(6);
    const needed = rex | (rm & 8 ? 1 : 0);
    return [...head, ...(needed !== 0x40 || c.bit(7, 1) ? [needed] : []), ...opcode, 0xc0 | field | (rm & 7)];
  }
  const base = BASES[c.of(6, 4)]!;
  const head2 = [...head, ...(rex !== 0x40 ? [rex] : [])];
  const disp = (c.of(6, 64) - 32) & 0xff;
  if (c.bit(7, 2)) return [...head2, ...opcode, 0x44 | field, 0x08 | base, disp]; // [base + rcx + disp8]
  if (c.bit(7, 3) && c.bit(7, 4)) return [...head2, ...opcode, 0x05 | field, 0x40 + c.of(6, 64), 0x80, 0, 0]; // RIP-relative
  return [...head2, ...opcode, 0x40 | field | base, disp];
}

/** By operand size: prefix 66 or none, REX.W, and the opcode's low bit. */
function sized(c: Choice, index: number): { size: number; prefix: number; wide: boolean; low: number } {
  const size = [8, 16, 32, 64][c.of(index, 4)]!;
  return { size, prefix: size === 16 ? 0x66 : 0, wide: size === 64, low: size === 8 ? 0 : 1 };
}

function immediate(c: Choice, size: number): number[] {
  const bytes = size === 8 ? 1 : size === 16 ? 2 : 4;
  const fill = c.bit(5, 7) ? 0xff : 0;
  return [c.of(5, 256), fill, fill, fill].slice(0, bytes);
}

type Family = (c: Choice) => Encoded;

const jump = (opcode: number[], c: Choice): Encoded => ({
  bytes: [...opcode, 0, 0, 0, 0],
  relative: { at: opcode.length, target: c.of(2, 256), extra: 0 },
});

const alu: Family = (c) => {
  const { low, prefix, wide } = sized(c, 1);
  const opcode = (c.of(2, 8) << 3) | low | (c.bit(3, 0) ? 2 : 0);
  return { bytes: withModRm(c, [opcode], c.register(4), wide, prefix) };
};
const aluImmediate: Family = (c) => {
  const { size, low, prefix, wide } = sized(c, 1);
  const short = size !== 8 && c.bit(3, 0);
  const opcode = short ? 0x83 : 0x80 | low;
  return { bytes: [...withModRm(c, [opcode], c.of(2, 8), wide, prefix), ...immediate(c, short ? 8 : size)] };
};
const moves: Family = (c) => {
  const { low, prefix, wide } = sized(c, 1);
  const opcode = [0x84, 0x86, 0x88, 0x8a, 0x88, 0x84][c.of(2, 6)]! | low;
  return { bytes: withModRm(c, [opcode], c.register(4), wide, prefix) };
};
const unary: Family = (c) => {
  const { low, prefix, wide } = sized(c, 1);
  if (c.bit(3, 0)) return { bytes: withModRm(c, [0xfe | low], c.of(2, 2), wide, prefix) };
  return { bytes: withModRm(c, [0xf6 | low], 2 + c.of(2, 6), wide, prefix) };
};
const shift: Family = (c) => {
  const { low, prefix, wide } = sized(c, 1);
  const opcode = [0xc0, 0xd0, 0xd2][c.of(3, 3)]!;
  const bytes = withModRm(c, [opcode | low], c.of(2, 8), wide, prefix);
  return { bytes: opcode === 0xc0 ? [...bytes, c.of(5, 256)] : bytes };
};
const conditional: Family = (c) => jump([0x0f, 0x80 | c.of(1, 16)], c);
const conditionUse: Family = (c) => {
  if (c.bit(2, 0)) return { bytes: withModRm(c, [0x0f, 0x90 | c.of(1, 16)], 0, false) };
  const { prefix, wide } = sized(c, 3);
  return { bytes: withModRm(c, [0x0f, 0x40 | c.of(1, 16)], c.register(4), wide, prefix) };
};
const flagMoves: Family = (c) => {
  const choices = [[0x9f], [0x9e], [0xf5], [0xf8], [0xf9], [0x9c, 0x58], [0x9c, 0x9d], [0xfc], [0xfd], [0xfc]];
  return { bytes: [...choices[c.of(1, choices.length)]!] };
};
const extend: Family = (c) => {
  const { prefix, wide } = sized(c, 1);
  const opcode = [[0x0f, 0xb6], [0x0f, 0xb7], [0x0f, 0xbe], [0x0f, 0xbf], [0x63]][c.of(2, 5)]!;
  return { bytes: withModRm(c, opcode, c.register(4), wide, prefix) };
};
const stack: Family = (c) => {
  const r = c.register(4);
  const rex = r & 8 ? [0x41] : [];
  const choices = [
    [...rex, 0x50 | (r & 7)],
    [...rex, 0x58 | (r & 7)],
    [0x6a, c.of(5, 256)],
  ];
  return { bytes: choices[c.of(1, 3)]! };
};
const string: Family = (c) => {
  const { prefix, wide, low } = sized(c, 1);
  const opcode = [0xa4, 0xa6, 0xaa, 0xac, 0xae][c.of(2, 5)]! | low;
  const rep = [[], [0xf3], [0xf2]][c.of(3, 3)]!;
  const count = c.bit(4, 0) ? [0xb9, c.of(5, 24), 0, 0, 0] : [];
  return { bytes: [...count, ...(prefix ? [prefix] : []), ...rep, ...(wide ? [0x48] : []), opcode] };
};
const control: Family = (c) => {
  const choice = c.of(1, 5);
  if (choice === 0) return { bytes: [0xc3] };
  if (choice === 1) return jump([0xe8], c);
  if (choice === 2) return jump([0xe9], c);
  // LOOPNE, LOOPE, LOOP, JRCXZ over a jump.
  return { bytes: [0xe0 | c.of(3, 4), 5, 0xe9, 0, 0, 0, 0], relative: { at: 3, target: c.of(2, 256), extra: 0 } };
};
const bits: Family = (c) => {
  const { prefix, wide, low } = sized(c, 1);
  const opcodes = [0xa3, 0xab, 0xb3, 0xbb, 0xbc, 0xbd, 0xa5, 0xad, 0xaf, 0xb0 | low, 0xc0 | low];
  return { bytes: withModRm(c, [0x0f, opcodes[c.of(2, opcodes.length)]!], c.register(4), wide, prefix) };
};
const lea: Family = (c) => {
  const base = BASES[c.of(6, 4)]!;
  return { bytes: [c.bit(1, 0) ? 0x48 : 0x40, 0x8d, 0x44 | (c.of(4, 4) << 3), (c.of(3, 4) << 6) | base, c.of(5, 256)] };
};
const sse: Family = (c) => {
  const [prefix, opcode] = SSE_OPS[c.of(1, SSE_OPS.length)]!;
  const bytes = withModRm(c, [0x0f, opcode!], c.of(4, 8), false, prefix);
  return { bytes: opcode === 0xc6 || opcode === 0x70 ? [...bytes, c.of(5, 256)] : bytes };
};
const rare: Family = (c) => {
  const choices = [
    [0x98],
    [0x48, 0x99],
    [0x0f, 0xc8 | c.of(4, 4)],
    [0xd7],
    [0x0f, 0xa2],
    [0x0f, 0x31],
    [0xd9, 0xe8, 0xdd, 0x5d, 0xf0], // fld1; fstp qword [rbp-16]
    [0xcc],
    [0x0f, 0x0b],
    [0x65, 0x48, 0x8b, 0x46, c.of(5, 64)], // mov rax, gs:[rsi+disp]
    [0xc8, 16, 0, c.of(3, 3), 0xc9], // enter; leave
    [0x67, 0x8b, 0x46, c.of(5, 64)],
  ];
  return { bytes: [...choices[c.of(1, choices.length)]!] };
};
/** Overwrites a byte of another item. */
const selfModify: Family = (c) => ({
  bytes: [0xc6, 0x05, 0, 0, 0, 0, c.of(5, 256)],
  relative: { at: 2, target: c.of(2, 256), extra: c.of(3, 6) - 1 },
});
/** Points a base register elsewhere: near page ends, read-only, absent, or at the code itself. */
const rebase: Family = (c) => {
  const places = [0x10ff8, 0x11fff, 0x1fffa, 0x20ffc, 0x22004, 0x8010, 0x12345, 0x14000];
  const at = places[c.of(2, places.length)]!;
  return { bytes: [0xb8 | BASES[c.of(1, 4)]!, at & 0xff, (at >> 8) & 0xff, at >> 16, 0] };
};

const families: readonly Family[] = [
  ...[alu, alu, alu, aluImmediate, aluImmediate, moves, moves, unary, shift, shift, conditional, conditional],
  ...[conditional, conditionUse, conditionUse, flagMoves, extend, stack, string, string, control, bits, bits, lea],
  ...[sse, sse, sse, rare, selfModify, rebase],
];

/** DEC of a counter in memory that programs rarely touch; the jump back to the beginning follows. */
export const LOOP_COUNTER = 0x1a000;
const COUNT_DOWN = [0xff, 0x0c, 0x25, LOOP_COUNTER & 0xff, (LOOP_COUNTER >> 8) & 0xff, LOOP_COUNTER >> 16, 0];

/** Encodes the items one after another; a HLT (a fault in user mode) follows. With `loop` all of it repeats until LOOP_COUNTER is zero. */
export function assemble(items: readonly Item[], loop = false): Program {
  const bytes: number[] = [];
  const starts: number[] = [];
  const fixes: { at: number; end: number; target: number; extra: number }[] = [];
  for (const item of items) {
    const c = new Choice(item);
    const start = bytes.length;
    starts.push(start);
    const encoded = families[c.of(0, families.length)]!(c);
    bytes.push(...encoded.bytes);
    const { relative } = encoded;
    if (relative) fixes.push({ ...relative, at: start + relative.at, end: bytes.length });
  }
  starts.push(bytes.length);
  if (loop) {
    bytes.push(...COUNT_DOWN, 0x0f, 0x85, 0, 0, 0, 0);
    fixes.push({ at: bytes.length - 4, end: bytes.length, target: 0, extra: 0 });
    starts.push(bytes.length);
  }
  bytes.push(0xf4);
  const view = new DataView(Uint8Array.from(bytes).buffer);
  for (const { at, end, target, extra } of fixes)
    view.setInt32(at, starts[target % starts.length]! + extra - end, true);
  return { bytes: new Uint8Array(view.buffer), starts };
}
