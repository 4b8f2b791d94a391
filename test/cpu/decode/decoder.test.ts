import { describe, expect, test } from "vitest";
import type { Decoded } from "../../../src/cpu/decode/decoded.js";
import { CodeMode, DecodeResult } from "../../../src/cpu/decode/decoded.js";
import { Decoder } from "../../../src/cpu/decode/decoder.js";
import { formatDecoded } from "../../../src/cpu/decode/format.js";
import { DEFAULT_FEATURES } from "../../../src/cpu/features.js";

const decoder = new Decoder({ features: DEFAULT_FEATURES });

function decode(hex: string, mode: CodeMode = CodeMode.Bits64): { result: DecodeResult; decoded: Decoded } {
  const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
  const decoded = decoder.newDecoded();
  return { result: decoder.decode(bytes, 0, bytes.length, mode, decoded), decoded };
}

function text(hex: string, mode: CodeMode = CodeMode.Bits64): string {
  const { result, decoded } = decode(hex, mode);
  return result === DecodeResult.Ok ? formatDecoded(decoded) : `result ${result}`;
}

describe("disassembly", () => {
  test.each([
    ["48 01 d8", "add rax, rbx"],
    ["66 83 c0 ff", "add ax, 0xffff"],
    ["48 83 c0 ff", "add rax, 0xffffffffffffffff"],
    ["40 88 e0", "mov al, spl"],
    ["88 e0", "mov al, ah"],
    ["f0 48 0f b1 4d 08", "lock cmpxchg qword ptr [rbp+0x8], rcx"],
    ["65 48 8b 04 25 10 00 00 00", "mov rax, qword ptr gs:[0x10]"],
    ["48 8b 05 f0 ff ff ff", "mov rax, qword ptr [rip-0x10]"],
    ["48 b8 88 77 66 55 44 33 22 11", "mov rax, 0x1122334455667788"],
    ["48 a1 88 77 66 55 44 33 22 11", "mov rax, qword ptr [0x1122334455667788]"],
    ["f3 48 ab", "rep stosq"],
    ["e8 fb ff ff ff", "call $+0x0"],
    ["c4 e2 f0 f2 c3", "andn rax, rcx, rbx"],
    ["c8 10 00 01", "enter 0x10, 0x1"],
    ["f3 90", "pause"],
    ["49 90", "xchg r8, rax"],
    ["f3 0f bc c1", "tzcnt eax, ecx"],
    ["66 0f 6e c8", "movd xmm1, eax"],
    ["66 48 0f 6e c8", "movq xmm1, rax"],
    ["d8 c3", "fadd st(0), st(3)"],
    ["0f 22 d8", "mov cr3, rax"],
  ])("%s is %s", (hex, expected) => {
    expect(text(hex)).toBe(expected);
  });

  test("the same bytes in other modes", () => {
    expect(text("8b 07", CodeMode.Bits16)).toBe("mov ax, word ptr [bx]");
    expect(text("67 66 8b 07", CodeMode.Bits16)).toBe("mov eax, dword ptr [edi]");
    expect(text("63 c1", CodeMode.Bits32)).toBe("arpl cx, ax");
    expect(text("48", CodeMode.Bits32)).toBe("dec eax");
    expect(text("c4 01", CodeMode.Bits32)).toBe("les eax, [ecx]");
    expect(text("ea 78 56 34 12 10 00", CodeMode.Bits32)).toBe("jmp 0x10:0x12345678");
  });
});

describe("results", () => {
  test("LOCK needs a memory destination", () => {
    expect(decode("f0 01 d8").result).toBe(DecodeResult.Invalid);
    expect(decode("f0 03 07").result).toBe(DecodeResult.Invalid);
    expect(decode("f0 01 07").result).toBe(DecodeResult.Ok);
  });

  test("fifteen bytes are the limit", () => {
    expect(decode(`${"66".repeat(14)}90`).result).toBe(DecodeResult.Ok);
    expect(decode(`${"66".repeat(15)}90`).result).toBe(DecodeResult.TooLong);
    expect(decode(`${"66".repeat(12)}05 01 02 03 04`).decoded.length).toBe(15);
    expect(decode(`${"2e".repeat(12)}05 01 02 03 04`).result).toBe(DecodeResult.TooLong);
  });

  test("every cut of an instruction needs more bytes", () => {
    const hex = "f048818c8801000000efbeadde";
    expect(decode(hex).result).toBe(DecodeResult.Ok);
    for (let cut = 0; cut < hex.length; cut += 2) expect(decode(hex.slice(0, cut)).result).toBe(DecodeResult.NeedMore);
  });

  test("instructions of features that are off are invalid", () => {
    const plain = new Decoder({ features: new Set() });
    const bytes = Buffer.from("f30fb8c1", "hex");
    expect(plain.decode(bytes, 0, 4, CodeMode.Bits64, plain.newDecoded())).toBe(DecodeResult.Invalid);
    expect(decode("f3 0f b8 c1").result).toBe(DecodeResult.Ok);
  });

  test("REX counts only before the opcode, ES CS SS DS overrides not at all in 64-bit mode", () => {
    expect(text("48 66 01 d8")).toBe("add ax, bx");
    expect(decode("64 2e 8b 07").decoded.segment).toBe(4);
    expect(decode("36 8b 07").decoded.segmentOverridden).toBe(false);
  });
});

test("values of immediates", () => {
  expect(decode("d1 e0").decoded.immLo).toBe(1);
  expect(decode("6a ff").decoded).toMatchObject({ immLo: -1, immHi: -1 });
  expect(decode("b8 ff ff ff ff").decoded).toMatchObject({ immLo: -1, immHi: 0 });
  expect(decode("48 c7 c0 fe ff ff ff").decoded).toMatchObject({ immLo: -2, immHi: -1 });
  expect(decode("66 6b c0 80").decoded).toMatchObject({ immLo: 0xff80, immHi: 0 });
  expect(decode("c1 e0 ff").decoded).toMatchObject({ immLo: 0xff, immHi: 0 });
  expect(decode("e8 fb ff ff ff").decoded).toMatchObject({ immLo: -5, immHi: -1 });
});

test("form ids are dense", () => {
  decoder.forms.forEach((form, at) => {
    expect(form.id).toBe(at);
  });
});
