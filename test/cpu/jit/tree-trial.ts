// fast-check's arbitrary of loops of many blocks: instructions of loop-trial.ts with branches forward among them, addresses that
// are loaded, calls of a function behind the loop. And of loops around a computed jump.

import fc from "fast-check";
import { type Choices, choices, instruction, registers } from "./loop-trial.js";
import type { Program } from "./program.js";
import type { Trial } from "./tiers.js";

/** An address from memory in R8, R9 or RSI, in the same page: movzx r11d, word [r8+n]; and r11d, 0xff8; and R, -4096; or R, r11. */
function loadAddress(c: Choices): number[] {
  const to = [8, 9, 6][c[3]! % 3]!;
  const clear = [0x48 | (to & 8 ? 1 : 0), 0x81, 0xe0 | (to & 7), 0, 0xf0, 0xff, 0xff];
  const load = [0x45, 0x0f, 0xb7, 0x58, c[4]! & 0x30, 0x41, 0x81, 0xe3, 0xf8, 0x0f, 0, 0];
  return [...load, ...clear, 0x4c | (to & 8 ? 1 : 0), 0x09, 0xd8 | (to & 7)];
}

interface Shape {
  readonly times: number;
  /** Instructions, and to which one of those that follow a branch leads. */
  readonly body: readonly Choices[];
  readonly callee: readonly Choices[];
}

class Assembly {
  readonly bytes: number[] = [];
  readonly starts: number[] = [];

  add(...code: number[]): void {
    this.starts.push(this.bytes.length);
    this.bytes.push(...code);
  }
  /** The last four bytes lead to this place. */
  leadTo(place: number, at = this.bytes.length): void {
    for (let i = 0; i < 4; i++) this.bytes[at - 4 + i] = ((place - at) >> (8 * i)) & 255;
  }
  get program(): Program {
    return { bytes: Uint8Array.from(this.bytes), starts: this.starts };
  }
}

function assembleTree({ times, body, callee }: Shape): Program {
  const code = new Assembly();
  const { bytes } = code;
  code.add(0x41, 0xbf, times, 0, 0, 0);
  const head = bytes.length;
  const places: number[] = [];
  const branches: { at: number; to: number }[] = [];
  const calls: number[] = [];
  for (const [i, c] of body.entries()) {
    places.push(bytes.length);
    const kind = c[7]! % 11;
    if (kind < 3) {
      code.add(0x0f, 0x80 | (c[0]! & 15), 0, 0, 0, 0);
      branches.push({ at: bytes.length, to: i + 1 + (c[1]! % 6) });
    } else if (kind === 3 && callee.length > 0) {
      code.add(0xe8, 0, 0, 0, 0);
      calls.push(bytes.length);
    } else code.add(...(kind === 4 ? loadAddress(c) : instruction(c)));
  }
  places.push(bytes.length);
  for (const { at, to } of branches) code.leadTo(places[Math.min(to, body.length)]!, at);
  // dec r15d; jnz head; hlt
  code.add(0x41, 0xff, 0xcf);
  code.add(0x0f, 0x85, 0, 0, 0, 0);
  code.leadTo(head);
  code.add(0xf4);
  for (const at of calls) code.leadTo(bytes.length, at);
  for (const c of callee) code.add(...instruction(c));
  if (callee.length > 0) code.add(0xc3);
  return code.program;
}

/** Bytes from one case to the next. */
const CASE = 48;

/** A loop around a computed jump: nothing in it faults, and now and then places in memory are where they were. */
function assembleSwitch(
  cases: readonly (readonly Choices[])[],
  body: readonly Choices[],
  more: readonly Choices[],
): Program {
  const code = new Assembly();
  const { bytes } = code;
  const put = (c: Choices, end: number) => {
    const kind = [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14][c[0]! % 14]!;
    const next =
      c[7]! % 7 === 0
        ? loadAddress(c)
        : instruction(
            [kind, ...c.slice(1, 5), c[5]! | 1, ...c.slice(6)].map((x, i) => (i === 5 && x % 5 === 0 ? 1 : x)),
          );
    if (bytes.length + next.length <= end) code.add(...next);
  };
  // mov r15d, 4000; outer: R8, R9, RSI, RDI and RBX: and R, 0x1fff; or R, 0x12000; mov r14d, 16
  code.add(0x41, 0xbf, 0xa0, 0x0f, 0, 0);
  const outer = bytes.length;
  for (const base of [8, 9, 6, 7, 3]) {
    const rex = base & 8 ? 0x41 : 0x40;
    code.add(rex, 0x81, 0xe0 | (base & 7), 0xff, 0x1f, 0, 0);
    code.add(rex, 0x81, 0xc8 | (base & 7), 0, 0x20, 1, 0);
  }
  code.add(0x41, 0xbe, 16, 0, 0, 0);
  const head = bytes.length;
  for (const c of body) put(c, Number.POSITIVE_INFINITY);
  // A block of its own. mov ebp, r14d; and ebp, 3; imul ebp, ebp, CASE; lea r12, [rip+6]; add r12, rbp; jmp r12
  code.add(0xeb, 0);
  for (const c of more) put(c, Number.POSITIVE_INFINITY);
  code.add(0x44, 0x89, 0xf5);
  code.add(0x83, 0xe5, 3);
  code.add(0x6b, 0xed, CASE);
  code.add(0x4c, 0x8d, 0x25, 6, 0, 0, 0);
  code.add(0x49, 0x01, 0xec);
  code.add(0x41, 0xff, 0xe4);
  const end = bytes.length + 4 * CASE;
  for (const each of cases) {
    const next = bytes.length + CASE;
    for (const c of each) put(c, next - 5);
    code.add(0xe9, 0, 0, 0, 0);
    code.leadTo(end);
    while (bytes.length < next) bytes.push(0x90);
  }
  // dec r14d; jnz head; dec r15d; jnz outer; hlt
  code.add(0x41, 0xff, 0xce);
  code.add(0x0f, 0x85, 0, 0, 0, 0);
  code.leadTo(head);
  code.add(0x41, 0xff, 0xcf);
  code.add(0x0f, 0x85, 0, 0, 0, 0);
  code.leadTo(outer);
  code.add(0xf4);
  return code.program;
}

const budgets = fc.oneof(
  fc.constant<readonly number[]>([1000]),
  fc.integer({ min: 1, max: 300 }).map((first) => [first, 1000]),
  fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 8 }),
);

export const treeTrials: fc.Arbitrary<Trial> = fc.record({
  program: fc
    .record({
      times: fc.integer({ min: 2, max: 40 }),
      body: fc.array(choices, { minLength: 3, maxLength: 24 }),
      callee: fc.array(choices, { maxLength: 4 }),
    })
    .map(assembleTree),
  registers,
  budgets,
  limit: fc.constant(1000),
});

const few = fc.array(choices, { minLength: 1, maxLength: 6 });
export const switchTrials: fc.Arbitrary<Trial> = fc.record({
  program: fc
    .tuple(fc.array(few, { minLength: 4, maxLength: 4 }), few, few)
    .map(([cases, body, more]) => assembleSwitch(cases, body, more)),
  registers,
  budgets: fc.array(fc.integer({ min: 20_000, max: 60_000 }), { minLength: 1, maxLength: 4 }),
  limit: fc.constant(200_000),
});
