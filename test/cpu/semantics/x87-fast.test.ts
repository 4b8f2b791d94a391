// The routines in Wasm for ordinary x87 numbers against the exact library, which the same instructions use under the reserved
// precision 01 (it acts as 64 bits).

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createX87Environment, type FloatEnvironment, setControlWord } from "../../../src/cpu/float/environment.js";
import { BINARY32, BINARY64 } from "../../../src/cpu/float/format.js";
import { x87Store, x87ToInteger } from "../../../src/cpu/float/x87.js";
import * as S from "../../../src/cpu/state-layout.js";
import { Machine } from "./x87-machine.js";

const DATA = 0x8000;
const machine = new Machine();
const { state } = machine;

const significand = fc.oneof(
  fc.bigInt({ min: 1n << 63n, max: (1n << 64n) - 1n }),
  // Short ones, and those next to a carry.
  fc.integer({ min: 1, max: 4096 }).map((n) => BigInt(n) << BigInt(63 - Math.floor(Math.log2(n)))),
  fc.integer({ min: 0, max: 300 }).map((n) => (1n << 64n) - 1n - BigInt(n)),
  fc.integer({ min: 0, max: 63 }).map((n) => (1n << 63n) | (1n << BigInt(n))),
);
const exponent = fc.oneof(fc.integer({ min: 16383 - 80, max: 16383 + 80 }), fc.integer({ min: 1, max: 0x7ffe }));
const number = fc.oneof(
  { weight: 12, arbitrary: fc.tuple(significand, exponent, fc.boolean()) },
  { weight: 1, arbitrary: fc.tuple(fc.constant(0n), fc.constant(0), fc.boolean()) },
  // What the routines must refuse.
  {
    weight: 1,
    arbitrary: fc.tuple(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.constantFrom(0, 0x7fff), fc.boolean()),
  },
);
type Number80 = readonly [bigint, number, boolean];

function load(control: number, ...numbers: Number80[]): void {
  state.setU32(S.FCW, control);
  state.setU32(S.FSW, 0x4700);
  state.setU32(S.FTOP, 0);
  state.setU32(S.FTW, (1 << numbers.length) - 1);
  numbers.forEach(([bits, exp, negative], i) => {
    state.setU64(S.FPR + 16 * i, bits);
    state.setU64(S.FPR + 16 * i + 8, BigInt(exp | (negative ? 0x8000 : 0)));
  });
}
function outcome(): string {
  const registers = [0, 1, 2].map((i) => [state.u64(S.FPR + 16 * i).toString(16), state.u64(S.FPR + 16 * i + 8)]);
  const control = [S.FSW, S.FTOP, S.FTW].map((field) => state.u32(field).toString(16));
  return [...registers, ...control, state.statusFlags.toString(16)].join(" ");
}

describe("register forms", () => {
  test.each([
    ["FADD", "d8c1"],
    ["FMUL", "d8c9"],
    ["FSUB", "d8e1"],
    ["FSUBR", "d8e9"],
    ["FDIV", "d8f1"],
    ["FDIVR", "d8f9"],
    ["FSUBP", "dee9"],
    ["FCOM", "d8d1"],
    ["FUCOMPP", "dae9"],
    ["FCOMIP", "dff1"],
  ])("%s", (_name, code) => {
    fc.assert(
      fc.property(number, number, (a, b) => {
        const [fast, slow] = [0x37f, 0x17f].map((control) => {
          load(control, a, b);
          machine.run(code);
          return outcome();
        });
        expect(fast).toBe(slow);
      }),
      { numRuns: 1500 },
    );
  });
});

const pattern = ([bits, exp, negative]: Number80) => (BigInt(exp | (negative ? 0x8000 : 0)) << 64n) | bits;

test.each([
  ["FST m64", "dd1425", 0x37f, (env, a) => x87Store(env, BINARY64, a), 8],
  ["FST m32", "d91425", 0x37f, (env, a) => x87Store(env, BINARY32, a), 4],
  ["FIST m16", "df1425", 0x37f, (env, a) => x87ToInteger(env, a, 16, false), 2],
  ["FIST m32", "db1425", 0x37f, (env, a) => x87ToInteger(env, a, 32, false), 4],
  ["FIST m32, truncating", "db1425", 0xf7f, (env, a) => x87ToInteger(env, a, 32, false), 4],
  ["FISTP m64", "df3c25", 0x37f, (env, a) => x87ToInteger(env, a, 64, false), 8],
  ["FISTTP m64", "dd0c25", 0x37f, (env, a) => x87ToInteger(env, a, 64, true), 8],
] satisfies [string, string, number, (env: FloatEnvironment, a: bigint) => bigint | null, number][])(
  "%s",
  (_name, code, control, exact, bytes) => {
    const env = createX87Environment();
    fc.assert(
      fc.property(number, (a) => {
        load(control, a);
        machine.run(`${code}00800000`);
        setControlWord(env, control);
        env.flags = 0;
        env.condition = 0;
        const expected = exact(env, pattern(a));
        const stored =
          bytes === 2
            ? BigInt(machine.u16(DATA))
            : bytes === 4
              ? BigInt(machine.u32(DATA))
              : machine.memory.readU64(DATA);
        expect(stored).toBe(BigInt.asUintN(8 * bytes, expected!));
        expect((state.u32(S.FSW) & 0x3f).toString(16)).toBe(env.flags.toString(16));
        expect(state.u32(S.FSW) & 0x200).toBe(env.condition & 0x200);
      }),
      { numRuns: 1500 },
    );
  },
);
