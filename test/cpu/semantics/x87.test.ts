// x87 instructions as programs see them: values, stack faults, pending exceptions, environments, aliases. Expected values are
// from IEEE 754 and the SDM; every form is held against a processor in test/slow/hardware-vectors.test.ts.

import { describe, expect, test } from "vitest";
import { ExitKind, Vector } from "../../../src/cpu/exit.js";
import * as S from "../../../src/cpu/state-layout.js";
import { CODE, Machine } from "./x87-machine.js";

const DATA = 0x5000;
const m = new Machine();
const { state } = m;
const view = new DataView(m.memory.u8.buffer, m.memory.u8.byteOffset);

/** Code with DATA in RBX, after FNINIT. */
function run(hex: string, control = 0x37f) {
  m.write(
    DATA + 0x400,
    `${(control & 255).toString(16).padStart(2, "0")} ${(control >> 8).toString(16).padStart(2, "0")}`,
  );
  return m.run(`bb 00 50 00 00 db e3 d9 ab 00 04 00 00 ${hex}`);
}
const START = CODE + 13;
const halts = { kind: ExitKind.Halt };
const raises = (vector: number) => ({ kind: ExitKind.Exception, vector });
const double = (at: number) => view.getFloat64(DATA + at, true);
const setDouble = (at: number, value: number) => view.setFloat64(DATA + at, value, true);
const status = () => state.u32(S.FSW) | (state.u32(S.FTOP) << 11);
/** ST(i) as sign and exponent, then significand, in hex. */
function st(i: number): string {
  const at = S.FPR + 16 * ((state.u32(S.FTOP) + i) & 7);
  return `${state
    .u32(at + 8)
    .toString(16)
    .padStart(4, "0")}:${state.u64(at).toString(16).padStart(16, "0")}`;
}
const INDEFINITE = "ffff:c000000000000000";

describe("loads and stores", () => {
  const values = [1.5, -2, 0, -0, 1e300, -1e-300, 5e-324, Number.POSITIVE_INFINITY, 2.375e-7];
  test.each(values)("FLD m64 then FSTP m64 of %s", (value) => {
    setDouble(0, value);
    expect(run("dd 03 dd 5b 08")).toMatchObject(halts);
    expect(double(8)).toBe(value);
    expect(state.u32(S.FTW)).toBe(0);
  });

  test.each([1.5, -0, 2 ** -126, 2 ** -149, 3e38, Number.NEGATIVE_INFINITY])("FLD m32 then FST m32 of %s", (value) => {
    view.setFloat32(DATA, value, true);
    expect(run("d9 03 d9 53 08")).toMatchObject(halts);
    expect(view.getFloat32(DATA + 8, true)).toBe(Math.fround(value));
    expect(state.u32(S.FTW)).toBe(0x80);
  });

  test("FST m32 rounds and reports precision, underflow and overflow", () => {
    setDouble(0, 1 / 3);
    run("dd 03 d9 5b 08");
    expect(view.getFloat32(DATA + 8, true)).toBe(Math.fround(1 / 3));
    expect(status()).toBe(0x220);
    setDouble(0, 1e-60);
    run("dd 03 d9 5b 08");
    expect([view.getFloat32(DATA + 8, true), status() & 0x3f]).toEqual([0, 0x30]);
    setDouble(0, 1e60);
    run("dd 03 d9 5b 08");
    expect([view.getFloat32(DATA + 8, true), status() & 0x3f]).toEqual([Number.POSITIVE_INFINITY, 0x28]);
  });

  test("FILD and FISTP of all sizes", () => {
    for (const value of [0n, 1n, -1n, 12345n, -32768n, 0x7fffn]) {
      view.setInt16(DATA, Number(value), true);
      run("df 03 df 5b 08 df 03 db 5b 10 df 03 df 7b 18");
      const got = [view.getInt16(DATA + 8, true), view.getInt32(DATA + 16, true), view.getBigInt64(DATA + 24, true)];
      expect(got).toEqual([Number(value), Number(value), value]);
    }
    for (const value of [-(1n << 63n), (1n << 63n) - 1n, -1n, 0x123456789abcdefn]) {
      view.setBigInt64(DATA, value, true);
      run("df 2b df 7b 08");
      expect(view.getBigInt64(DATA + 8, true)).toBe(value);
    }
  });

  test("FIST rounds, FISTTP truncates, out of range is the integer indefinite", () => {
    setDouble(0, -2.5);
    run("dd 03 db 53 08 db 4b 0c");
    expect([view.getInt32(DATA + 8, true), view.getInt32(DATA + 12, true)]).toEqual([-2, -2]);
    setDouble(0, 2.75);
    run("dd 03 db 53 08 db 4b 0c");
    expect([view.getInt32(DATA + 8, true), view.getInt32(DATA + 12, true)]).toEqual([3, 2]);
    setDouble(0, 1e10);
    run("dd 03 db 5b 08");
    expect([view.getInt32(DATA + 8, true), status()]).toEqual([-0x80000000, 1]);
  });

  test("FLD m80 and FSTP m80 copy any pattern", () => {
    m.write(DATA, "01 02 03 04 05 06 07 08 ff 7f");
    run("db 2b db 7b 10");
    expect(m.bytes(DATA + 16, 10)).toEqual(m.bytes(DATA, 10));
    expect(status()).toBe(0);
  });

  test("FBLD and FBSTP", () => {
    m.write(DATA, "89 67 45 23 01 00 00 00 00 80");
    run("df 23 d9 c0 df 73 10 dd 5b 20");
    expect(double(0x20)).toBe(-123456789);
    expect(m.bytes(DATA + 16, 10)).toEqual(m.bytes(DATA, 10));
  });

  test("constants follow the rounding mode", () => {
    run("d9 eb d9 e8 d9 ee");
    expect([st(0), st(1), st(2)]).toEqual(["0000:0000000000000000", "3fff:8000000000000000", "4000:c90fdaa22168c235"]);
    run("d9 eb", 0xf7f);
    expect(st(0)).toBe("4000:c90fdaa22168c234");
  });

  test("a page of nothing: FSTP faults and leaves the stack alone", () => {
    m.state.setU64(S.CR3, 0n);
    run("d9 e8 dd 1b");
    const before = status();
    // Address beyond the canonical range.
    expect(m.run("48 b8 00 00 00 00 00 00 00 80 dd 18")).toMatchObject(raises(Vector.GP));
    expect(status()).toBe(before);
    expect(run("d9 e8 48 b8 00 00 00 00 00 00 00 80 db 38")).toMatchObject(raises(Vector.GP));
    expect([st(0), state.u32(S.FTW)]).toEqual(["3fff:8000000000000000", 0x80]);
  });
});

describe("arithmetic", () => {
  const binary: [name: string, code: string, result: number][] = [
    ["FADD m64", "dc 43 08", 10],
    ["FSUB m64", "dc 63 08", 6],
    ["FSUBR m64", "dc 6b 08", -6],
    ["FMUL m64", "dc 4b 08", 16],
    ["FDIV m64", "dc 73 08", 4],
    ["FDIVR m64", "dc 7b 08", 0.25],
    ["FIADD m16", "de 43 10", 11],
    ["FISUBR m32", "da 6b 10", -5],
    ["FADD ST0, ST1", "dd 43 08 d9 c9 d8 c1", 10],
    ["FSUB ST1, ST0 then FXCH", "dd 43 08 dc e9 d9 c9", 6],
    ["FSUBP", "dd 43 08 de e9", 6],
    ["FSUBRP", "dd 43 08 de e1", -6],
    ["FDIVP", "dd 43 08 de f9", 4],
    ["FDIVRP", "dd 43 08 de f1", 0.25],
  ];
  test.each(binary)("%s", (_name, code, result) => {
    setDouble(0, 8);
    setDouble(8, 2);
    view.setInt32(DATA + 16, 3, true);
    expect(run(`dd 03 ${code} dd 5b 20`)).toMatchObject(halts);
    expect(double(0x20)).toBe(result);
  });

  test("precision control rounds to 53 and 24 bits", () => {
    const third = (control: number) => {
      run("d9 e8 d9 e8 d9 e8 de c1 d9 e8 de c1 de f9", control);
      return st(0);
    };
    expect(third(0x37f)).toBe("3ffd:aaaaaaaaaaaaaaab");
    expect(third(0x27f)).toBe("3ffd:aaaaaaaaaaaaa800");
    expect(third(0x07f)).toBe("3ffd:aaaaab0000000000");
  });

  test("FSQRT, FRNDINT, FSCALE, FXTRACT, FPREM, FCHS, FABS", () => {
    setDouble(0, 2);
    run("dd 03 d9 fa dd 5b 08");
    expect(double(8)).toBe(Math.SQRT2);
    setDouble(0, 3.5);
    run("dd 03 d9 fc dd 5b 08");
    expect(double(8)).toBe(4);
    setDouble(8, 20.9);
    run("dd 43 08 dd 03 d9 fd dd 5b 10");
    expect(double(16)).toBe(3.5 * 2 ** 20);
    run("dd 03 d9 f4 dd 5b 10 dd 5b 18");
    expect([double(16), double(24)]).toEqual([1.75, 1]);
    // Quotient 5 = 101: C0 set, C3 clear; C1 is gone after FSTP.
    run("dd 03 dd 43 08 d9 f8 dd 5b 10");
    expect([double(16), status() & 0x4700]).toEqual([20.9 % 3.5, 0x100]);
    run("dd 03 d9 e0 dd 53 10 d9 e1 dd 5b 18");
    expect([double(16), double(24)]).toEqual([-3.5, 3.5]);
  });

  test("transcendental functions", () => {
    const close = (code: string, expected: number) => {
      run(`${code} dd 5b 20`);
      expect(Math.abs(double(0x20) - expected)).toBeLessThanOrEqual(Math.abs(expected) * 2 ** -52);
    };
    setDouble(0, 0.75);
    setDouble(8, 3);
    close("dd 03 d9 fe", Math.sin(0.75));
    close("dd 03 d9 ff", Math.cos(0.75));
    close("dd 03 d9 fb dd d8", Math.sin(0.75));
    close("dd 03 d9 f2 dd d8", Math.tan(0.75));
    close("dd 43 08 dd 03 d9 f3", Math.atan2(3, 0.75));
    close("dd 03 d9 f0", 2 ** 0.75 - 1);
    close("dd 43 08 dd 03 d9 f1", 3 * Math.log2(0.75));
    setDouble(0, 0.25);
    close("dd 43 08 dd 03 d9 f9", 3 * Math.log2(1.25));
  });

  test("FSIN of 2^63 and beyond sets C2 and leaves the value", () => {
    setDouble(0, 2 ** 64);
    run("dd 03 d9 fe dd 5b 08");
    expect([double(8), status() & 0x400]).toEqual([2 ** 64, 0x400]);
  });
});

describe("comparisons", () => {
  const cases: [a: number, b: number, codes: number, flags: number][] = [
    [2, 1, 0, 0],
    [1, 2, 0x100, S.CF],
    [1, 1, 0x4000, S.ZF],
    [Number.NaN, 1, 0x4500, S.ZF | S.PF | S.CF],
  ];
  test.each(cases)("%s with %s", (a, b, codes, flags) => {
    setDouble(0, a);
    setDouble(8, b);
    const invalid = Number.isNaN(a) ? 1 : 0;
    run("dd 03 dc 53 08");
    expect([status() & 0x4700, status() & 1]).toEqual([codes, invalid]);
    run("dd 43 08 dd 03 d8 d9");
    expect([status() & 0x4700, state.u32(S.FTW)]).toEqual([codes, 0x80]);
    run("dd 43 08 dd 03 da e9");
    expect([status() & 0x4700, status() & 1, state.u32(S.FTW)]).toEqual([codes, 0, 0]);
    run("dd 43 08 dd 03 db f1");
    expect([state.statusFlags, status() & 1]).toEqual([flags, invalid]);
    run("dd 43 08 dd 03 df e9");
    expect([state.statusFlags, status() & 1, state.u32(S.FTW)]).toEqual([flags, 0, 0x80]);
  });

  test("FTST, FICOM and FXAM", () => {
    setDouble(0, -4);
    run("dd 03 d9 e4");
    expect(status() & 0x4700).toBe(0x100);
    view.setInt16(DATA + 8, -4, true);
    run("dd 03 de 53 08");
    expect(status() & 0x4700).toBe(0x4000);
    run("dd 03 d9 e5");
    expect(status() & 0x4700).toBe(0x600);
    run("d9 e5");
    expect(status() & 0x4500).toBe(0x4100);
  });

  test("FCMOVcc", () => {
    // xor eax, eax sets ZF.
    run("d9 e8 d9 ee 31 c0 da c9");
    expect(st(0)).toBe("3fff:8000000000000000");
    run("d9 e8 d9 ee 31 c0 db c9");
    expect(st(0)).toBe("0000:0000000000000000");
  });
});

describe("the stack", () => {
  test("overflow: C1 set, the indefinite is pushed over ST(7)", () => {
    run("d9 e8 ".repeat(9));
    expect([status(), st(0), state.u32(S.FTW)]).toEqual([0x3a41, INDEFINITE, 0xff]);
  });
  test("underflow: C1 clear, the result is the indefinite", () => {
    run("d8 c1");
    expect([status(), st(0)]).toEqual([0x41, INDEFINITE]);
    run("dd 1b");
    expect([status(), view.getBigUint64(DATA, true)]).toEqual([0x841, 0xfff8000000000000n]);
    run("d9 e8 d9 c9");
    expect([status() & 0x7fff, st(0), st(1)]).toEqual([0x3841, INDEFINITE, "3fff:8000000000000000"]);
  });
  test("unmasked stack faults change nothing but the status word", () => {
    expect(run("d9 e8 d8 c1 db e2", 0x37e)).toMatchObject(halts);
    expect([st(0), state.u32(S.FTW)]).toEqual(["3fff:8000000000000000", 0x80]);
  });
  test("FINCSTP, FDECSTP, FFREE, FFREEP", () => {
    run("d9 e8 d9 ee d9 f7");
    expect([state.u32(S.FTOP), state.u32(S.FTW)]).toEqual([7, 0xc0]);
    run("d9 f6");
    expect(state.u32(S.FTOP)).toBe(7);
    run("d9 e8 d9 ee dd c1");
    expect([state.u32(S.FTOP), state.u32(S.FTW)]).toEqual([6, 0x40]);
    run("d9 e8 d9 ee df c1");
    expect([state.u32(S.FTOP), state.u32(S.FTW)]).toEqual([7, 0]);
  });
  test("undocumented aliases", () => {
    run("d9 e8 d9 ee dd c9 df c9 dc d1");
    expect(status() & 0x4700).toBe(0x100);
    run("d9 e8 d9 ee df d1");
    expect([st(0), state.u32(S.FTW)]).toEqual(["0000:0000000000000000", 0x80]);
    // FSTP without a stack fault: ST(0) is empty, ST(1) stays.
    run("d9 e8 d9 f6 d9 d9");
    expect([status(), st(0)]).toEqual([0x3800, "3fff:8000000000000000"]);
  });
});

describe("pending exceptions", () => {
  test("division by zero unmasked: operands stay, #MF at the next waiting instruction", () => {
    // fld1; fldz; fdivp; fnstsw ax; fld1
    expect(run("d9 e8 d9 ee de f9 df e0 d9 e8", 0x37b)).toMatchObject(raises(Vector.MF));
    expect(state.rip).toBe(BigInt(START + 8));
    expect(state.gpr(S.Reg.RAX) & 0xffffn).toBe(0xb084n);
    expect([st(0), st(1)]).toEqual(["0000:0000000000000000", "3fff:8000000000000000"]);
    expect([state.u64(S.FIP), state.u32(S.FOP)]).toEqual([BigInt(START + 4), 0x6f9]);
  });

  test("an unmasked inexact result is stored and popped all the same", () => {
    setDouble(0, 1 / 3);
    expect(run("dd 03 d9 5b 08 9b", 0x35f)).toMatchObject(raises(Vector.MF));
    expect(view.getFloat32(DATA + 8, true)).toBe(Math.fround(1 / 3));
    expect(state.u32(S.FTW)).toBe(0);
    expect(state.u64(S.FDP)).toBe(BigInt(DATA + 8));
  });

  test("unmasked overflow of a store writes nothing", () => {
    setDouble(0, 1e60);
    view.setUint32(DATA + 8, 0x12345678, true);
    expect(run("dd 03 d9 5b 08 9b", 0x377)).toMatchObject(raises(Vector.MF));
    expect([view.getUint32(DATA + 8, true), state.u32(S.FTW)]).toEqual([0x12345678, 0x80]);
  });

  test("#NM comes first when CR0.TS is set", () => {
    m.setCr0(0x39n);
    expect(m.run("d9 e8")).toMatchObject(raises(Vector.NM));
    m.setCr0(0x31n);
  });
});

describe("environments", () => {
  test("FNSTENV stores 28 bytes and masks everything; FLDENV brings them back", () => {
    expect(run("d9 ee d9 e8 dd 43 10 d9 33 d9 7b 20", 0x360)).toMatchObject(halts);
    const fields = [0, 4, 8, 12, 16, 20, 24].map((at) => view.getUint32(DATA + at, true));
    // Empty registers are 11, ST(1) = 1.0 valid, ST(2) = 0 zero; ST(0) is a zero or number from memory.
    expect(fields.slice(0, 2)).toEqual([0xffff0360, 0xffff2800]);
    expect(fields[2]! >>> 12).toBe(0xffff4);
    expect([fields[3], fields[5], fields[6]]).toEqual([START + 4, DATA + 16, 0xffff0000]);
    expect(m.u16(DATA + 0x20)).toBe(0x37f);
    expect(run("d9 23")).toMatchObject(halts);
    expect([state.u32(S.FCW), status(), state.u32(S.FTW)]).toEqual([0x360, 0x2800, 0xe0]);
    expect([state.u64(S.FIP), state.u64(S.FDP)]).toEqual([BigInt(START + 4), BigInt(DATA + 16)]);
  });

  test("FNSAVE and FRSTOR in the 16-bit layout", () => {
    expect(run("d9 ee d9 e8 66 dd 33 d9 7b 70 dd 7b 72")).toMatchObject(halts);
    expect([0, 2, 4].map((at) => m.u16(DATA + at))).toEqual([0x37f, 0x3000, 0x4fff]);
    expect(Buffer.from(m.bytes(DATA + 14, 20)).toString("hex")).toBe("0000000000000080ff3f00000000000000000000");
    expect([m.u16(DATA + 0x70), m.u16(DATA + 0x72), state.u32(S.FTW)]).toEqual([0x37f, 0, 0]);
    expect(run("66 dd 23")).toMatchObject(halts);
    expect([status(), st(0), st(1), state.u32(S.FTW)]).toEqual([
      0x3000,
      "3fff:8000000000000000",
      "0000:0000000000000000",
      0xc0,
    ]);
  });

  test("an unmasked flag in a loaded environment is pending", () => {
    m.memory.u8.fill(0, DATA, DATA + 28);
    view.setUint16(DATA, 0x37e, true);
    view.setUint16(DATA + 4, 1, true);
    expect(run("d9 23 d9 e8")).toMatchObject(raises(Vector.MF));
    expect(status()).toBe(0x8081);
  });

  test("real mode has linear pointers, and the 16-bit layout is the default", () => {
    const flat = { selector: 0, base: 0n, limit: 0xffff, attributes: 0x93 };
    for (const segment of [S.Seg.CS, S.Seg.SS, S.Seg.DS]) state.setSegment(segment, flat);
    m.setCr0(0x10n);
    state.codeMode = 0;
    state.setU32(S.CPL, 0);
    m.memory.u8.fill(0xee, DATA, DATA + 32);
    try {
      // fninit; fld1; mov bx, 5000h; fnstenv [bx]; fldenv [bx]
      expect(m.run("db e3 d9 e8 bb 00 50 d9 37 d9 27")).toMatchObject(halts);
    } finally {
      state.codeMode = 2;
      m.setCr0(0x31n);
    }
    expect([0, 2, 4, 6, 8, 10, 12, 14].map((at) => m.u16(DATA + at))).toEqual([
      0x37f,
      0x3800,
      0x3fff,
      CODE + 2,
      0,
      0,
      0,
      0xeeee,
    ]);
    expect([state.u64(S.FIP), state.u32(S.FTW)]).toEqual([BigInt(CODE + 2), 0x80]);
  });
});
