// FNINIT, FLDCW, FNSTCW, FNSTSW, FNCLEX, FWAIT, FXSAVE, FXRSTOR and the XSAVE family; expected images are hand-made from SDM
// volume 1, tables 10-2 and 13-1.

import { describe, expect, test } from "vitest";
import { ExitKind, Vector } from "../../../src/cpu/exit.js";
import * as S from "../../../src/cpu/state-layout.js";
import { Machine } from "./x87-machine.js";

const AREA = 0x5000;
const m = new Machine();
const { state } = m;

/** Code with the area's address in RBX. */
function run(hex: string) {
  return m.run(`bb 00 50 00 00 ${hex}`);
}
const halts = { kind: ExitKind.Halt };
const raises = (vector: number) => ({ kind: ExitKind.Exception, vector });

function reset(): void {
  m.setCr0(0x31n);
  run("db e3");
  state.bytes(S.FPR, 128).fill(0);
  state.bytes(S.XMM, 256).fill(0);
  state.setU32(S.MXCSR, 0x1f80);
  m.memory.u8.fill(0xaa, AREA, AREA + 1024);
}

describe("control", () => {
  test("FNINIT, FNSTCW and FNSTSW", () => {
    reset();
    state.setU32(S.FSW, 0x4745);
    state.setU32(S.FTOP, 5);
    expect(run("d9 3b dd 7b 02 df e0 db e3 d9 7b 04 dd 7b 06")).toMatchObject(halts);
    expect([m.u16(AREA), m.u16(AREA + 2), m.u16(AREA + 4), m.u16(AREA + 6)]).toEqual([0x37f, 0x6f45, 0x37f, 0]);
    expect(state.gpr(S.Reg.RAX) & 0xffffn).toBe(0x6f45n);
  });

  test("FLDCW keeps only bits that exist, and unmasking raises #MF at the next waiting instruction", () => {
    reset();
    m.write(AREA, "ff ff 00 00");
    expect(run("d9 2b d9 7b 04 d9 6b 02 d9 7b 06")).toMatchObject(halts);
    expect([m.u16(AREA + 4), m.u16(AREA + 6)]).toEqual([0x1f7f, 0x0040]);
    reset();
    state.setU32(S.FSW, 4);
    m.write(AREA, "7b 03");
    const exit = run("d9 2b dd 7b 02 9b");
    expect(exit).toMatchObject(raises(Vector.MF));
    expect(state.rip).toBe(0x1000n + 5n + 2n + 3n);
    expect(m.u16(AREA + 2)).toBe(0x8084);
    expect(run("db e2 9b dd 7b 02")).toMatchObject(halts);
    expect(m.u16(AREA + 2)).toBe(0);
  });

  test("CR0.TS: #NM; FWAIT only with MP", () => {
    reset();
    m.setCr0(0x39n);
    expect(run("d9 3b")).toMatchObject(raises(Vector.NM));
    expect(run("0f ae 03")).toMatchObject(raises(Vector.NM));
    expect(run("0f ae 23")).toMatchObject(raises(Vector.NM));
    expect(run("9b")).toMatchObject(halts);
    m.setCr0(0x3bn);
    expect(run("9b")).toMatchObject(raises(Vector.NM));
  });
});

function fillState(): void {
  state.setU32(S.FCW, 0x27f);
  state.setU32(S.FSW, 0x4121);
  state.setU32(S.FTOP, 6);
  state.setU32(S.FTW, 0xc1);
  state.setU32(S.FOP, 0x123);
  state.setU64(S.FIP, 0x1122334455667788n);
  state.setU64(S.FDP, 0x99aabbccddeeff00n);
  for (let i = 0; i < 8; i++) state.bytes(S.FPR + 16 * i, 10).fill(0x10 + i);
  for (let i = 0; i < 16; i++) state.bytes(S.XMM + 16 * i, 16).fill(0x80 + i);
  state.setU32(S.MXCSR, 0x9fc1);
}
function expectState(pointers = true): void {
  expect([S.FCW, S.FSW, S.FTOP, S.FTW, S.FOP, S.MXCSR].map((f) => state.u32(f))).toEqual([
    0x27f, 0x4121, 6, 0xc1, 0x123, 0x9fc1,
  ]);
  if (pointers) expect([state.u64(S.FIP), state.u64(S.FDP)]).toEqual([0x1122334455667788n, 0x99aabbccddeeff00n]);
  for (let i = 0; i < 8; i++) expect(state.bytes(S.FPR + 16 * i, 10).every((b) => b === 0x10 + i)).toBe(true);
  for (let i = 0; i < 16; i++) expect(state.bytes(S.XMM + 16 * i, 16).every((b) => b === 0x80 + i)).toBe(true);
}

describe("FXSAVE and FXRSTOR", () => {
  test("the 64-bit form", () => {
    reset();
    fillState();
    expect(run("48 0f ae 03")).toMatchObject(halts);
    const head = Buffer.from(m.bytes(AREA, 32)).toString("hex");
    expect(head).toBe(`7f022171c1002301887766554433221100ffeeddccbbaa99c19f0000ffff0000`);
    // ST(0) is physical register 6.
    expect(m.bytes(AREA + 32, 16)).toEqual(Uint8Array.from([...Array(10).fill(0x16), 0, 0, 0, 0, 0, 0]));
    expect(m.bytes(AREA + 160 + 15 * 16, 16).every((b) => b === 0x8f)).toBe(true);
    expect(m.bytes(AREA + 416, 96).every((b) => b === 0xaa)).toBe(true);
    const image = m.bytes(AREA, 512);
    reset();
    m.memory.write(AREA, image);
    expect(run("48 0f ae 0b")).toMatchObject(halts);
    expectState();
  });

  test("the 32-bit form has 32-bit pointers and selectors", () => {
    reset();
    fillState();
    state.setU32(S.FIP_SEL, 0x33);
    state.setU32(S.FDP_SEL, 0x2b);
    expect(run("0f ae 03")).toMatchObject(halts);
    expect(Buffer.from(m.bytes(AREA + 8, 16)).toString("hex")).toBe("887766553300000000ffeedd2b000000");
    expect(run("db e3 0f ae 0b")).toMatchObject(halts);
    expect([state.u64(S.FIP), state.u32(S.FIP_SEL), state.u32(S.FDP_SEL)]).toEqual([0x55667788n, 0x33, 0x2b]);
    expectState(false);
  });

  test("misaligned areas and reserved MXCSR bits raise #GP and change nothing", () => {
    reset();
    fillState();
    expect(run("48 0f ae 43 08")).toMatchObject(raises(Vector.GP));
    expect(m.u32(AREA + 8)).toBe(0xaaaaaaaa);
    m.memory.u8.fill(0, AREA, AREA + 512);
    m.write(AREA + 24, "00 00 01 00");
    expect(run("48 0f ae 0b")).toMatchObject(raises(Vector.GP));
    expectState();
  });
});

describe("what comes first", () => {
  const fxsave = "0f ae 43";
  const fxrstor = "0f ae 4b";

  test.each([
    ["FXSAVE", fxsave],
    ["FXRSTOR", fxrstor],
    ["XSAVE", "0f ae 63"],
    ["XRSTOR", "0f ae 6b"],
  ])("outside 64-bit mode %s is misaligned before it is too long for the segment", (_, code) => {
    reset();
    state.codeMode = 1;
    const segment = (number: number, limit: number) =>
      state.setSegment(number, { selector: 0x10, base: 0n, limit, attributes: 0xc093 });
    segment(S.Seg.CS, 0xffffffff);
    // It ends a little behind the area's begin.
    segment(S.Seg.SS, AREA + 0x40);
    try {
      expect(run(`36 ${code} 08`)).toMatchObject(raises(Vector.GP));
      expect(run(`36 ${code} 00`)).toMatchObject(raises(Vector.SS));
      // The first byte itself.
      expect(run(`36 ${code} 48`)).toMatchObject(raises(Vector.SS));
      segment(S.Seg.SS, 0xffffffff);
      m.memory.u8.fill(0, AREA, AREA + 1024);
      expect(run(`36 ${code} 00`)).toMatchObject(halts);
    } finally {
      state.codeMode = 2;
    }
  });

  test.each([
    ["FXSAVE", "48 0f ae 00"],
    ["FXRSTOR", "48 0f ae 08"],
  ])("%s begins with its last byte", (_, code) => {
    reset();
    // mov rax, 0x7fffffffff80: the end isn't canonical, the begin isn't there.
    expect(run(`48 b8 80 ff ff ff ff 7f 00 00 ${code}`)).toMatchObject(raises(Vector.GP));
  });
});

describe("XSAVE family", () => {
  const all = "b8 ff ff ff ff ba ff ff ff ff";

  /** SSE's state, and x87's initial one. */
  function fillSse(): void {
    fillState();
    state.bytes(S.FPR, 128).fill(0);
    for (const field of [S.FSW, S.FTW, S.FTOP, S.FOP, S.FIP, S.FIP + 4, S.FDP, S.FDP + 4]) state.setU32(field, 0);
    state.setU32(S.FCW, 0x37f);
  }
  /** A 32-bit displacement as hex. */
  function displacement(offset: number): string {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(offset);
    return bytes.toString("hex");
  }

  test("XSAVE and XRSTOR of both components", () => {
    reset();
    fillState();
    m.memory.u8.fill(0, AREA + 512, AREA + 576);
    expect(run(`${all} 48 0f ae 23`)).toMatchObject(halts);
    expect(m.u32(AREA + 512)).toBe(3);
    run("db e3");
    state.bytes(S.FPR, 128).fill(0);
    state.bytes(S.XMM, 256).fill(0);
    expect(run(`${all} 48 0f ae 2b`)).toMatchObject(halts);
    expectState();
  });

  test.each([
    ["XSAVE", "48 0f ae a3"],
    ["XSAVEOPT", "48 0f ae b3"],
  ])("%s writes the same into one page and across two", (_, code) => {
    const image = (offset: number, requested: string) => {
      reset();
      fillSse();
      m.memory.u8.fill(0xaa, AREA, AREA + 8192);
      expect(run(`b8 ${requested} 00 00 00 31 d2 ${code} ${displacement(offset)}`)).toMatchObject(halts);
      expect(m.bytes(AREA + offset + 576, 64).every((byte) => byte === 0xaa)).toBe(true);
      return m.bytes(AREA + offset, 576);
    };
    for (const requested of ["00", "01", "02", "03"]) {
      const whole = image(0x140, requested);
      expect(whole[512]).toBe((0xaa & ~Number(requested)) | (Number(requested) & 2));
      for (const offset of [0xf80, 0xe40, 0xe00, 0xdc0]) expect(image(offset, requested)).toEqual(whole);
    }
  });

  test("XSAVEOPT into two pages that don't lie beside each other", () => {
    const [tables, other] = [0x20000, 0x30000];
    const second = tables + 0x3000 + (AREA / 4096 + 1) * 8;
    for (let level = 0; level < 3; level++)
      m.memory.writeU64(tables + level * 4096, BigInt((tables + (level + 1) * 4096) | 3));
    for (let page = 0; page < 64; page++) m.memory.writeU64(tables + 0x3000 + page * 8, BigInt((page * 4096) | 3));
    const registers = [S.CR3, S.CR4, S.EFER] as const;
    const before = registers.map((register) => state.u64(register));
    const save = (offset: number) => {
      reset();
      fillSse();
      for (const page of [AREA, AREA + 4096, other]) m.memory.u8.fill(0xaa, page, page + 4096);
      for (const [i, value] of [BigInt(tables), before[1]! | 0x20n, 0x500n].entries())
        state.setU64(registers[i]!, value);
      m.setCr0(0x8000_0031n);
      const exit = run(`${all} 48 0f ae b3 ${displacement(offset)}`);
      for (const [i, register] of registers.entries()) state.setU64(register, before[i]!);
      m.setCr0(0x31n);
      return exit;
    };
    expect(save(0x140)).toMatchObject(halts);
    const whole = m.bytes(AREA + 0x140, 576);
    m.memory.writeU64(second, BigInt(other | 3));
    for (const offset of [0xfc0, 0xf80, 0xf40, 0xe40, 0xe00, 0xdc0]) {
      expect(save(offset)).toMatchObject(halts);
      const first = m.bytes(AREA + offset, 4096 - offset);
      expect([...first, ...m.bytes(other, 576 - first.length)]).toEqual([...whole]);
      expect(m.bytes(AREA + 4096, 4096).every((byte) => byte === 0xaa)).toBe(true);
    }
    // The second page isn't there: nothing is written.
    m.memory.writeU64(second, 0n);
    expect(save(0xe40)).toMatchObject(raises(Vector.PF));
    expect(state.u64(S.CR2)).toBe(BigInt(AREA + 4096));
    expect(m.bytes(AREA, 4096).every((byte) => byte === 0xaa)).toBe(true);
  });

  test("XRSTOR reads the same from one page and across two, and no reserved bit of the header", () => {
    for (const offset of [0x140, 0xf80, 0xe40, 0xdc0]) {
      const restore = `${all} 48 0f ae ab ${displacement(offset)}`;
      reset();
      fillState();
      m.memory.u8.fill(0, AREA, AREA + 8192);
      expect(run(`${all} 48 0f ae a3 ${displacement(offset)}`)).toMatchObject(halts);
      run("db e3");
      state.bytes(S.FPR, 128).fill(0);
      state.bytes(S.XMM, 256).fill(0);
      expect(run(restore)).toMatchObject(halts);
      expectState();
      for (const byte of [512, 516, 519, 520, 535]) {
        const old = m.bytes(AREA + offset + byte, 1);
        m.write(AREA + offset + byte, "80");
        expect(run(restore), `${byte}`).toMatchObject(raises(Vector.GP));
        m.memory.write(AREA + offset + byte, old);
      }
    }
  });

  test("components not asked for stay as they are, in memory and in registers", () => {
    reset();
    fillState();
    m.memory.u8.fill(0, AREA + 512, AREA + 576);
    expect(run("b8 01 00 00 00 31 d2 48 0f ae 23")).toMatchObject(halts);
    expect(m.u32(AREA + 512)).toBe(1);
    expect([m.u32(AREA + 24), m.u32(AREA + 160)]).toEqual([0xaaaaaaaa, 0xaaaaaaaa]);
    m.memory.u8.fill(0, AREA, AREA + 512);
    expect(run("b8 02 00 00 00 31 d2 48 0f ae 2b")).toMatchObject(halts);
    // SSE was asked for and isn't in the image: initial registers; MXCSR comes from memory all the same.
    expect(state.u32(S.MXCSR)).toBe(0);
    expect(state.bytes(S.XMM, 256).every((b) => b === 0)).toBe(true);
    expect(state.u32(S.FCW)).toBe(0x27f);
  });

  test("XSAVEOPT leaves out what is initial; XRSTOR makes it initial again", () => {
    reset();
    m.memory.u8.fill(0, AREA + 512, AREA + 576);
    expect(run(`${all} 48 0f ae 33`)).toMatchObject(halts);
    expect(m.u32(AREA + 512)).toBe(0);
    expect([m.u32(AREA), m.u32(AREA + 24), m.u32(AREA + 160)]).toEqual([0xaaaaaaaa, 0x1f80, 0xaaaaaaaa]);
    fillState();
    expect(run(`${all} 48 0f ae 2b`)).toMatchObject(halts);
    expect([S.FCW, S.FSW, S.FTOP, S.FTW, S.MXCSR].map((f) => state.u32(f))).toEqual([0x37f, 0, 0, 0, 0x1f80]);
    expect(state.bytes(S.FPR, 384).every((b) => b === 0)).toBe(true);
  });

  test("faults: alignment, header, CR4.OSXSAVE", () => {
    reset();
    m.memory.u8.fill(0, AREA, AREA + 1024);
    m.write(AREA + 24, "80 1f");
    expect(run(`${all} 48 0f ae 63 10`)).toMatchObject(raises(Vector.GP));
    m.write(AREA + 512, "04");
    expect(run(`${all} 48 0f ae 2b`)).toMatchObject(raises(Vector.GP));
    m.write(AREA + 512, "03 00 00 00 00 00 00 00 01");
    expect(run(`${all} 48 0f ae 2b`)).toMatchObject(raises(Vector.GP));
    state.setU64(S.CR4, 0x600n);
    expect(run(`${all} 48 0f ae 23`)).toMatchObject(raises(Vector.UD));
    state.setU64(S.CR4, 0x40600n);
  });
});
