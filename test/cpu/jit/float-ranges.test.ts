// Loops of arithmetic on doubles: compiled code tests ranges instead of each result (src/cpu/jit/float-ranges.ts), with PE set or clear.
// It agrees with the interpreter at every end of a slice, whatever numbers come: usual ones, the ranges' ends, denormals, NaNs.

import fc from "fast-check";
import { expect, test } from "vitest";
import { TierPair } from "./tiers.js";

/** stmxcsr [rbx + 4 * rcx + 256]: the last instructions of a slice, and so PE in the end, are the interpreter's. */
const STMXCSR = [0x0f, 0xae, 0x9c, 0x8b, 0, 1, 0, 0];
const pattern = (value: number): number[] => [...new Uint8Array(new Float64Array([value]).buffer)];
const power = (exponent: number) => 2 ** exponent;

const usual = fc.oneof(
  fc.constantFrom(0, -0, 1, -1.5, 1 / 3, 3, 1000.25, -7e5, 1e-9),
  fc.double({ min: -100, max: 100, noNaN: true }),
);
const odd = fc.oneof(
  fc.constantFrom(
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    5e-324,
    power(-1022),
    1.7e308,
    -1e-310,
  ),
  fc.constantFrom(power(-255), power(-256), power(257), power(256), power(-510), power(512), power(1022), power(-1021)),
  fc.integer({ min: -1074, max: 1023 }).map((n) => power(n) * 1.25),
);
const number = fc.oneof({ weight: 6, arbitrary: usual }, { weight: 1, arbitrary: odd });

const register = fc.integer({ min: 0, max: 5 });
/** Of eight doubles at RBX. */
const place = fc.integer({ min: 0, max: 7 });
const both = (to: number, from: number) => 0xc0 | (to << 3) | from;
const memory = (to: number, at: number) => [0x43 | (to << 3), 8 * at];
const scalar = fc.constantFrom(0x58, 0x58, 0x59, 0x59, 0x5c, 0x5e, 0x51, 0x5d, 0x5f);
const packed = fc.constantFrom(0x58, 0x59, 0x5c, 0x5e, 0x51, 0x5d, 0x5f);

const instruction: fc.Arbitrary<number[]> = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(scalar, register, register).map(([op, a, b]) => [0xf2, 0x0f, op, both(a, b)]) },
  { weight: 3, arbitrary: fc.tuple(scalar, register, place).map(([op, a, m]) => [0xf2, 0x0f, op, ...memory(a, m)]) },
  { weight: 3, arbitrary: fc.tuple(packed, register, register).map(([op, a, b]) => [0x66, 0x0f, op, both(a, b)]) },
  fc.tuple(packed, register, place).map(([op, a, m]) => [0x66, 0x0f, op, ...memory(a, m & 6)]),
  // movsd between registers, loads and stores
  fc.tuple(register, register).map(([a, b]) => [0xf2, 0x0f, 0x10, both(a, b)]),
  { weight: 3, arbitrary: fc.tuple(register, place).map(([a, m]) => [0xf2, 0x0f, 0x10, ...memory(a, m)]) },
  { weight: 2, arbitrary: fc.tuple(register, place).map(([a, m]) => [0xf2, 0x0f, 0x11, ...memory(a, m)]) },
  // movapd, pxor, unpcklpd, movhlps, movhpd, movq, psllq
  { weight: 2, arbitrary: fc.tuple(register, register).map(([a, b]) => [0x66, 0x0f, 0x28, both(a, b)]) },
  register.map((a) => [0x66, 0x0f, 0xef, both(a, a)]),
  fc.tuple(register, register).map(([a, b]) => [0x66, 0x0f, 0x14, both(a, b)]),
  fc.tuple(register, register).map(([a, b]) => [0x0f, 0x12, both(a, b)]),
  fc.tuple(register, place).map(([a, m]) => [0x66, 0x0f, 0x16, ...memory(a, m)]),
  fc.tuple(register, register).map(([a, b]) => [0xf3, 0x0f, 0x7e, both(a, b)]),
  register.map((a) => [0x66, 0x0f, 0x73, 0xf0 | a, 1]),
  // cvtsi2sd xmm, eax; cvttsd2si eax, xmm; cvtsd2ss and back
  register.map((a) => [0xf2, 0x0f, 0x2a, both(a, 0)]),
  register.map((a) => [0xf2, 0x0f, 0x2c, both(0, a)]),
  fc.tuple(register, register).map(([a, b]) => [0xf2, 0x0f, 0x5a, both(a, b), 0xf3, 0x0f, 0x5a, both(a, a)]),
  // ucomisd, comisd and a branch over addsd xmm5, xmm4
  fc
    .tuple(fc.constantFrom(0x2e, 0x2f), register, register, fc.constantFrom(0x72, 0x77, 0x74, 0x7a))
    .map(([op, a, b, jump]) => [0x66, 0x0f, op, both(a, b), jump, 4, 0xf2, 0x0f, 0x58, 0xec]),
  // ldmxcsr [rbx + 64]
  { weight: 1, arbitrary: fc.boolean().map((loads) => (loads ? [0x0f, 0xae, 0x53, 0x40] : [0x0f, 0xae, 0x5b, 0x48])) },
);

/** At the ends of what is checked, so that a few products leave the normal numbers. */
const end = fc
  .tuple(fc.constantFrom(-255, -254, -200, 200, 255, 256), usual)
  .map(([n, m]) => 2 ** n * (m === 0 ? 1 : m / 100));
/** Of few digits: exact results for a while. */
const short = fc.oneof(
  fc.integer({ min: -9, max: 9 }),
  fc.integer({ min: -(2 ** 27), max: 2 ** 27 }).map((n) => n / 64),
);
const array = (of: fc.Arbitrary<number>) => fc.array(of, { minLength: 8, maxLength: 8 });
const numbers = fc.oneof(array(number), array(end), array(short));

const trial = fc.record({
  numbers,
  mxcsr: fc.oneof({ weight: 8, arbitrary: fc.constantFrom(0x1fa0, 0x1f80) }, fc.constantFrom(0x9fe0, 0x1f20, 0x7fa0)),
  body: fc.array(instruction, { minLength: 2, maxLength: 14 }),
  budget: fc.integer({ min: 20, max: 400 }),
});

test("the same as interpreted", () => {
  const pair = new TierPair();
  const registers = Array.from({ length: 16 }, () => 0n);
  registers[3] = 0x10100n;
  fc.assert(
    fc.property(trial, ({ numbers, mxcsr, body, budget }) => {
      const store = (value: number, at: number) => [0x48, 0xb8, ...pattern(value), 0x48, 0x89, 0x43, 8 * at];
      const loop = [...body.flat(), ...STMXCSR, 0xff, 0xc9, 0x0f, 0x85];
      const back = new Uint8Array(new Int32Array([-(loop.length + 4)]).buffer);
      const bytes = Uint8Array.from([
        ...numbers.flatMap(store),
        // mov dword [rbx + 64], mxcsr; ldmxcsr [rbx + 64]; loads of xmm0 to xmm5
        ...[0xc7, 0x43, 0x40, mxcsr & 0xff, mxcsr >> 8, 0, 0, 0x0f, 0xae, 0x53, 0x40],
        ...[0, 1, 2, 3, 4, 5].flatMap((a) => [0xf2, 0x0f, 0x10, ...memory(a, a)]),
        // mov ecx, n; the loop, which keeps MXCSR of each round
        ...[0xb9, 20, 0, 0, 0, ...loop, ...back, 0xf4],
      ]);
      // Up to the loop, which makes a region of its own.
      const budgets = [16 + 2 + 6 + 1, budget];
      const difference = pair.compare({ program: { bytes, starts: [0] }, registers, budgets, limit: 500 });
      expect(difference).toBeUndefined();
    }),
    { numRuns: 900 },
  );
  expect(pair.regions).toBeGreaterThan(900);
});

test("a register that is zero proves nothing of PE", () => {
  const pair = new TierPair();
  const registers = Array.from({ length: 16 }, () => 0n);
  registers[3] = 0x10100n;
  const bytes = Uint8Array.from([
    // mov rax, 0.1; mov [rbx], rax; mov ecx, 60; pxor xmm1, xmm1; the loop: addsd xmm1, [rbx]; stmxcsr; dec ecx; jnz
    ...[0x48, 0xb8, ...pattern(0.1), 0x48, 0x89, 0x03, 0xb9, 60, 0, 0, 0, 0x66, 0x0f, 0xef, 0xc9],
    ...[0xf2, 0x0f, 0x58, 0x0b, ...STMXCSR, 0xff, 0xc9, 0x75, 0xf0, 0xf4],
  ]);
  for (const budgets of [[3, 100], [400]])
    expect(pair.compare({ program: { bytes, starts: [0] }, registers, budgets, limit: 400 })).toBeUndefined();
});
