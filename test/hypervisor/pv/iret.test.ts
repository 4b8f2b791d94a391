import { describe, expect, it } from "vitest";
import { Reg, Seg } from "../../../src/cpu/state-layout.js";
import { createBounceFrame } from "../../../src/hypervisor/pv/bounce.js";
import { checkDescriptor } from "../../../src/hypervisor/pv/descriptor-check.js";
import { clearGdt, invalidateLdt, readDescriptor, setGdt, setLdt } from "../../../src/hypervisor/pv/descriptors.js";
import { doIret } from "../../../src/hypervisor/pv/iret.js";
import { machineAddress, makePv, type Pv, page, stackWords, upcallMask } from "./pv-fixture.js";

const CODE64 = 0x00af_fb00_0000_ffffn;
const CODE32 = 0x00cf_fb00_0000_ffffn;
const DATA = 0x00cf_f300_0000_ffffn;

interface Frame {
  rax?: bigint;
  r11?: bigint;
  rcx?: bigint;
  flags?: bigint;
  rip?: bigint;
  cs?: bigint;
  rflags?: bigint;
  rsp?: bigint;
  ss?: bigint;
}

function pushFrame(pv: Pv, frame: Frame): void {
  const words = [
    ...[frame.rax ?? 1n, frame.r11 ?? 2n, frame.rcx ?? 3n, frame.flags ?? 0n, frame.rip ?? page(0)],
    ...[frame.cs ?? 0xe030n, frame.rflags ?? 0x202n, frame.rsp ?? page(9), frame.ss ?? 0xe02bn],
  ];
  const rsp = page(7);
  words.forEach((word, i) => {
    pv.memory.writeU64(machineAddress(rsp) + i * 8, word);
  });
  pv.state.setGpr(Reg.RSP, rsp);
}

/** Entry 6 (0x33): 64-bit user code; 4 (0x23): 32-bit user code; 5 (0x2b): user data. */
function guestGdt(pv: Pv): void {
  pv.memory.writeU64(10 * 4096 + 6 * 8, CODE64);
  pv.memory.writeU64(10 * 4096 + 4 * 8, CODE32);
  pv.memory.writeU64(10 * 4096 + 5 * 8, DATA);
  expect(setGdt(pv.host, pv.vcpu, [10], 16)).toBe(true);
}

describe("iret hypercall", () => {
  it("returns to guest kernel mode with all registers of the frame", () => {
    const pv = makePv();
    pushFrame(pv, { rflags: 0x0n, rip: page(2) });
    doIret(pv.host, pv.vcpu);
    expect(pv.crashes).toEqual([]);
    expect(pv.state.rip).toBe(page(2));
    expect([pv.state.gpr(Reg.RAX), pv.state.gpr(Reg.R11), pv.state.gpr(Reg.RCX)]).toEqual([1n, 2n, 3n]);
    expect(pv.state.gpr(Reg.RSP)).toBe(page(9));
    expect(upcallMask(pv)).toBe(1);
    expect(pv.state.rflags).toBe(0x202n);
    expect(pv.pv.kernelMode).toBe(true);
    expect(pv.state.segmentSelector(Seg.CS)).toBe(0xe033);
  });

  it("returns to 64-bit user mode through the guest's own descriptors and unmasks upcalls", () => {
    const pv = makePv();
    guestGdt(pv);
    pv.memory.writeU8(pv.vcpu.infoAddress + 1, 1);
    pushFrame(pv, { cs: 0x33n, ss: 0x2bn, rip: 0x40_0000n, rsp: 0x7fff_0000n, rflags: 0x3246n });
    doIret(pv.host, pv.vcpu);
    expect(pv.pv.kernelMode).toBe(false);
    expect(pv.roots).toEqual([5]);
    expect(upcallMask(pv)).toBe(0);
    expect(pv.state.segmentSelector(Seg.CS)).toBe(0x33);
    // IOPL is never loaded.
    expect(pv.state.rflags).toBe(0x246n);
    expect(pv.state.codeMode).toBe(2);
  });

  it("returns to 32-bit user mode", () => {
    const pv = makePv();
    guestGdt(pv);
    pushFrame(pv, { cs: 0x23n, ss: 0x2bn, rip: 0x804_8000n, rsp: 0xffff_d000n });
    doIret(pv.host, pv.vcpu);
    expect(pv.state.codeMode).toBe(1);
    expect(pv.state.cpl).toBe(3);
    expect(pv.state.rip).toBe(0x804_8000n);
  });

  it("with VGCF_in_syscall discards RCX R11 CS SS", () => {
    const pv = makePv();
    pushFrame(pv, { flags: 0x100n, cs: 0x33n, ss: 0x2bn, rip: 0x40_0000n, rflags: 0x246n });
    doIret(pv.host, pv.vcpu);
    expect(pv.crashes).toEqual([]);
    expect(pv.state.segmentSelector(Seg.CS)).toBe(0xe033);
    expect(pv.state.gpr(Reg.RCX)).toBe(0x40_0000n);
    expect(pv.state.gpr(Reg.R11)).toBe(0x246n);
  });

  it("undoes a bounce from guest kernel mode", () => {
    const pv = makePv();
    pv.state.rip = page(3);
    pv.state.rflags = 0x4_0a97n;
    createBounceFrame(pv.host, pv.vcpu, page(1), 0);
    const [rcx, r11, rip, cs, rflags, rsp, ss] = stackWords(pv, pv.state.gpr(Reg.RSP), 7);
    pushFrame(pv, { rcx, r11, rip, cs, rflags, rsp, ss } as Frame);
    doIret(pv.host, pv.vcpu);
    expect(pv.state.rip).toBe(page(3));
    expect(pv.state.gpr(Reg.RSP)).toBe(page(8));
    expect(pv.state.rflags).toBe(0x4_0a97n);
  });

  it.each([
    ["a selector outside the table", { cs: 0x53n, ss: 0x2bn }],
    ["a null stack selector", { cs: 0x33n, ss: 0n }],
    ["data as code", { cs: 0x2bn, ss: 0x2bn }],
    ["code as stack", { cs: 0x33n, ss: 0x33n }],
    ["a non-canonical RIP", { cs: 0x33n, ss: 0x2bn, rip: 0x1_0000_0000_0000_0000n / 2n }],
    ["Xen's ring 0 code", { cs: 0xe008n, ss: 0xe02bn }],
  ])("%s enters the failsafe callback, or crashes", (_what, frame) => {
    const pv = makePv();
    guestGdt(pv);
    pushFrame(pv, frame);
    doIret(pv.host, pv.vcpu);
    expect(pv.crashes).toHaveLength(1);
    const other = makePv();
    guestGdt(other);
    other.pv.failsafeCallback.address = page(1);
    other.pv.kernelSp = page(8);
    pushFrame(other, frame);
    doIret(other.host, other.vcpu);
    expect(other.crashes).toEqual([]);
    expect(other.state.rip).toBe(page(1));
    expect(other.pv.kernelMode).toBe(true);
  });

  it("crashes on an unreadable frame and on a missing user root", () => {
    const pv = makePv();
    pv.state.setGpr(Reg.RSP, page(14));
    doIret(pv.host, pv.vcpu);
    expect(pv.crashes).toHaveLength(1);
    const other = makePv();
    other.pv.guestUserTable = -1;
    pushFrame(other, { cs: 0x33n, ss: 0x2bn });
    doIret(other.host, other.vcpu);
    expect(other.crashes).toHaveLength(1);
  });
});

describe("descriptor tables", () => {
  it("end in Xen's flat segments, and start with the guest's own", () => {
    const pv = makePv();
    expect(readDescriptor(pv.host, pv.vcpu, 0xe033)).toBe(CODE64);
    expect(readDescriptor(pv.host, pv.vcpu, 0xe023)).toBe(CODE32);
    expect(readDescriptor(pv.host, pv.vcpu, 0xe02b)).toBe(DATA);
    expect(readDescriptor(pv.host, pv.vcpu, 0x33)).toBeUndefined();
    guestGdt(pv);
    expect(readDescriptor(pv.host, pv.vcpu, 0x33)).toBe(CODE64);
    expect(readDescriptor(pv.host, pv.vcpu, 0x80)).toBeUndefined();
  });

  it("hold a descriptor-page reference for each frame", () => {
    const pv = makePv();
    expect(setGdt(pv.host, pv.vcpu, [10, 11], 513)).toBe(false);
    expect(pv.descriptorPages.get(10)).toBe(0);
    expect(setGdt(pv.host, pv.vcpu, [10], 512)).toBe(true);
    expect(pv.descriptorPages.get(10)).toBe(1);
    clearGdt(pv.host, pv.vcpu);
    expect(pv.descriptorPages.get(10)).toBe(0);
  });

  it("look LDT pages up at first use", () => {
    const pv = makePv();
    expect(setLdt(pv.host, pv.vcpu, page(0) + 8n, 4)).toBe(false);
    expect(setLdt(pv.host, pv.vcpu, page(0), 4)).toBe(true);
    // Page 0 is frame 16, which is no descriptor page.
    expect(readDescriptor(pv.host, pv.vcpu, 0x0f)).toBeUndefined();
    pv.memory.writeU64(4 * 4096, (10n << 12n) | 7n);
    pv.memory.writeU64(10 * 4096 + 8, DATA);
    expect(readDescriptor(pv.host, pv.vcpu, 0x0f)).toBe(DATA);
    expect(readDescriptor(pv.host, pv.vcpu, 0x27)).toBeUndefined();
    invalidateLdt(pv.host, pv.vcpu);
    expect(pv.descriptorPages.get(10)).toBe(0);
  });

  it.each([
    ["not present", 0n, 0n],
    ["ring 0 code becomes ring 3", 0x00af_9b00_0000_ffffn, CODE64],
    ["ring 3 data stays", DATA, DATA],
    ["call gate", 0x0000_ec00_0000_0000n, undefined],
    ["TSS", 0x0000_8900_0000_0067n, undefined],
    ["LDT", 0x0000_8200_0000_0067n, undefined],
  ])("check: %s", (_what, descriptor, expected) => {
    expect(checkDescriptor(descriptor)).toBe(expected);
  });
});
