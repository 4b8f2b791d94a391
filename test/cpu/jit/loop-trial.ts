// fast-check's arbitrary of blocks that lead to themselves: places in memory that move along, most of them by one register that comes
// by a page's end, vectors that must be aligned, and flags of all kinds.

import fc from "fast-check";
import type { Program } from "./program.js";
import type { Trial } from "./tiers.js";

/** R8, most often, R9, RSI, RDI, RBX. */
const BASES = [8, 9, 6, 7, 3] as const;
/** RAX, RDX, R10, R11, R13. */
const DATA = [0, 2, 10, 11, 13] as const;
/** RCX, R10, RDX. */
const INDICES = [1, 10, 2] as const;
const STEPS = [16, 8, 1, 4, 0xf0, 24, 32, 3, 100, 0xfc] as const;
const byte = fc.nat({ max: 255 });

/** What an instruction is made of. */
export type Choices = readonly number[];

const pick = <T>(from: readonly T[], choice: number): T => from[choice % from.length]!;
const baseOf = (choice: number) => (choice & 3 ? BASES[0] : pick(BASES, choice >> 2));

/** Prefixes, REX, opcode and ModRM with a register field and a register or memory operand. */
function withModRm(c: Choices, prefixes: number[], wide: boolean, opcode: number[], reg: number, memory: boolean) {
  const rex = 0x40 | (wide ? 8 : 0) | (reg & 8 ? 4 : 0);
  const field = (reg & 7) << 3;
  if (!memory) {
    const rm = pick(DATA, c[3]!);
    return [...prefixes, rex | (rm & 8 ? 1 : 0), ...opcode, 0xc0 | field | (rm & 7)];
  }
  const base = baseOf(c[3]!);
  const head = [...prefixes, rex | (base & 8 ? 1 : 0)];
  const displacement = c[4]! & 1 ? (c[4]! & 0x30) - 16 : (c[4]! % 80) - 24;
  if (c[5]! % 5 !== 0) return [...head, ...opcode, 0x40 | field | (base & 7), displacement & 0xff];
  const index = pick(INDICES, c[5]!);
  head[head.length - 1]! |= index & 8 ? 2 : 0;
  const sib = ((c[6]! & 3) << 6) | ((index & 7) << 3) | (base & 7);
  return [...head, ...opcode, 0x44 | field, sib, displacement & 0xff];
}

export function instruction(c: Choices): number[] {
  const size = [8, 16, 32, 64][c[1]! & 3]!;
  const [prefixes, wide, low] = [size === 16 ? [0x66] : [], size === 64, size === 8 ? 0 : 1];
  const reg = pick(DATA, c[2]!);
  const memory = (c[7]! & 3) !== 0;
  const narrow = c[2]! & 7;
  const plain = (opcode: number[], field: number, inMemory = memory) =>
    withModRm(c, prefixes, wide, opcode, field, inMemory);
  const base = baseOf(c[3]!);
  switch (c[0]! % 20) {
    case 0:
    case 1:
      return plain([((c[6]! & 7) << 3) | low | (c[7]! & 4 ? 2 : 0)], reg);
    case 2:
    case 3:
      return plain([0x88 | low | (c[6]! & 2)], reg, true);
    case 4:
    case 5: // add or sub base, step
      return [0x48 | (base & 8 ? 1 : 0), 0x83, (c[5]! & 3 ? 0xc0 : 0xe8) | (base & 7), pick(STEPS, c[4]!)];
    case 6: {
      const index = pick(INDICES, c[5]!);
      const rex = 0x48 | (base & 8 ? 5 : 0) | (index & 8 ? 2 : 0);
      return [rex, 0x8d, 0x44 | ((base & 7) << 3), ((c[6]! & 3) << 6) | ((index & 7) << 3) | (base & 7), c[4]! & 0x8f];
    }
    case 7:
    case 8:
      return plain([0xd2 | low], narrow);
    case 9:
      return [...plain([0xc0 | low], narrow), c[6]! % 40];
    case 10:
      return plain([0x0f, 0x40 | (c[6]! & 15)], reg);
    case 11:
      return withModRm(c, [], false, [0x0f, 0x90 | (c[6]! & 15)], 0, memory);
    case 12:
      return plain([0xfe | low], c[2]! & 1);
    case 13:
      return plain([0xf6 | low], 2 + (c[2]! & 3));
    case 14:
      return plain([0x0f, pick([0xb6, 0xb7, 0xbe, 0xbf], c[6]!)], reg);
    case 15:
      return plain([0x0f, pick([0xb0 | low, 0xc0 | low, 0xa3, 0xab], c[6]!)], reg);
    case 16: // push, pop, CMC, CLC, STC, PUSHF, POPF, LAHF, SAHF
      return [pick([0x50 | (reg & 7), 0x58 | (c[3]! & 2), 0xf5, 0xf8, 0xf9, 0x9c, 0x9d, 0x9f, 0x9e], c[6]!)];
    case 17:
      return withModRm(c, [], false, [0x0f, pick([0x28, 0x29, 0x10, 0x11, 0x58, 0x57], c[6]!)], narrow, true);
    case 18:
      return withModRm(c, [0x66], false, [0x0f, pick([0xfc, 0x6f, 0x7f, 0xef], c[6]!)], narrow, true);
    default: // and ecx, 63; movzx r10d, r10b
      return c[6]! & 1 ? [0x83, 0xe1, 0x3f] : [0x45, 0x0f, 0xb6, 0xd2];
  }
}

export const choices = fc.array(byte, { minLength: 8, maxLength: 8 });
const program = fc
  .tuple(fc.array(choices, { minLength: 1, maxLength: 9 }), fc.constantFrom(60, 25, 2), byte)
  .map(([body, times, ending]): Program => {
    // mov r15d, times
    const bytes = [0x41, 0xbf, times, 0, 0, 0];
    const starts = [0];
    const add = (...code: number[]) => {
      starts.push(bytes.length);
      bytes.push(...code);
    };
    const head = bytes.length;
    for (const each of body) add(...instruction(each));
    // Most often: add r8, step
    if (ending & 3) add(0x49, 0x83, 0xc0, pick(STEPS, ending >> 2));
    // dec r15d; or lea r15, [r15-1] and test r15, r15
    if (ending & 0x40) add(0x4d, 0x8d, 0x7f, 0xff, 0x4d, 0x85, 0xff);
    else add(0x41, 0xff, 0xcf);
    // jnz head; or jz +2, jmp head
    if (ending & 0x20) add(0x74, 2, 0xeb, (head - bytes.length - 4) & 0xff);
    else add(0x75, (head - bytes.length - 2) & 0xff);
    add(0xf4);
    return { bytes: Uint8Array.from(bytes), starts };
  });

const word = fc.oneof(
  fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }),
  fc.bigInt({ min: 0n, max: 70n }),
  fc.constantFrom(0x8000000000000000n, 0xffffffffn, 0x80n, 0x8000n),
);
const pointer = fc
  .tuple(fc.constantFrom(0x11000, 0x12000, 0x20000, 0x21000), fc.integer({ min: -40, max: 40 }), byte)
  .map(([end, sixteenths, more]) => BigInt(end + 16 * sixteenths + (more & 3 ? 0 : more >> 4)));
export const registers = fc
  .tuple(fc.array(word, { minLength: 16, maxLength: 16 }), fc.array(pointer, { minLength: 5, maxLength: 5 }))
  .map(([words, pointers]) => {
    const all = [...words];
    for (const [i, base] of BASES.entries()) all[base] = pointers[i]!;
    all[4] = 0x15008n;
    for (const index of INDICES) all[index] = all[index]! & 0x3fn;
    return all;
  });

export const loopTrials: fc.Arbitrary<Trial> = fc.record({
  program,
  registers,
  budgets: fc.oneof(
    fc.constant([1000]),
    fc.integer({ min: 1, max: 200 }).map((first) => [first, 1000]),
    fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }),
  ),
  limit: fc.constant(900),
});
