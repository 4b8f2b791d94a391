// SSE floating point: MXCSR's part in it, and the fast paths held against the exact library on random operands.

import { describe, expect, test } from "vitest";
import { Vector } from "../../../src/cpu/exit.js";
import { comparePredicate, compareSse, EQUAL, LESS, UNORDERED } from "../../../src/cpu/float/compare.js";
import { createSseEnvironment, type FloatEnvironment, setMxcsr } from "../../../src/cpu/float/environment.js";
import { BINARY32, BINARY64, type Format } from "../../../src/cpu/float/format.js";
import * as F from "../../../src/cpu/float/sse.js";
import * as S from "../../../src/cpu/state-layout.js";
import { CR4, doubles, SseMachine, singles } from "./sse-machine.js";

const m = new SseMachine();
const { state } = m.cpu;

const IE = 1;
const DE = 2;
const ZE = 4;
const PE = 0x20;

describe("MXCSR", () => {
  test("an inexact sum sets PE once, an exact one doesn't", () => {
    m.mxcsr = 0x1f80;
    m.setXmm(1, doubles(1.5));
    m.setXmm(2, doubles(0.25));
    m.complete("f2 0f 58 ca"); // addsd
    expect([m.xmm(1), m.mxcsr]).toEqual([doubles(1.75), 0x1f80]);
    m.setXmm(2, doubles(0.1));
    m.complete("f2 0f 58 ca");
    expect([m.xmm(1), m.mxcsr]).toEqual([doubles(1.75 + 0.1), 0x1f80 | PE]);
  });

  test.each(["f2", "66"])("zero divided by infinity is exact (%s 0f 5e)", (prefix) => {
    m.mxcsr = 0x1f80;
    m.setXmm(1, doubles(0, 0));
    m.setXmm(2, doubles(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY));
    m.complete(`${prefix} 0f 5e ca`);
    expect([m.xmm(1), m.mxcsr]).toEqual([doubles(0, 0), 0x1f80]);
  });

  test("rounding mode, flush to zero, denormals are zero", () => {
    m.mxcsr = 0x1fa0 | (2 << 13);
    m.setXmm(1, doubles(1));
    m.setXmm(2, doubles(3));
    m.complete("f2 0f 5e ca"); // divsd, up
    expect(m.xmm(1)).toBe("3fd5555555555556".padStart(32, "0"));
    m.mxcsr = 0x9fa0;
    m.setXmm(1, singles(1.2e-38, 1, 1, 1));
    m.setXmm(2, singles(0.5, 1, 1, 1));
    m.complete("0f 59 ca"); // mulps with FTZ
    expect(m.xmm(1)).toBe(singles(0, 1, 1, 1));
    m.mxcsr = 0x1fa0 | 0x40;
    m.setXmm(1, singles(1e-40, 1, 1, 1));
    m.setXmm(2, singles(1e-40, 2, 3, 4));
    m.complete("0f 58 ca"); // addps with DAZ
    expect([m.xmm(1), m.mxcsr & DE]).toEqual([singles(0, 3, 4, 5), 0]);
  });

  test("unmasked: #XM leaves the register alone, #UD without CR4.OSXMMEXCPT", () => {
    m.mxcsr = 0x1d80; // ZM clear
    m.setXmm(1, doubles(1));
    m.setXmm(2, doubles(0));
    expect(m.run("f2 0f 5e ca")).toMatchObject({ vector: Vector.XM, hasErrorCode: false });
    expect([m.xmm(1), m.mxcsr & ZE]).toEqual([doubles(1), ZE]);
    m.setControl(0n, CR4 & ~0x400n);
    expect(m.run("f2 0f 5e ca").vector).toBe(Vector.UD);
    m.setControl(0n, CR4);
  });
});

describe("compares and conversions", () => {
  test("UCOMISD: less, equal, greater, unordered", () => {
    m.mxcsr = 0x1f80;
    state.statusFlags = S.STATUS_FLAGS;
    const flagsOf = (a: number, b: number, code: string) => {
      m.setXmm(1, doubles(a));
      m.setXmm(2, doubles(b));
      m.complete(code);
      return state.statusFlags;
    };
    const ucomisd = "66 0f 2e ca";
    expect(flagsOf(1, 2, ucomisd)).toBe(S.CF);
    expect(flagsOf(2, 2, ucomisd)).toBe(S.ZF);
    expect(flagsOf(-0, 0, ucomisd)).toBe(S.ZF);
    expect(flagsOf(3, 2, ucomisd)).toBe(0);
    expect(flagsOf(Number.NaN, 2, ucomisd)).toBe(S.ZF | S.PF | S.CF);
    expect(m.mxcsr & IE).toBe(0);
    expect(flagsOf(Number.NaN, 2, "66 0f 2f ca")).toBe(S.ZF | S.PF | S.CF);
    expect(m.mxcsr & IE).toBe(IE);
  });

  test("float to integer: rounding, truncation, out of range", () => {
    m.mxcsr = 0x1fa0;
    const convert = (value: number, code: string) => {
      m.setXmm(1, doubles(value));
      m.complete(code);
      return state.gpr(S.Reg.RAX);
    };
    expect(convert(2.5, "f2 0f 2d c1")).toBe(2n);
    expect(convert(-2.9, "f2 0f 2c c1")).toBe(0xfffffffen);
    expect(convert(2 ** 62, "f2 48 0f 2c c1")).toBe(1n << 62n);
    expect(m.mxcsr & IE).toBe(0);
    expect(convert(2 ** 31, "f2 0f 2c c1")).toBe(0x80000000n);
    expect(m.mxcsr & IE).toBe(IE);
    expect(convert(Number.NaN, "f2 48 0f 2d c1")).toBe(1n << 63n);
  });

  test("integer to float", () => {
    m.mxcsr = 0x1f80;
    state.setGpr(S.Reg.RAX, (1n << 53n) + 1n);
    m.complete("f2 48 0f 2a c8"); // cvtsi2sd xmm1, rax
    expect([m.xmm(1).slice(16), m.mxcsr]).toEqual(["4340000000000000", 0x1fa0]);
    state.setGpr(S.Reg.RAX, 0xffffffffn);
    m.complete("f2 0f 2a c8");
    expect(m.xmm(1).slice(16)).toBe("bff0000000000000");
  });
});

/** xorshift32. */
function generator(seed: number): () => number {
  let x = seed;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

const SPECIAL = [
  0n,
  1n,
  0x7fffffn,
  0x800000n,
  0x800001n,
  0x3f800000n,
  0x7f7fffffn,
  0x7f800000n,
  0x7f800001n,
  0x7fc00000n,
];

function operand(random: () => number, bits: number): bigint {
  const kind = random() % 8;
  const sign = BigInt(random() & 1) << BigInt(bits - 1);
  if (kind === 0) {
    const special = SPECIAL[random() % SPECIAL.length]!;
    // The same place in the double's range: exponent field scaled, fraction widened.
    return sign | (bits === 32 ? special : ((((special >> 23n) * 0x7ffn) / 0xffn) << 52n) | (special & 0x7fffffn));
  }
  const raw = (BigInt(random()) << 32n) | BigInt(random());
  if (kind === 1) return BigInt.asUintN(bits, raw);
  // Near 1, so that sums are ordinary and sometimes exact.
  const width = bits === 32 ? 23 : 52;
  // Of a few digits, so that products, quotients and roots are exact, or just not.
  const cut = kind < 5 ? 0n : BigInt(width - (random() % (width + 1)));
  const fraction = (BigInt.asUintN(width, raw) >> cut) << cut;
  return (
    sign | (bits === 32 ? (0x7fn + BigInt(random() % 16)) << 23n : (0x3ffn + BigInt(random() % 16)) << 52n) | fraction
  );
}

type Lane = (env: FloatEnvironment, format: Format, a: bigint, b: bigint) => bigint;

/** Opcode of the packed form after 0F; prefix 66 makes it double. */
const OPERATIONS: [string, string, Lane][] = [
  ["ADD", "58", F.sseAdd],
  ["SUB", "5c", F.sseSubtract],
  ["MUL", "59", F.sseMultiply],
  ["DIV", "5e", F.sseDivide],
  ["MIN", "5d", F.sseMin],
  ["MAX", "5f", F.sseMax],
  ["SQRT", "51", (env, format, _a, b) => F.sseSqrt(env, format, b)],
];

describe.each([32, 64] as const)("against the library, binary%i", (bits) => {
  const format = bits === 32 ? BINARY32 : BINARY64;
  const env = createSseEnvironment();
  const count = 128 / bits;
  const random = generator(0x1234567 + bits);
  const prefix = bits === 64 ? "66" : "";

  /** Draws operands, runs `code` on xmm1 and xmm2, gives both and sets the library's environment. */
  function draw(code: string) {
    const lanes = (n: number) => Array.from({ length: n }, () => operand(random, bits));
    const pack = (values: bigint[]) =>
      [...values]
        .reverse()
        .map((v) => v.toString(16).padStart(bits / 4, "0"))
        .join("");
    const a = lanes(count);
    const b = lanes(count);
    m.setXmm(1, pack(a));
    m.setXmm(2, pack(b));
    // All masked, PE set or clear; now and then another rounding, DAZ or FTZ.
    m.mxcsr = random() & 3 ? (random() & 0x20) | 0x1f80 : (random() & 0xe040) | 0x1f80;
    setMxcsr(env, m.mxcsr);
    env.flags = m.mxcsr & 0x3f;
    m.complete(code);
    return { a, b, pack, flags: () => [m.mxcsr & 0x3f, env.flags] };
  }

  test.each(OPERATIONS)("%s", (_name, opcode, lane) => {
    for (let i = 0; i < 300; i++) {
      const { a, b, pack, flags } = draw(`${prefix} 0f ${opcode} ca`);
      const expected = pack(a.map((x, k) => lane(env, format, x, b[k]!)));
      const text = `${pack(a)} ${pack(b)} ${m.mxcsr.toString(16)}`;
      expect(`${text}: ${m.xmm(1)}`).toBe(`${text}: ${expected}`);
      const [got, wanted] = flags();
      expect(`${text}: ${got}`).toBe(`${text}: ${wanted}`);
    }
  });

  test.each(OPERATIONS)("%s, lowest lane alone", (_name, opcode, lane) => {
    for (let i = 0; i < 300; i++) {
      const { a, b, pack, flags } = draw(`${bits === 64 ? "f2" : "f3"} 0f ${opcode} ca`);
      const expected = pack([lane(env, format, a[0]!, b[0]!), ...a.slice(1)]);
      const text = `${pack(a)} ${pack(b)} ${m.mxcsr.toString(16)}`;
      expect(`${text}: ${m.xmm(1)}`).toBe(`${text}: ${expected}`);
      const [got, wanted] = flags();
      expect(`${text}: ${got}`).toBe(`${text}: ${wanted}`);
    }
  });

  test("CMPPx and COMISx", () => {
    for (let i = 0; i < 300; i++) {
      const predicate = i & 7;
      const { a, b, pack, flags } = draw(`${prefix} 0f c2 ca 0${predicate}`);
      const ones = (1n << BigInt(bits)) - 1n;
      const expected = a.map((x, k) => (comparePredicate(env, format, x, b[k]!, predicate) ? ones : 0n));
      expect(m.xmm(1)).toBe(pack(expected));
      const [got, wanted] = flags();
      expect(got).toBe(wanted);
      const again = draw(`${prefix} 0f 2e ca`);
      const relation = compareSse(env, format, again.a[0]!, again.b[0]!, false);
      const status = relation === UNORDERED ? 0x45 : relation === EQUAL ? 0x40 : relation === LESS ? 1 : 0;
      expect(state.statusFlags).toBe(status);
    }
  });
});
