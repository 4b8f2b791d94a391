// MXCSR's flags behind arithmetic that is exact for a while, then no more: compiled code and the interpreter agree at every place where
// a program, or what interrupts it, can look: STMXCSR in the loop, FXSAVE, an exception, the end of a slice.

import fc from "fast-check";
import { expect, test } from "vitest";
import { TierPair } from "./tiers.js";

/** Prefix and opcode after 0F; xmm2 is the destination, xmm1 the source. */
const OPERATIONS = { add: 0x58, mul: 0x59, sub: 0x5c, div: 0x5e, sqrt: 0x51 } as const;
const FORMS = { ps: [], pd: [0x66], ss: [0xf3], sd: [0xf2] } as const;
const STMXCSR = [0x0f, 0xae, 0x1c, 0x8b]; // [rbx + 4 rcx]
const FXSAVE = [0x0f, 0xae, 0x06]; // [rsi]

const word = (value: number, single: boolean): number[] => {
  const view = new DataView(new ArrayBuffer(8));
  if (!single) view.setFloat64(0, value, true);
  else for (const at of [0, 4]) view.setFloat32(at, value, true);
  return [...new Uint8Array(view.buffer)];
};
/** mov rax, value; movq xmm, rax; punpcklqdq xmm, xmm. */
const load = (register: number, value: number, single: boolean): number[] => {
  const both = 0xc0 | (register << 3) | register;
  return [0x48, 0xb8, ...word(value, single), 0x66, 0x48, 0x0f, 0x6e, 0xc0 | (register << 3), 0x66, 0x0f, 0x6c, both];
};

/** Of few digits, of many, and the limits' neighbourhood. */
const number = fc.oneof(
  fc.integer({ min: -4096, max: 4096 }).map((n) => n / 64),
  fc.integer({ min: 1, max: 2 ** 30 }),
  fc.constantFrom(
    0,
    -0,
    1 / 3,
    2 ** 27 + 1,
    2 ** 26 - 1,
    2 ** 52 + 1,
    2 ** 53 - 1,
    1e300,
    1e-300,
    1e38,
    1e-38,
    5e-324,
    1e-45,
  ),
  fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY),
);

test.each(
  Object.entries(FORMS).flatMap(([form, prefix]) =>
    Object.entries(OPERATIONS).map(([name, opcode]) => [`${name}${form}`, prefix, opcode] as const),
  ),
)("%s", (name, prefix, opcode) => {
  const pair = new TierPair();
  const single = name.endsWith("ps") || name.endsWith("ss");
  const registers = Array.from({ length: 16 }, () => 0n);
  registers[3] = 0x10100n;
  registers[6] = 0x11000n;
  registers[7] = 0x22000n;
  const trial = fc.tuple(number, number, number, fc.boolean(), fc.integer({ min: 1, max: 60 }));
  fc.assert(
    fc.property(trial, ([a, b, c, faults, budget]) => {
      const loop = [...prefix, 0x0f, opcode, 0xd1, ...prefix, 0x0f, 0x58, 0xda, ...STMXCSR, 0xff, 0xc9, 0x75];
      const bytes = Uint8Array.from([
        ...load(1, b, single),
        ...load(2, a, single),
        ...load(3, c, single),
        // mov ecx, 6; the loop: operation xmm2, xmm1; add xmm3, xmm2; stmxcsr; dec ecx; jnz
        ...[0xb9, 6, 0, 0, 0],
        ...[...loop, -(loop.length + 1) & 0xff],
        ...(faults ? [0x88, 0x07] : []), // mov [rdi], al: #PF
        ...FXSAVE,
        0xf4,
      ]);
      const program = { bytes, starts: [0] };
      const difference = pair.compare({ program, registers, budgets: [budget], limit: 80 });
      expect(difference).toBeUndefined();
    }),
    { numRuns: 60 },
  );
  expect(pair.regions).toBeGreaterThan(60);
});
