// Control registers, MSRs, table registers and descriptor queries on a bare CPU. SDM volume 3A, 2.5; volume 2.

import { describe, expect, test } from "vitest";
import { ExitKind, Vector } from "../../../src/cpu/exit.js";
import * as S from "../../../src/cpu/state-layout.js";
import { type BareMachine, bareMachine, fault, GDT, halted, Sel } from "./bare-machine.js";

const { Reg } = S;
const gp = fault(Vector.GP, 0);
const ud = fault(Vector.UD);

/** Runs `code` with RAX (and RCX, RDX) set. */
function runWith(m: BareMachine, code: string, rax: bigint, rcx = 0n, rdx = 0n) {
  m.state.setGpr(Reg.RAX, rax);
  m.state.setGpr(Reg.RCX, rcx);
  m.state.setGpr(Reg.RDX, rdx);
  return { ...m.run(`${code} f4`) };
}
const zf = (m: BareMachine) => (m.state.rflags & 0x40n) !== 0n;

describe("control registers", () => {
  test("CR0: reserved combinations and leaving long mode raise #GP", () => {
    const m = bareMachine("long");
    const { cr0 } = m.state;
    expect(runWith(m, "0f22c0", cr0 & ~0x80000000n)).toMatchObject(gp);
    expect(runWith(m, "0f22c0", cr0 & ~1n)).toMatchObject(gp);
    expect(runWith(m, "0f22c0", cr0 | 0x20000000n)).toMatchObject(gp);
    expect(runWith(m, "0f22c0", cr0 | (1n << 32n))).toMatchObject(gp);
    expect(m.state.cr0).toBe(cr0);
    expect(runWith(m, "0f22c0", (cr0 | 0x8n) & ~0x10n)).toMatchObject(halted);
    expect(m.state.cr0).toBe(cr0 | 8n);
    expect(m.run("0f06 f4")).toMatchObject(halted);
    expect(m.state.cr0).toBe(cr0);
  });

  test("paging starts and stops, with PAE and long mode as EFER and CR4 say", () => {
    const m = bareMachine("protected32");
    m.memory.writeU64(0x1000, 0x2027n);
    m.memory.writeU64(0x2000, 0x3027n);
    m.memory.writeU64(0x3000, 0xe7n);
    m.state.setU64(S.CR3, 0x1000n);
    m.state.setU64(S.EFER, 0x100n);
    // LME without PAE
    expect(runWith(m, "0f22c0", 0x80000011n)).toMatchObject(gp);
    m.state.setU64(S.CR4, 0x20n);
    expect(runWith(m, "0f22c0", 0x80000011n)).toMatchObject(halted);
    expect(m.state.efer).toBe(0x500n);
    expect(m.cpu.access.paging.mode).toBe(4);
    // CR4.PAE cannot be cleared there; paging can be left from compatibility mode
    expect(runWith(m, "0f22e0", 0n)).toMatchObject(gp);
    expect(runWith(m, "0f22c0", 0x11n)).toMatchObject(halted);
    expect(m.state.efer).toBe(0x100n);
    expect(m.cpu.access.paging.mode).toBe(0);
  });

  test("PAE pointers with reserved bits are refused when they are loaded", () => {
    const m = bareMachine("protected32");
    m.memory.writeU64(0x1000, 0x2001n);
    m.memory.writeU64(0x2000, 0xe7n);
    m.state.setU64(S.CR4, 0x20n);
    m.state.setU64(S.CR3, 0x1000n);
    expect(runWith(m, "0f22c0", 0x80000011n)).toMatchObject(halted);
    m.memory.writeU64(0x1008, 0x2003n);
    expect(runWith(m, "0f22d8", 0x1000n)).toMatchObject(gp);
  });

  test("CR2, CR3, CR4 and CR8", () => {
    const m = bareMachine("long");
    expect(runWith(m, "0f22d0", 1n << 63n)).toMatchObject(halted);
    expect(m.state.cr2).toBe(1n << 63n);
    expect(runWith(m, "0f22d8", 1n << 41n)).toMatchObject(gp);
    expect(runWith(m, "0f22e0", m.state.cr4 | (1n << 12n))).toMatchObject(gp);
    expect(runWith(m, "440f22c0", 16n)).toMatchObject(gp);
    expect(runWith(m, "440f22c0", 9n)).toMatchObject(halted);
    expect(runWith(m, "440f20c0", 0n)).toMatchObject(halted);
    expect(m.state.gpr(Reg.RAX)).toBe(9n);
    expect(runWith(m, "0f22c8", 0n)).toMatchObject(ud); // CR1
  });

  test("a new CR3 takes effect with the next access", () => {
    const m = bareMachine("long");
    m.memory.writeU64(0x30000, 0x2027n);
    m.memory.writeU32(0x9000, 11);
    // Another root whose last table maps 9000 to 5000.
    m.memory.write(0xb000, m.memory.bytes(0x4000, 4096).slice());
    m.memory.writeU64(0xb000 + 8 * 9, 0x5067n);
    m.memory.writeU64(0xc000, 0xb027n);
    m.memory.writeU64(0xd000, 0xc027n);
    m.memory.writeU64(0xe000, 0xd027n);
    m.memory.writeU32(0x5000, 22);
    // mov ebx, [9000]; mov cr3, rax; mov ecx, [9000]
    m.state.setGpr(Reg.RAX, 0xe000n);
    expect(m.run("8b1c2500900000 0f22d8 8b0c2500900000 f4")).toMatchObject(halted);
    expect([m.state.gpr(Reg.RBX), m.state.gpr(Reg.RCX)]).toEqual([11n, 22n]);
  });

  test("INVLPG forgets one page", () => {
    const m = bareMachine("long");
    m.memory.writeU32(0x9000, 11);
    m.memory.writeU32(0x5000, 22);
    // mov ebx, [9000]; mov qword [4048], 5067; mov ecx, [9000]; invlpg [9000]; mov edx, [9000]
    const load = (reg: string) => `8b${reg}2500900000`;
    const code = `${load("1c")} 48c7042548400000 67500000 0f013c2500900000 ${load("14")} f4`;
    expect(m.run(code)).toMatchObject(halted);
    expect([m.state.gpr(Reg.RBX), m.state.gpr(Reg.RDX)]).toEqual([11n, 22n]);
  });

  test("SMSW and LMSW", () => {
    const m = bareMachine("real");
    expect(runWith(m, "0f01f0", 1n)).toMatchObject(halted);
    expect(m.state.cr0 & 1n).toBe(1n);
    expect(runWith(m, "0f01f0", 0n)).toMatchObject(halted);
    expect(m.state.cr0 & 1n).toBe(1n);
    expect(runWith(m, "0f01e0", 0n)).toMatchObject(halted);
    expect(m.state.gpr(Reg.RAX)).toBe(0x11n);
  });
});

describe("model-specific registers", () => {
  test("are read and written, addresses being canonical", () => {
    const m = bareMachine("long");
    expect(runWith(m, "0f30", 0x1000n, 0xc0000082n, 0xffff8000n)).toMatchObject(halted);
    expect(runWith(m, "0f32", 0n, 0xc0000082n)).toMatchObject(halted);
    expect([m.state.gpr(Reg.RAX), m.state.gpr(Reg.RDX)]).toEqual([0x1000n, 0xffff8000n]);
    for (const msr of [0xc0000082n, 0xc0000083n, 0xc0000100n, 0xc0000101n, 0xc0000102n, 0x175n, 0x176n])
      expect(runWith(m, "0f30", 0n, msr, 0x8000n)).toMatchObject(gp);
    expect(runWith(m, "0f30", 0n, 0xc0000103n, 1n)).toMatchObject(gp);
    expect(runWith(m, "0f32", 0n, 0x12345678n)).toMatchObject(gp);
    expect(runWith(m, "0f30", 0n, 0x12345678n)).toMatchObject(gp);
  });
  test("EFER: unknown bits and LME while paging raise #GP; LMA is not written", () => {
    const m = bareMachine("long");
    expect(runWith(m, "0f30", 0x1d01n, 0xc0000080n)).toMatchObject(gp);
    expect(runWith(m, "0f30", 0xc01n, 0xc0000080n)).toMatchObject(gp);
    expect(runWith(m, "0f30", 0x101n, 0xc0000080n)).toMatchObject(halted);
    expect(m.state.efer).toBe(0x501n);
  });
  test("EFER.NXE makes NX count", () => {
    const m = bareMachine("long");
    m.memory.writeU64(0x4000 + 8 * 9, 0x9067n | (1n << 63n));
    m.memory.writeU8(0x9000, 0xf4);
    m.state.rip = 0x9000n;
    expect(m.go()).toMatchObject(fault(Vector.PF, 0x11));
    m.state.setU64(S.EFER, 0x501n);
    m.cpu.accessRightsChanged();
    expect(m.go()).toMatchObject(fault(Vector.PF, 9)); // no I bit without NXE
  });
});

describe("descriptor tables", () => {
  test("LGDT and SGDT in 64-, 32- and 16-bit code", () => {
    const m = bareMachine("long");
    m.memory.writeU64(0x9000, 0x1234_5678_9abc_0077n);
    // lgdt [9000]; sgdt [9100]
    expect(m.run("0f01142500900000 f4")).toMatchObject(halted);
    expect([m.state.u32(S.GDTR_LIMIT), m.state.u64(S.GDTR_BASE)]).toEqual([0x77, 0x1234_5678_9abcn]);
    expect(m.run("0f01042500910000 f4")).toMatchObject(halted);
    expect(m.memory.readU64(0x9100)).toBe(0x1234_5678_9abc_0077n);
    m.memory.writeU64(0x9002, 0x8000_0000_0000n);
    expect(m.run("0f01142500900000 f4")).toMatchObject(gp);
    const narrow = bareMachine("real");
    narrow.memory.writeU64(0x9000, 0x9abc_def0_0077n);
    expect(narrow.run("0f01160090 f4")).toMatchObject(halted);
    expect(narrow.state.u64(S.GDTR_BASE)).toBe(0xbcdef0n);
    expect(narrow.run("660f01160090 f4")).toMatchObject(halted);
    expect(narrow.state.u64(S.GDTR_BASE)).toBe(0x9abcdef0n);
  });

  test("LTR marks the task busy and refuses a busy one", () => {
    const m = bareMachine("long");
    expect(runWith(m, "0f00d8", BigInt(Sel.tss))).toMatchObject(halted);
    expect([m.state.u32(S.TR_SELECTOR), m.state.u64(S.TR_BASE), m.state.u32(S.TR_LIMIT)]).toEqual([
      Sel.tss,
      0x6000n,
      0x67,
    ]);
    expect((m.descriptor(Sel.tss) >> 40n) & 15n).toBe(11n);
    expect(runWith(m, "0f00d8", BigInt(Sel.tss))).toMatchObject(fault(Vector.GP, Sel.tss));
    expect(runWith(m, "0f00d8", 0n)).toMatchObject(gp);
    expect(runWith(m, "0f00d8", BigInt(Sel.data))).toMatchObject(fault(Vector.GP, Sel.data));
    expect(runWith(m, "0f00d8", BigInt(Sel.tss | 4))).toMatchObject(fault(Vector.GP, Sel.tss | 4));
    expect(runWith(m, "0f00c8", 0n)).toMatchObject(halted);
    expect(m.state.gpr(Reg.RAX) & 0xffffn).toBe(BigInt(Sel.tss));
  });

  test("LLDT; then selectors of the LDT work", () => {
    const m = bareMachine("long");
    expect(runWith(m, "0f00d0", BigInt(Sel.ldt))).toMatchObject(halted);
    expect(m.state.u64(S.LDTR_BASE)).toBe(0x6100n);
    m.memory.writeU64(0x6108, 0x00cff2000000ffffn);
    expect(runWith(m, "8ed8", 0xcn)).toMatchObject(halted);
    expect(m.memory.readU8(0x610d) & 1).toBe(1);
    expect(runWith(m, "8ed8", 0x1cn)).toMatchObject(fault(Vector.GP, 0x1c));
    expect(runWith(m, "0f00d0", 0n)).toMatchObject(halted);
    expect(runWith(m, "8ed8", 0xcn)).toMatchObject(fault(Vector.GP, 0xc));
  });

  test("segment loads: rights, presence, null selectors, error codes", () => {
    const m = bareMachine("protected32");
    expect(runWith(m, "8ed8", BigInt(Sel.notPresent))).toMatchObject(fault(Vector.NP, Sel.notPresent));
    expect(runWith(m, "8ed0", BigInt(Sel.notPresent))).toMatchObject(fault(Vector.SS, Sel.notPresent));
    expect(runWith(m, "8ed0", BigInt(Sel.userData | 3))).toMatchObject(fault(Vector.GP, Sel.userData));
    expect(runWith(m, "8ed0", BigInt(Sel.code32))).toMatchObject(fault(Vector.GP, Sel.code32));
    expect(runWith(m, "8ed0", 0n)).toMatchObject(gp);
    expect(runWith(m, "8ed8", BigInt(Sel.data | 3))).toMatchObject(fault(Vector.GP, Sel.data));
    expect(runWith(m, "8ed8", 0xff8n)).toMatchObject(fault(Vector.GP, 0xff8));
    expect(runWith(m, "8ec8", BigInt(Sel.code32))).toMatchObject(ud);
    expect(runWith(m, "8ed8 8a00", 3n)).toMatchObject(gp); // null DS, then a use of it
    expect(m.state.segmentSelector(S.Seg.DS)).toBe(3);
  });

  test("segment limits: inclusive, expand-down below, #SS for the stack, code is read-only", () => {
    const m = bareMachine("protected32");
    m.setDescriptor(Sel.userData, 0x0040920000000fffn); // limit fff bytes
    const loadDs = `66b8${Sel.userData.toString(16)}00 8ed8`;
    expect(m.run(`${loadDs} a1fc0f0000 f4`)).toMatchObject(halted);
    expect(m.run(`${loadDs} a1fd0f0000 f4`)).toMatchObject(gp);
    m.setDescriptor(Sel.userData, 0x0040960000000fffn); // expand-down
    expect(m.run(`${loadDs} a1ff0f0000 f4`)).toMatchObject(gp);
    expect(m.run(`${loadDs} a100100000 f4`)).toMatchObject(halted);
    m.setDescriptor(Sel.userData, 0x0000960000000fffn); // up to ffff
    expect(m.run(`${loadDs} a1fdff0000 f4`)).toMatchObject(gp);
    expect(m.run("2ea100900000 f4")).toMatchObject(halted);
    expect(m.run("2ea300900000 f4")).toMatchObject(gp);
    m.state.setU32(S.SEG_LIMIT + 4 * S.Seg.SS, 0x9fff);
    m.state.setGpr(Reg.RSP, 0xa002n);
    expect(m.run("50 f4")).toMatchObject(fault(Vector.SS, 0));
    expect(m.run("60 f4")).toMatchObject(fault(Vector.SS, 0));
  });

  test("LAR, LSL, VERR, VERW", () => {
    const m = bareMachine("long");
    const query = (code: string, selector: number) => {
      expect(runWith(m, code, BigInt(selector))).toMatchObject(halted);
      return zf(m) ? m.state.gpr(Reg.RBX) : undefined;
    };
    expect(query("0f02d8", Sel.code64)).toBe(0xaf9a00n);
    expect(query("0f03d8", Sel.data)).toBe(0xffffffffn);
    expect(query("0f03d8", Sel.tss)).toBe(0x67n);
    expect(query("0f02d8", Sel.tss)).toBe(0x8900n);
    expect(query("0f02d8", 0)).toBeUndefined();
    expect(query("0f02d8", Sel.data | 3)).toBeUndefined();
    expect(query("0f02d8", Sel.conforming | 3)).toBe(0xcf9e00n);
    expect(query("0f03d8", 0xff8)).toBeUndefined();
    expect(query("0f00e0", Sel.data)).toBeDefined(); // VERR
    expect(query("0f00e8", Sel.data)).toBeDefined(); // VERW
    expect(query("0f00e8", Sel.code64)).toBeUndefined();
    expect(query("0f00e0", Sel.tss)).toBeUndefined();
  });

  test("in real mode the protected-mode instructions are undefined", () => {
    const m = bareMachine("real");
    for (const code of ["0f02d8", "0f03d8", "0f00c0", "0f00c8", "0f00d0", "0f00d8", "0f00e0", "0f00e8", "63d8"])
      expect(m.run(code)).toMatchObject(ud);
    expect(m.run("c4e270f3c8")).toMatchObject(ud); // BLSR in VEX encoding
    expect(m.run("0f05")).toMatchObject(ud);
  });
});

describe("above CPL 0", () => {
  test("privileged instructions raise #GP(0)", () => {
    const m = bareMachine("long", 3);
    const list =
      "f4 0f06 0f08 0f09 0f30 0f32 0f20c0 0f22c0 0f21c0 0f23c0 0f01f8 0f013c2500900000 0f01142500900000 0f00d0 0f00d8";
    for (const code of [...list.split(" "), "0f01f0", "0f07", "fa", "fb", "0f33"])
      expect([code, { ...m.run(code) }]).toMatchObject([code, gp]);
    for (const code of ["0f01ca", "0f01cb", "0f01d1", "0f01d0", "0faa"]) expect(m.run(code)).toMatchObject(ud);
  });

  test("UMIP, TSD, FSGSBASE, OSXSAVE", () => {
    const m = bareMachine("long", 3);
    const set = (bit: bigint, on: boolean) => {
      m.state.setU64(S.CR4, on ? m.state.cr4 | bit : m.state.cr4 & ~bit);
      m.cpu.accessRightsChanged();
    };
    for (const code of ["0f01e0", "0f00c0", "0f00c8", "0f01042500900000"]) {
      set(0x800n, false);
      expect(m.run(code, 1)).toMatchObject({ kind: ExitKind.Budget });
      set(0x800n, true);
      expect(m.run(code, 1)).toMatchObject(gp);
    }
    for (const code of ["0f31", "0f01f9"]) {
      set(4n, false);
      expect(m.run(code, 1)).toMatchObject({ kind: ExitKind.Budget });
      expect(m.state.gpr(Reg.RDX)).toBe(1n);
      set(4n, true);
      expect(m.run(code, 1)).toMatchObject(gp);
    }
    expect(m.run("f3480faec0", 1)).toMatchObject(ud);
    set(0x10000n, true);
    expect(m.run("f3480faec0", 1)).toMatchObject({ kind: ExitKind.Budget });
    set(0x40000n, true);
    m.state.setGpr(Reg.RCX, 0n);
    expect(m.run("0f01d0", 1)).toMatchObject({ kind: ExitKind.Budget });
    expect(m.state.gpr(Reg.RAX)).toBe(1n);
    expect(m.run("0f01d1", 1)).toMatchObject(gp);
  });

  test("descriptor tables in supervisor pages are readable for segment loads", () => {
    const m = bareMachine("long", 3);
    m.memory.writeU64(0x4000 + 8 * (GDT >> 12), BigInt(GDT) | 0x63n);
    m.cpu.flushTlbAll();
    expect({ ...m.run("66b82b00 8ed8", 2) }).toMatchObject({ kind: ExitKind.Budget });
    expect(m.run("8b042500700000", 1)).toMatchObject(fault(Vector.PF, 5));
  });

  test("SYSENTER does not exist in long mode; SYSCALL needs EFER.SCE", () => {
    const m = bareMachine("long", 3);
    expect(m.run("0f34")).toMatchObject(ud);
    expect(m.run("0f05")).toMatchObject({ kind: ExitKind.Syscall });
    m.state.setU64(S.EFER, 0xd00n);
    expect(m.run("0f05")).toMatchObject(ud);
    const legacy = bareMachine("protected32", 3);
    expect(legacy.run("0f34")).toMatchObject(gp);
    legacy.state.setU64(S.SYSENTER_CS, 8n);
    expect(legacy.run("0f34")).toMatchObject({ kind: ExitKind.Sysenter });
  });

  test("CLI and STI with IOPL 3, and VIF with CR4.PVI", () => {
    const m = bareMachine("long", 3);
    m.state.rflags = 0x3202n;
    expect(m.run("fa", 1)).toMatchObject({ kind: ExitKind.Budget });
    expect(m.state.rflags & 0x200n).toBe(0n);
    m.state.rflags = 0x80202n;
    m.state.setU64(S.CR4, m.state.cr4 | 2n);
    expect(m.run("fa", 1)).toMatchObject({ kind: ExitKind.Budget });
    expect(m.state.rflags & 0x80200n).toBe(0x200n);
    m.state.rflags = 0x100202n;
    expect(m.run("fb", 1)).toMatchObject(gp);
  });
});

test("paging rights by CPL: supervisor and read-only pages, WP, SMAP with STAC and CLAC", () => {
  const user = bareMachine("long", 3);
  expect(user.run("8b042500100200", 1)).toMatchObject(fault(Vector.PF, 5));
  expect(user.run("89042500000200", 1)).toMatchObject(fault(Vector.PF, 7));
  expect(user.state.cr2).toBe(0x20000n);
  expect(user.run("8b042500200200", 1)).toMatchObject(fault(Vector.PF, 4));
  const m = bareMachine("long");
  expect(m.run("89042500000200", 1)).toMatchObject(fault(Vector.PF, 3));
  m.memory.writeU64(0x4000 + 8 * 8, 0x8063n);
  m.state.setU64(S.CR4, m.state.cr4 | 0x200000n);
  m.cpu.accessRightsChanged();
  expect(m.run("8b042500900000", 1)).toMatchObject(fault(Vector.PF, 1));
  expect(m.run("0f01cb 8b042500900000", 2)).toMatchObject({ kind: ExitKind.Budget });
  expect(m.run("0f01ca 8b042500900000", 2)).toMatchObject(fault(Vector.PF, 1));
});
