// Moves, integer operations, MMX state, AES, string comparison: known values (SDM volume 2 instruction pages, FIPS 197).
// Every form is held against real hardware by test/cpu/vectors.test.ts; here are the rules in readable form.

import { describe, expect, test } from "vitest";
import { ExitKind, Vector } from "../../../src/cpu/exit.js";
import * as S from "../../../src/cpu/state-layout.js";
import { CR4, DATA, SseMachine } from "./sse-machine.js";

const m = new SseMachine();
const { state } = m.cpu;
const A = "0f0e0d0c0b0a09080706050403020100";
const B = "8f80ff7f00017fff8000123400ff01fe";

describe("moves", () => {
  test("MOVAPS wants alignment, MOVUPS does not", () => {
    m.setData(A);
    m.setData(B, DATA + 16);
    m.complete("0f 28 0c 25 00 50 00 00"); // movaps xmm1, [DATA]
    expect(m.xmm(1)).toBe(A);
    expect(m.run("0f 28 0c 25 08 50 00 00")).toMatchObject({
      kind: ExitKind.Exception,
      vector: Vector.GP,
      errorCode: 0,
    });
    expect(m.run("0f 29 0c 25 01 50 00 00")).toMatchObject({
      kind: ExitKind.Exception,
      vector: Vector.GP,
      errorCode: 0,
    });
    m.complete("0f 10 0c 25 08 50 00 00"); // movups
    expect(m.xmm(1)).toBe(B.slice(16) + A.slice(0, 16));
    m.complete("0f 11 0c 25 f9 4f 00 00");
    expect(m.data(DATA - 7)).toBe(B.slice(16) + A.slice(0, 16));
  });

  test("MOVSS clears the rest when it loads and keeps it between registers", () => {
    m.setXmm(1, A);
    m.setXmm(2, B);
    m.complete("f3 0f 10 ca"); // movss xmm1, xmm2
    expect(m.xmm(1)).toBe(A.slice(0, 24) + B.slice(24));
    m.setData(B);
    m.complete("f3 0f 10 0c 25 00 50 00 00");
    expect(m.xmm(1)).toBe(B.slice(24).padStart(32, "0"));
  });

  test("MOVD, MOVQ zero-extend; MOVHPS and MOVLHPS keep the other half", () => {
    state.setGpr(S.Reg.RAX, 0x1122334455667788n);
    m.complete("66 0f 6e c8"); // movd xmm1, eax
    expect(m.xmm(1)).toBe("55667788".padStart(32, "0"));
    m.complete("66 48 0f 6e c8"); // movq xmm1, rax
    expect(m.xmm(1)).toBe("1122334455667788".padStart(32, "0"));
    m.setXmm(2, A);
    m.complete("0f 16 d1"); // movlhps xmm2, xmm1
    expect(m.xmm(2)).toBe(`1122334455667788${A.slice(16)}`);
    m.complete("66 48 0f 7e d3"); // movq rbx, xmm2
    expect(state.gpr(S.Reg.RBX)).toBe(BigInt(`0x${A.slice(16)}`));
  });

  test("MASKMOVDQU stores the chosen bytes", () => {
    m.setData("00".repeat(16));
    m.setXmm(1, A);
    m.setXmm(2, "80000000000000ff0000000000000080");
    state.setGpr(S.Reg.RDI, BigInt(DATA));
    m.complete("66 0f f7 ca");
    expect(m.data()).toBe("0f000000000000080000000000000000");
  });

  test("LDMXCSR refuses reserved bits", () => {
    m.memory.writeU32(DATA, 0x10000);
    expect(m.run("0f ae 14 25 00 50 00 00")).toMatchObject({ vector: Vector.GP, errorCode: 0 });
    m.memory.writeU32(DATA, 0x9fc0);
    m.complete("0f ae 14 25 00 50 00 00");
    m.complete("0f ae 1c 25 04 50 00 00");
    expect(m.memory.readU32(DATA + 4)).toBe(0x9fc0);
    m.mxcsr = 0x1f80;
  });
});

describe("integer operations on XMM registers", () => {
  const ones = "01".repeat(16);
  const wordOnes = "0001".repeat(8);
  test.each([
    ["PADDB", "66 0f fc ca", "ff".repeat(16), ones, "00".repeat(16)],
    ["PADDUSB", "66 0f dc ca", "ff".repeat(16), ones, "ff".repeat(16)],
    ["PSUBUSW", "66 0f d9 ca", "0000".repeat(8), wordOnes, "0000".repeat(8)],
    ["PCMPGTB", "66 0f 64 ca", "80017f00".repeat(4), "7f00ff00".repeat(4), "00ffff00".repeat(4)],
    ["PMULHW", "66 0f e5 ca", "8000".repeat(8), wordOnes, "ffff".repeat(8)],
    ["PMULHUW", "66 0f e4 ca", "8000".repeat(8), wordOnes, "0000".repeat(8)],
    ["PSADBW", "66 0f f6 ca", "11".repeat(16), wordOnes, "00000000000000840000000000000084"],
    ["PMADDWD", "66 0f f5 ca", "8000".repeat(8), "8000".repeat(8), "80000000".repeat(4)],
    ["PANDN", "66 0f df ca", "f0".repeat(16), ones, ones],
    ["PMULHRSW", "66 0f 38 0b ca", "80004000".repeat(4), "80000002".repeat(4), "80000001".repeat(4)],
    [
      "PSIGNW",
      "66 0f 38 09 ca",
      "0005800000030007".repeat(2),
      "ffffffff00000001".repeat(2),
      "fffb800000000007".repeat(2),
    ],
  ])("%s", (_name, code, a, b, expected) => {
    m.setXmm(1, a);
    m.setXmm(2, b);
    m.complete(code);
    expect(m.xmm(1)).toBe(expected);
  });

  test("PSHUFD, PSHUFLW, SHUFPS, PALIGNR, PSHUFB", () => {
    m.setXmm(1, A);
    m.setXmm(2, B);
    m.complete("66 0f 70 d9 1b"); // pshufd xmm3, xmm1, 0x1b: reversed dwords
    expect(m.xmm(3)).toBe("03020100070605040b0a09080f0e0d0c");
    m.complete("f2 0f 70 d9 1b"); // pshuflw
    expect(m.xmm(3)).toBe(`${A.slice(0, 16)}0100030205040706`);
    m.setXmm(3, A);
    m.complete("0f c6 da e4"); // shufps xmm3, xmm2, 0xe4: halves
    expect(m.xmm(3)).toBe(B.slice(0, 16) + A.slice(16));
    m.setXmm(3, A);
    m.complete("66 0f 3a 0f da 05"); // palignr xmm3, xmm2, 5
    expect(m.xmm(3)).toBe((A + B).slice(22, 54));
    m.setXmm(3, A);
    m.setXmm(4, "80000102030405060708090a0b0c8d1f");
    m.complete("66 0f 38 00 dc");
    expect(m.xmm(3)).toBe("00000102030405060708090a0b0c000f");
  });

  test("shift counts beyond the lane", () => {
    m.setXmm(1, "8000".repeat(8));
    m.complete("66 0f 71 e1 ff"); // psraw xmm1, 255
    expect(m.xmm(1)).toBe("f".repeat(32));
    m.setXmm(2, "00000000000000000000000100000000");
    m.complete("66 0f f1 ca"); // psllw xmm1, xmm2: count 2^32
    expect(m.xmm(1)).toBe("0".repeat(32));
    m.setXmm(1, A);
    m.complete("66 0f 73 d9 03"); // psrldq xmm1, 3
    expect(m.xmm(1)).toBe(`000000${A.slice(0, 26)}`);
    m.complete("66 0f 73 f9 10"); // pslldq xmm1, 16
    expect(m.xmm(1)).toBe("0".repeat(32));
  });

  test("PMOVMSKB, PEXTRW, PINSRW, PTEST, PHMINPOSUW", () => {
    m.setXmm(2, B);
    m.complete("66 0f d7 c2"); // pmovmskb eax, xmm2
    expect(state.gpr(S.Reg.RAX)).toBe(0b1110_0001_1000_0101n);
    m.complete("66 0f c5 c2 0b"); // pextrw eax, xmm2, 11 (= 3)
    expect(state.gpr(S.Reg.RAX)).toBe(0x8000n);
    m.complete("66 0f c4 d0 07"); // pinsrw xmm2, eax, 7
    expect(m.xmm(2)).toBe(`8000${B.slice(4)}`);
    m.complete("66 0f 38 41 ca"); // phminposuw xmm1, xmm2
    expect(m.xmm(1)).toBe("00050001".padStart(32, "0"));
    m.setXmm(1, "0".repeat(32));
    m.complete("66 0f 38 17 ca"); // ptest xmm1, xmm2
    expect(state.statusFlags).toBe(S.ZF);
  });
});

describe("MMX", () => {
  test("state: TOP, tags, exponents; EMMS", () => {
    state.setU32(S.FTOP, 5);
    state.setU32(S.FTW, 0);
    m.setMm(3, "0102030405060708");
    m.setMm(4, "ff00000000000001");
    m.complete("0f fc dc"); // paddb mm3, mm4
    expect(m.mm(3)).toBe("0002030405060709");
    expect([state.u32(S.FTOP), state.u32(S.FTW), state.u32(S.FPR + 16 * 3 + 8)]).toEqual([0, 0xff, 0xffff]);
    m.complete("0f 77");
    expect(state.u32(S.FTW)).toBe(0);
  });

  test("a pending x87 exception comes first", () => {
    state.setU32(S.FSW, 0x81);
    expect(m.run("0f fc dc")).toMatchObject({ vector: Vector.MF, hasErrorCode: false });
    state.setU32(S.FSW, 0);
  });

  test("packs and unpacks use the low or high halves", () => {
    m.setMm(1, "00010080ff7f8000");
    m.setMm(2, "0002000300040005");
    m.complete("0f 63 ca"); // packsswb mm1, mm2
    expect(m.mm(1)).toBe("02030405017f8080");
    m.setMm(1, "0706050403020100");
    m.complete("0f 68 ca"); // punpckhbw mm1, mm2
    expect(m.mm(1)).toBe("0007020600050304");
  });
});

describe("availability", () => {
  test("CR0.TS gives #NM, CR0.EM or no CR4.OSFXSR #UD; fences and CRC32 always run", () => {
    const paddb = "66 0f fc ca";
    const emms = "0f 77";
    m.setControl(8n, CR4);
    expect(m.run(paddb).vector).toBe(Vector.NM);
    expect(m.run(emms).vector).toBe(Vector.NM);
    m.complete("0f ae e8 f2 0f 38 f0 c3"); // lfence; crc32 eax, bl
    m.setControl(4n, CR4);
    expect(m.run(paddb).vector).toBe(Vector.UD);
    expect(m.run(emms).vector).toBe(Vector.UD);
    m.setControl(0n, 0n);
    expect(m.run(paddb).vector).toBe(Vector.UD);
    m.complete(emms);
    m.setControl(0n, CR4);
    m.complete(paddb);
  });
});

describe("AES, PCLMULQDQ, string comparison", () => {
  /** FIPS 197 writes byte 0 first. */
  const reversed = (hex: string) => (hex.match(/../g) ?? []).reverse().join("");

  test("first round of FIPS 197 appendix B", () => {
    m.setXmm(1, reversed("193de3bea0f4e22b9ac68d2ae9f84808"));
    m.setXmm(2, reversed("a0fafe1788542cb123a339392a6c7605"));
    m.complete("66 0f 38 dc ca"); // aesenc xmm1, xmm2
    expect(m.xmm(1)).toBe(reversed("a49c7ff2689f352b6b5bea43026a5049"));
  });

  test("last round of FIPS 197 appendix B, and back", () => {
    m.setXmm(1, reversed("eb40f21e592e38848ba113e71bc342d2"));
    m.setXmm(2, reversed("d014f9a8c9ee2589e13f0cc8b6630ca6"));
    m.complete("66 0f 38 dd ca"); // aesenclast
    expect(m.xmm(1)).toBe(reversed("3925841d02dc09fbdc118597196a0b32"));
    m.complete("66 0f ef ca"); // pxor
    m.setXmm(3, "0".repeat(32));
    m.complete("66 0f 38 df cb"); // aesdeclast with a zero key
    expect(m.xmm(1)).toBe(reversed("eb40f21e592e38848ba113e71bc342d2"));
  });

  test("AESDEC undoes AESENC given the mixed round key", () => {
    m.setXmm(1, A);
    m.setXmm(3, "0".repeat(32));
    m.complete("66 0f 38 dc cb"); // aesenc with a zero key
    m.complete("66 0f 38 db c9"); // aesimc undoes MixColumns
    m.complete("66 0f 38 df cb"); // aesdeclast
    expect(m.xmm(1)).toBe(A);
  });

  test("AESKEYGENASSIST gives FIPS 197 appendix A's first step", () => {
    m.setXmm(2, reversed("2b7e151628aed2a6abf7158809cf4f3c"));
    m.complete("66 0f 3a df ca 01");
    expect(m.xmm(1).slice(0, 8)).toBe(reversed("8b84eb01"));
  });

  test("PCLMULQDQ", () => {
    m.setXmm(1, "00000000000000037b5b546573745665");
    m.setXmm(2, "000000000000000548692853756e2040");
    m.complete("66 0f 3a 44 ca 11"); // (x + 1)(x^2 + 1)
    expect(m.xmm(1)).toBe("f".padStart(32, "0"));
  });

  test("PCMPISTRI finds a character of a set, and the end", () => {
    const text = (s: string) => reversed(Buffer.from(s.padEnd(16, "\0")).toString("hex"));
    m.setXmm(1, text("lo"));
    m.setXmm(2, text("hello"));
    m.complete("66 0f 3a 63 ca 00");
    expect(state.gpr(S.Reg.RCX)).toBe(2n);
    expect(state.statusFlags).toBe(S.CF | S.ZF | S.SF);
    m.setXmm(1, text("xyz"));
    m.complete("66 0f 3a 63 ca 00");
    expect(state.gpr(S.Reg.RCX)).toBe(16n);
    expect(state.statusFlags).toBe(S.ZF | S.SF);
    m.setXmm(1, text("ll"));
    m.complete("66 0f 3a 62 ca 0c"); // pcmpistrm, equal ordered
    expect(m.xmm(0)).toBe("4".padStart(32, "0"));
  });
});
