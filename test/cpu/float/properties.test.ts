// Properties of src/cpu/float, with JavaScript's own doubles as the second opinion on round-to-nearest.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  C2,
  createSseEnvironment,
  createX87Environment,
  DOWN,
  finishSse,
  IE,
  OE,
  PE,
  setControlWord,
  setMxcsr,
  UE,
  UP,
  ZE,
} from "../../../src/cpu/float/environment.js";
import { BINARY32, BINARY64, bitLength, EXTENDED80 } from "../../../src/cpu/float/format.js";
import {
  sseAdd,
  sseConvert,
  sseDivide,
  sseMultiply,
  sseSqrt,
  sseSubtract,
  sseToInteger,
} from "../../../src/cpu/float/sse.js";
import { x87Add, x87FromInteger, x87Load, x87Multiply, x87Store, x87ToInteger } from "../../../src/cpu/float/x87.js";
import { x87LoadBcd, x87PartialRemainder, x87StoreBcd } from "../../../src/cpu/float/x87-scale.js";
import { x87Cosine, x87Sine } from "../../../src/cpu/float/x87-transcendental.js";

const view = new DataView(new ArrayBuffer(8));

function toBits(value: number): bigint {
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}

function fromBits(bits: bigint): number {
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}

function fromBits32(bits: bigint): number {
  view.setUint32(0, Number(bits));
  return view.getFloat32(0);
}

const anyDouble = fc.double();
const env = createSseEnvironment();

describe("binary64 in round-to-nearest", () => {
  it.each([
    ["add", sseAdd, (a: number, b: number) => a + b],
    ["subtract", sseSubtract, (a: number, b: number) => a - b],
    ["multiply", sseMultiply, (a: number, b: number) => a * b],
    ["divide", sseDivide, (a: number, b: number) => a / b],
  ] as const)("%s equals JavaScript", (_name, ours, theirs) => {
    fc.assert(
      fc.property(anyDouble, anyDouble, (a, b) => {
        expect(fromBits(ours(env, BINARY64, toBits(a), toBits(b)))).toBe(theirs(a, b));
      }),
      { numRuns: 1500 },
    );
  });

  it("square root equals JavaScript", () => {
    fc.assert(
      fc.property(anyDouble, (a) => {
        expect(fromBits(sseSqrt(env, BINARY64, toBits(a)))).toBe(Math.sqrt(a));
      }),
      { numRuns: 1500 },
    );
  });

  it("conversion to binary32 equals Math.fround, and is exact back", () => {
    fc.assert(
      fc.property(anyDouble, (a) => {
        const single = sseConvert(env, BINARY64, BINARY32, toBits(a));
        expect(fromBits32(single)).toBe(Math.fround(a));
        env.flags = 0;
        expect(fromBits(sseConvert(env, BINARY32, BINARY64, single))).toBe(Math.fround(a));
        expect(env.flags & (PE | OE | UE)).toBe(0);
      }),
      { numRuns: 1500 },
    );
  });

  it("truncation to an integer equals Math.trunc, or is the indefinite", () => {
    fc.assert(
      fc.property(fc.double({ min: -1e10, max: 1e10 }), (a) => {
        env.flags = 0;
        const value = sseToInteger(env, BINARY64, toBits(a), 32, true);
        const wanted = Math.trunc(a) + 0;
        const fits = wanted >= -(2 ** 31) && wanted < 2 ** 31;
        expect(value).toBe(fits ? BigInt(wanted) : -(2n ** 31n));
        expect(env.flags).toBe(fits ? (wanted === a ? 0 : PE) : IE);
      }),
    );
  });
});

describe("directed rounding", () => {
  it("brackets the exact sum: down and up differ by one unit exactly when it is inexact", () => {
    const directed = createSseEnvironment();
    fc.assert(
      fc.property(fc.double({ min: 1, max: 1e6 }), fc.double({ min: 1, max: 1e6 }), (a, b) => {
        directed.rounding = DOWN;
        directed.flags = 0;
        const low = sseAdd(directed, BINARY64, toBits(a), toBits(b));
        const inexact = (directed.flags & PE) !== 0;
        directed.rounding = UP;
        const high = sseAdd(directed, BINARY64, toBits(a), toBits(b));
        expect(high - low).toBe(inexact ? 1n : 0n);
      }),
    );
  });
});

describe("SSE control", () => {
  it("flushes and zeroes denormals as MXCSR says", () => {
    const sse = createSseEnvironment();
    setMxcsr(sse, 0x1f80 | 0x8000);
    expect(sseMultiply(sse, BINARY64, toBits(2 ** -1022), toBits(-0.5))).toBe(toBits(-0));
    expect(sse.flags).toBe(UE | PE);
    setMxcsr(sse, 0x1f80 | 0x40);
    sse.flags = 0;
    expect(sseAdd(sse, BINARY64, 1n, 1n)).toBe(0n);
    expect(sse.flags).toBe(0);
  });

  it("reports only pre-computation exceptions when one is unmasked", () => {
    const sse = createSseEnvironment();
    setMxcsr(sse, 0x1f80 & ~0x200);
    sseDivide(sse, BINARY64, toBits(1), toBits(0));
    sseDivide(sse, BINARY64, toBits(1), toBits(3));
    expect(sse.flags).toBe(ZE | PE);
    expect(finishSse(sse)).toBe(false);
    expect(sse.flags).toBe(ZE);
  });
});

const fpu = createX87Environment();

function load(value: number): bigint {
  return x87Load(fpu, BINARY64, toBits(value))!;
}

describe("x87", () => {
  it("loads and stores doubles exactly", () => {
    fc.assert(
      fc.property(anyDouble, (a) => {
        expect(fromBits(x87Store(fpu, BINARY64, load(a))!)).toBe(a);
      }),
    );
  });

  it("adds at 53 bits like a double where the exponent range doesn't matter", () => {
    const double = createX87Environment();
    setControlWord(double, 0x027f);
    fc.assert(
      fc.property(fc.double({ min: -1e100, max: 1e100 }), fc.double({ min: -1e100, max: 1e100 }), (a, b) => {
        expect(x87Add(double, load(a), load(b))).toBe(load(a + b));
      }),
    );
  });

  it("converts every 64-bit integer to and from the register format without loss", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        expect(x87ToInteger(fpu, x87FromInteger(fpu, value), 64, false)).toBe(value);
      }),
    );
  });

  it("stores and loads packed BCD", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 18n) + 1n, max: 10n ** 18n - 1n }), (value) => {
        const bcd = x87StoreBcd(fpu, x87FromInteger(fpu, value))!;
        expect((bcd & (2n ** 72n - 1n)).toString(16)).toBe((value < 0n ? -value : value).toString());
        expect(x87LoadBcd(bcd)).toBe(x87FromInteger(fpu, value));
      }),
    );
  });

  it("reduces by repeated FPREM as JavaScript's remainder does", () => {
    fc.assert(
      fc.property(
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.double({ min: 1e-300, max: 1e300 }),
        (a, b) => {
          let value = load(a);
          do value = x87PartialRemainder(fpu, value, load(b))!;
          while ((fpu.condition & C2) !== 0);
          expect(value).toBe(load(a % b));
        },
      ),
    );
  });

  it("leaves the operand alone for an unmasked invalid operation and scales an unmasked overflow", () => {
    const unmasked = createX87Environment();
    setControlWord(unmasked, 0x0300);
    expect(x87Multiply(unmasked, 0n, EXTENDED80.infinity)).toBe(null);
    expect(unmasked.flags).toBe(IE);
    unmasked.flags = 0;
    const huge = (0x7ffen << 64n) | (1n << 63n);
    expect(x87Multiply(unmasked, huge, huge)! >> 64n).toBe(BigInt(2 * 0x7ffe - 0x3fff - 24576));
    expect(unmasked.flags).toBe(OE);
  });

  it("keeps sin^2 + cos^2 at one and refuses arguments of 2^63", () => {
    fc.assert(
      fc.property(fc.double({ min: -1e15, max: 1e15, noNaN: true }), (a) => {
        const s = fromBits(x87Store(fpu, BINARY64, x87Sine(fpu, load(a))!)!);
        const c = fromBits(x87Store(fpu, BINARY64, x87Cosine(fpu, load(a))!)!);
        expect(s * s + c * c).toBeCloseTo(1, 14);
      }),
    );
    expect(x87Sine(fpu, load(2 ** 63))).toBe(null);
    expect(fpu.condition).toBe(C2);
  });
});

it("counts bits around powers of two", () => {
  for (let n = 1; n < 700; n++) {
    expect(bitLength(1n << BigInt(n))).toBe(n + 1);
    expect(bitLength((1n << BigInt(n)) - 1n)).toBe(n);
  }
});
