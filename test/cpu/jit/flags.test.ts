// Status flags behind every instruction that sets them in its own way, asked for in the next block, and left with: compiled code keeps
// operands and makes flags of them only then.

import fc from "fast-check";
import { expect, test } from "vitest";
import { TierPair } from "./tiers.js";

/** With RAX, AX or AL as the destination and RCX as the source. */
const SETTERS: Readonly<Record<string, (form: number, immediate: number) => number[]>> = {
  add: (w) => [0x00 | w, 0xc8],
  adc: (w) => [0x10 | w, 0xc8],
  sbb: (w) => [0x18 | w, 0xc8],
  and: (w) => [0x20 | w, 0xc8],
  sub: (w) => [0x28 | w, 0xc8],
  cmp: (w) => [0x38 | w, 0xc8],
  inc: (w) => [0xfe | w, 0xc0],
  dec: (w) => [0xfe | w, 0xc8],
  neg: (w) => [0xf6 | w, 0xd8],
  rol: (w, n) => [0xc0 | w, 0xc0, n],
  rcr: (w, n) => [0xc0 | w, 0xd8, n],
  shl: (w, n) => [0xc0 | w, 0xe0, n],
  shr: (w, n) => [0xc0 | w, 0xe8, n],
  sar: (w, n) => [0xc0 | w, 0xf8, n],
  bt: (_w, n) => [0x0f, 0xba, 0xe0, n],
  "btc, dec": (w, n) => [0x0f, 0xba, 0xf8, n, 0xfe | w, 0xc8],
  "shl, bt": (w, n) => [0xc0 | w, 0xe0, n, 0x0f, 0xa3, 0xc8],
  "jmp, inc, bt": (w, n) => [0xeb, 0, 0xfe | w, 0xc0, 0x0f, 0xba, 0xe0, n],
  "popf, bt": (_w, n) => [0x50, 0x48, 0x81, 0x24, 0x24, 0xff, 0xc8, 0, 0, 0x9d, 0x0f, 0xba, 0xe0, n],
  "stc, jmp, inc": (w) => [0xf9, 0xeb, 0, 0xfe | w, 0xc0],
  "cmc, jmp, adc": (w) => [0xf5, 0xeb, 0, 0x10 | w, 0xc8],
  ror: (w, n) => [0xc0 | w, 0xc8, n],
  imul: () => [0x0f, 0xaf, 0xc1],
  "shl by cl": (w) => [0xd2 | w, 0xe0],
  "shr by cl": (w) => [0xd2 | w, 0xe8],
  "sar by cl": (w) => [0xd2 | w, 0xf8],
  "rol by cl": (w) => [0xd2 | w, 0xc0],
  "ror by cl": (w) => [0xd2 | w, 0xc8],
  "rcr by cl": (w) => [0xd2 | w, 0xd8],
  "rol, bt": (w, n) => [0xc0 | w, 0xc0, n, 0x0f, 0xa3, 0xc8],
  "bt, ror": (w, n) => [0x0f, 0xba, 0xe0, n, 0xc0 | w, 0xc8, n],
  "jmp, rol by cl, bt": (w, n) => [0xeb, 0, 0xd2 | w, 0xc0, 0x0f, 0xba, 0xe0, n],
  "bt, shr by cl": (w, n) => [0x0f, 0xba, 0xe0, n, 0xd2 | w, 0xe8],
  "rol by cl, inc": (w) => [0xd2 | w, 0xc0, 0xfe | w, 0xc0],
  "sub, shl by cl": (w) => [0x28 | w, 0xc8, 0xd2 | w, 0xe2],
};
/** Prefixes of the four operand sizes, and bit 0 of the opcode. */
const FORMS = [[[], 0] as const, [[0x66], 1] as const, [[], 1] as const, [[0x48], 1] as const];

const edge = fc.constantFrom(
  0n,
  1n,
  2n,
  0x7fn,
  0x80n,
  0xffn,
  0x8000n,
  0x7fffffffn,
  0x80000000n,
  1n << 63n,
  (1n << 64n) - 1n,
);
const register = fc.oneof(edge, fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }));

test.each(Object.entries(SETTERS))("%s", (_, setter) => {
  const pair = new TierPair();
  const trial = fc.tuple(
    fc.constantFrom(...FORMS),
    fc.constantFrom(0, 1, 3, 7, 8, 15, 16, 17, 31),
    fc.nat(15),
    fc.constantFrom(Object.values(SETTERS)[5]!, Object.values(SETTERS)[0]!, Object.values(SETTERS)[6]!),
    fc.array(register, { minLength: 16, maxLength: 16 }),
    fc.boolean(),
  );
  fc.assert(
    fc.property(trial, ([[prefix, w], n, cc, before, registers, apart]) => {
      // Another one first; then the one in question; jmp +0; setcc bl; jmp +0 or not; adc rsi, rdi; hlt
      const asked = [0xeb, 0, 0x0f, 0x90 | cc, 0xc3, ...(apart ? [0xeb, 0] : []), 0x48, 0x11, 0xfe, 0xf4];
      const bytes = Uint8Array.from([...before(1, 0), ...prefix, ...setter(w, n), ...asked]);
      for (const budget of [1, 2, 3, 100]) {
        const difference = pair.compare({ program: { bytes, starts: [0] }, registers, budgets: [budget], limit: 8 });
        expect(difference).toBeUndefined();
      }
    }),
    { numRuns: 25 },
  );
  expect(pair.regions).toBeGreaterThan(25);
});

test("asked for on some paths only, behind the block that set them", () => {
  const pair = new TierPair();
  for (const [a, b] of [
    [1n, 2n],
    [2n, 1n],
    [0x80000000n, 0x7fffffffn],
    [5n, 5n],
  ]) {
    const registers = Array.from({ length: 16 }, (_, i) => (i === 0 ? a! : b!));
    for (const cc of [0xda, 0xdb]) {
      for (const modRm of [0xc1, 0xc9, 0xd1, 0xd9]) {
        // fldz; fld1; cmp eax, ecx; jmp +0; fcmovcc st0, st1; jl +3; setc bl; sbb edx, esi; hlt
        const condition = [cc, modRm].map((byte) => byte.toString(16)).join("");
        const code = Buffer.from(`d9eed9e839c8eb00${condition}7c030f92c319f2f4`, "hex");
        const program = { bytes: Uint8Array.from(code), starts: [0] };
        for (const budget of [1, 2, 100])
          expect(pair.compare({ program, registers, budgets: [budget], limit: 8 })).toBeUndefined();
      }
    }
  }
  expect(pair.regions).toBeGreaterThan(16);
});
