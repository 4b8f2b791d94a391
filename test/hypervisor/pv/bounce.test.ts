import { describe, expect, it } from "vitest";
import { KERNEL_GS_BASE, Reg, Seg } from "../../../src/cpu/state-layout.js";
import { Bounce, createBounceFrame } from "../../../src/hypervisor/pv/bounce.js";
import { toggleGuestMode } from "../../../src/hypervisor/pv/guest-mode.js";
import { injectException, injectPageFault, injectPendingUpcalls } from "../../../src/hypervisor/pv/inject.js";
import { makePv, page, stackWords, upcallMask } from "./pv-fixture.js";

const HANDLER = page(1) + 0x10n;

describe("bounce frame", () => {
  it("from guest kernel mode lies below the current stack, aligned to 16, with CS at RPL 0", () => {
    const pv = makePv();
    pv.state.setGpr(Reg.RSP, page(8) + 8n);
    pv.state.setGpr(Reg.RCX, 0xcn);
    pv.state.setGpr(Reg.R11, 0xbn);
    pv.state.rip = page(0) + 4n;
    pv.state.rflags = 0x4_0346n; // AC, TF, IF, ZF, PF
    expect(createBounceFrame(pv.host, pv.vcpu, HANDLER, 0)).toBe(true);
    const rsp = page(8) - 56n;
    expect(pv.state.gpr(Reg.RSP)).toBe(rsp);
    expect(stackWords(pv, rsp, 7)).toEqual([0xcn, 0xbn, page(0) + 4n, 0xe030n, 0x4_0346n, page(8) + 8n, 0xe02bn]);
    expect(pv.state.rip).toBe(HANDLER);
    expect(pv.state.segmentSelector(Seg.CS)).toBe(0xe033);
    // AC and TF are cleared; the processor's IF stays set.
    expect(pv.state.rflags).toBe(0x246n);
    expect(pv.roots).toEqual([]);
  });

  it("from guest user mode switches root, GS base and stack, and keeps the user's selectors", () => {
    const pv = makePv();
    pv.pv.kernelSp = page(6) + 0x100n;
    pv.state.setSegmentBase(Seg.GS, 0x1111n);
    pv.state.setU64(KERNEL_GS_BASE, 0x2222n);
    toggleGuestMode(pv.vcpu);
    expect(pv.state.segmentBase(Seg.GS)).toBe(0x2222n);
    pv.state.setSegment(Seg.CS, { selector: 0x33, base: 0n, limit: 0xffff_ffff, attributes: 0xa0fb });
    pv.state.setSegment(Seg.SS, { selector: 0x2b, base: 0n, limit: 0xffff_ffff, attributes: 0xc0f3 });
    pv.state.setGpr(Reg.RSP, 0x7fff_0000n);
    pv.state.rip = 0x40_0000n;
    expect(createBounceFrame(pv.host, pv.vcpu, HANDLER, Bounce.ErrorCode, 6)).toBe(true);
    const rsp = page(6) + 0x100n - 64n;
    expect(stackWords(pv, rsp, 8)).toEqual([0n, 0n, 6n, 0x40_0000n, 0x33n, 0x202n, 0x7fff_0000n, 0x2bn]);
    expect(pv.pv.kernelMode).toBe(true);
    expect(pv.roots).toEqual([5, 1]);
    expect(pv.state.segmentBase(Seg.GS)).toBe(0x1111n);
    expect(pv.state.segmentSelector(Seg.SS)).toBe(0xe02b);
  });

  it("shows the upcall mask in IF and in bits 32-39 of CS, and masks upcalls only where asked", () => {
    const pv = makePv();
    createBounceFrame(pv.host, pv.vcpu, HANDLER, 0);
    expect(upcallMask(pv)).toBe(0);
    createBounceFrame(pv.host, pv.vcpu, HANDLER, Bounce.MaskEvents);
    expect(upcallMask(pv)).toBe(1);
    createBounceFrame(pv.host, pv.vcpu, HANDLER, 0);
    const words = stackWords(pv, pv.state.gpr(Reg.RSP), 7);
    expect(words[3]).toBe(0x1_0000_e030n);
    expect(words[4]! & 0x200n).toBe(0n);
  });

  it("may cross a page, and crashes the domain when the stack can't be written", () => {
    const pv = makePv();
    pv.state.setGpr(Reg.RSP, page(8) + 32n);
    expect(createBounceFrame(pv.host, pv.vcpu, HANDLER, 0)).toBe(true);
    expect(stackWords(pv, page(8) + 32n - 56n, 7)[6]).toBe(0xe02bn);
    pv.state.setGpr(Reg.RSP, page(15) + 0x800n);
    expect(createBounceFrame(pv.host, pv.vcpu, HANDLER, 0)).toBe(false);
    expect(pv.crashes).toHaveLength(1);
  });

  it("refuses stacks in the hypervisor's hole", () => {
    const pv = makePv();
    pv.state.setGpr(Reg.RSP, 0xffff_8000_0000_1000n);
    expect(createBounceFrame(pv.host, pv.vcpu, HANDLER, 0)).toBe(false);
    pv.state.setGpr(Reg.RSP, 0x1000_0000_0000_0000n);
    expect(createBounceFrame(pv.host, pv.vcpu, HANDLER, 0)).toBe(false);
    expect(pv.crashes).toHaveLength(2);
  });
});

describe("injection", () => {
  it("pushes an error code for the vectors that have one, and follows the gate's mask flag", () => {
    const pv = makePv();
    pv.pv.trapAddress[13] = HANDLER;
    pv.pv.trapFlags[13] = 4;
    pv.pv.trapAddress[6] = HANDLER;
    injectException(pv.host, pv.vcpu, 13, 0x18);
    expect(stackWords(pv, pv.state.gpr(Reg.RSP), 3)[2]).toBe(0x18n);
    expect(upcallMask(pv)).toBe(1);
    const rip = pv.state.rip;
    injectException(pv.host, pv.vcpu, 6);
    expect(stackWords(pv, pv.state.gpr(Reg.RSP), 3)[2]).toBe(rip);
  });

  it("#PF stores CR2 in vcpu_info and tells user faults from kernel faults", () => {
    const pv = makePv();
    pv.pv.trapAddress[14] = HANDLER;
    pv.pv.kernelSp = page(8);
    injectPageFault(pv.host, pv.vcpu, 7, 0x1234n);
    expect(stackWords(pv, pv.state.gpr(Reg.RSP), 3)[2]).toBe(3n);
    expect(pv.memory.readU64(pv.vcpu.infoAddress + 16)).toBe(0x1234n);
    toggleGuestMode(pv.vcpu);
    injectPageFault(pv.host, pv.vcpu, 2, 0x5678n);
    expect(stackWords(pv, pv.state.gpr(Reg.RSP), 3)[2]).toBe(6n);
    expect(pv.pv.cr2).toBe(0x5678n);
  });

  it("without a handler says so, with the page walk, and crashes", () => {
    const pv = makePv();
    expect(injectPageFault(pv.host, pv.vcpu, 2, page(14))).toBe(false);
    expect(pv.log[0]).toBe("d0v0 Unhandled: vec 14, #PF[0002]");
    expect(pv.log[1]).toBe("Pagetable walk from ffff88800000e000:");
    expect(pv.log).toHaveLength(6);
    expect(pv.crashes).toHaveLength(1);
  });

  it("enters the event callback once: it masks upcalls itself", () => {
    const pv = makePv();
    pv.pv.eventCallback.address = HANDLER;
    injectPendingUpcalls(pv.host, pv.vcpu);
    expect(pv.state.rip).toBe(0n);
    pv.memory.writeU8(pv.vcpu.infoAddress, 1);
    injectPendingUpcalls(pv.host, pv.vcpu);
    expect(pv.state.rip).toBe(HANDLER);
    const rsp = pv.state.gpr(Reg.RSP);
    injectPendingUpcalls(pv.host, pv.vcpu);
    expect(pv.state.gpr(Reg.RSP)).toBe(rsp);
  });
});
