import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KERNEL_GS_BASE, Reg, Seg } from "../../../src/cpu/state-layout.js";
import { auditFrames } from "../../../src/hypervisor/audit.js";
import { copyToGuest } from "../../../src/hypervisor/guest-access.js";
import { callbackOp, nmiOp, setCallbacks } from "../../../src/hypervisor/hypercall/callbacks.js";
import {
  fpuTaskswitch,
  getDebugreg,
  iret,
  setDebugreg,
  setSegmentBase,
  stackSwitch,
} from "../../../src/hypervisor/hypercall/cpu-state.js";
import { setGdtCall, updateDescriptor } from "../../../src/hypervisor/hypercall/descriptors.js";
import { setTrapTable } from "../../../src/hypervisor/hypercall/set-trap-table.js";
import { updateVaMapping } from "../../../src/hypervisor/hypercall/update-va-mapping.js";
import { errno } from "../../../src/hypervisor/public/errno.js";
import { readDescriptor } from "../../../src/hypervisor/pv/descriptors.js";
import { runVcpu } from "../../../src/hypervisor/run-vcpu.js";
import { call, FREE_PFN, makeDomain, makeHost, otherReferences, putWords, va } from "../hypervisor-fixture.js";

const host = makeHost();
const dom0 = makeDomain(host, true);
const guest = makeDomain(host, false);
const { hypervisor, memory } = host;
const { vcpu } = guest;
const { pv } = vcpu;
const ARGS = va(FREE_PFN);
const DATA = 0x00cf_f300_0000_ffffn;

function readOnly(pfn: number): void {
  const entry = (BigInt(guest.p2m[pfn]!) << 12n) | 0x65n;
  expect(call(updateVaMapping, vcpu, va(pfn), entry, 0)).toBe(0);
}

describe("hypercalls on the vCPU's own state", () => {
  it("set_trap_table fills, ends at address 0, and clears", () => {
    putWords(vcpu, ARGS, [0x0010_0400n, 0x1000n, 0x0010_0703n, 0x2000n, 0, 0, 0x0010_0005n, 0x3000n]);
    expect(call(setTrapTable, vcpu, ARGS)).toBe(0);
    expect([pv.trapAddress[0], pv.trapAddress[3], pv.trapAddress[5]]).toEqual([0x1000n, 0x2000n, 0n]);
    expect([pv.trapFlags[0], pv.trapFlags[3], pv.trapSelector[3]]).toEqual([4, 7, 0x13]);
    putWords(vcpu, ARGS, [1, 0x8000_0000_0000_0000n]);
    expect(call(setTrapTable, vcpu, ARGS)).toBe(-errno.EINVAL);
    expect(call(setTrapTable, vcpu, 0x1234_0000_0000n)).toBe(-errno.EFAULT);
    expect(call(setTrapTable, vcpu, 0n)).toBe(0);
    expect(pv.trapAddress[3]).toBe(0n);
  });

  it("callback_op registers each type, and unregisters NMI alone", () => {
    const register = (type: number, flags: number, address: bigint) => {
      putWords(vcpu, ARGS, [BigInt(type) | (BigInt(flags) << 16n), address]);
      return call(callbackOp, vcpu, 0, ARGS);
    };
    for (const type of [0, 1, 2, 3, 4, 5, 7]) expect(register(type, 1, 0x1000n + BigInt(type))).toBe(0);
    expect(pv.eventCallback).toEqual({ address: 0x1000n, masksEvents: true });
    expect(pv.failsafeCallback).toEqual({ address: 0x1001n, masksEvents: true });
    expect(pv.syscall32Callback.address).toBe(0x1007n);
    expect(register(2, 0, 0x2000n)).toBe(0);
    expect(pv.syscallCallback).toEqual({ address: 0x2000n, masksEvents: false });
    expect(register(6, 0, 1n)).toBe(-errno.ENOSYS);
    expect(register(2, 0, 1n << 63n)).toBe(-errno.EINVAL);
    putWords(vcpu, ARGS, [4]);
    expect(call(callbackOp, vcpu, 1, ARGS)).toBe(0);
    expect(pv.nmiCallback.address).toBe(0n);
    putWords(vcpu, ARGS, [0]);
    expect(call(callbackOp, vcpu, 1, ARGS)).toBe(-errno.EINVAL);
    expect(call(callbackOp, vcpu, 9, ARGS)).toBe(-errno.ENOSYS);
    expect(call(setCallbacks, vcpu, 0x3000n, 0x3001n, 0x3002n)).toBe(0);
    expect(pv.syscallCallback.address).toBe(0x3002n);
  });

  it("set_segment_base keeps kernel and user GS apart", () => {
    const { state } = vcpu.cpu;
    expect(call(setSegmentBase, vcpu, 0, 0x1111n)).toBe(0);
    expect(call(setSegmentBase, vcpu, 1, 0x2222n)).toBe(0);
    expect(call(setSegmentBase, vcpu, 2, 0x3333n)).toBe(0);
    expect([state.segmentBase(Seg.FS), state.segmentBase(Seg.GS), state.u64(KERNEL_GS_BASE)]).toEqual([
      ...[0x1111n, 0x3333n, 0x2222n],
    ]);
    expect(call(setSegmentBase, vcpu, 0, 1n << 48n)).toBe(-errno.EINVAL);
    expect(call(setSegmentBase, vcpu, 9, 0)).toBe(-errno.EINVAL);
    expect(call(setSegmentBase, vcpu, 3, 0)).toBe(0);
    expect(state.u64(KERNEL_GS_BASE)).toBe(0n);
    expect(call(stackSwitch, vcpu, 0x10, 0x5555n)).toBe(0);
    expect([pv.kernelSs, pv.kernelSp]).toEqual([0x13, 0x5555n]);
  });

  it("debug registers and the task-switched flag", () => {
    expect(call(setDebugreg, vcpu, 1, 0x40_0000n)).toBe(0);
    expect(call(getDebugreg, vcpu, 1)).toBe(0x40_0000n);
    expect(call(setDebugreg, vcpu, 7, 0x000f_0004n)).toBe(0); // 4 bytes: RW at 0; DR1 local
    expect(call(setDebugreg, vcpu, 7, 0x0002_0001n)).toBe(-errno.EINVAL); // I/O breakpoint
    expect(call(getDebugreg, vcpu, 8)).toBe(-errno.EINVAL);
    expect(call(getDebugreg, vcpu, 5)).toBe(call(getDebugreg, vcpu, 7));
    expect(call(setDebugreg, vcpu, 7, 0)).toBe(0);
    call(fpuTaskswitch, vcpu, 1);
    expect(vcpu.cpu.state.cr0 & 8n).toBe(8n);
    call(fpuTaskswitch, vcpu, 0);
    expect(vcpu.cpu.state.cr0 & 8n).toBe(0n);
  });

  it("set_gdt takes read-only pages with good descriptors, update_descriptor changes them", () => {
    const pfn = FREE_PFN + 5;
    const mfn = guest.p2m[pfn]!;
    putWords(vcpu, va(pfn), [0, 0x00af_9b00_0000_ffffn]);
    putWords(vcpu, ARGS, [mfn]);
    expect(call(setGdtCall, vcpu, ARGS, 16)).toBe(-errno.EINVAL); // still writable
    readOnly(pfn);
    expect(call(setGdtCall, vcpu, ARGS, 16)).toBe(0);
    expect(copyToGuest(vcpu, va(pfn), new Uint8Array(8))).toBe(false);
    expect(readDescriptor(hypervisor, vcpu, 8)).toBe(0x00af_fb00_0000_ffffn);
    const address = BigInt(mfn) * 4096n;
    expect(call(updateDescriptor, vcpu, address + 16n, DATA)).toBe(0);
    expect(readDescriptor(hypervisor, vcpu, 0x13)).toBe(DATA);
    expect(call(updateDescriptor, vcpu, address + 16n, 0x0000_8900_0000_0067n)).toBe(-errno.EINVAL);
    expect(call(updateDescriptor, vcpu, address + 17n, DATA)).toBe(-errno.EINVAL);
    expect(call(updateDescriptor, vcpu, BigInt(dom0.p2m[FREE_PFN]!) * 4096n, DATA)).toBe(-errno.EINVAL);
    expect(call(updateDescriptor, vcpu, BigInt(pv.guestTable) * 4096n, DATA)).toBe(-errno.EINVAL);
    expect(call(setGdtCall, vcpu, ARGS, 7169)).toBe(-errno.EINVAL);
    putWords(vcpu, ARGS, [1n << 60n]);
    expect(call(setGdtCall, vcpu, ARGS, 1)).toBe(-errno.EINVAL);
    expect(call(setGdtCall, vcpu, 0, 0)).toBe(0);
    expect(auditFrames(hypervisor.mm, otherReferences([dom0.domain, guest.domain]))).toEqual([]);
  });

  it("random arguments never throw, and never touch the other domain", () => {
    const handlers = {
      ...{ setTrapTable, callbackOp, setCallbacks, nmiOp, stackSwitch, setSegmentBase, fpuTaskswitch },
      ...{ setDebugreg, getDebugreg, setGdtCall, updateDescriptor },
    };
    const names = Object.keys(handlers) as (keyof typeof handlers)[];
    const other = dom0.p2m.slice(FREE_PFN, FREE_PFN + 4);
    for (const mfn of other) memory.fill(mfn * 4096, 4096, 0x5a);
    const word = fc.oneof(
      fc.bigInt(0n, 2n ** 64n - 1n),
      fc.bigInt(0n, 20n),
      fc.nat(4095).map((n) => ARGS + BigInt(n)),
      fc.constantFrom(...guest.p2m.slice(FREE_PFN, FREE_PFN + 4), ...other).map((mfn) => BigInt(mfn) * 4096n),
      fc.constantFrom(...guest.p2m.slice(FREE_PFN, FREE_PFN + 4), ...other).map(BigInt),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.array(word, { maxLength: 4 }),
        fc.array(word, { maxLength: 8 }),
        (name, values, words) => {
          putWords(vcpu, ARGS, words);
          call(handlers[name], vcpu, ...values);
        },
      ),
      { numRuns: 3000 },
    );
    for (const mfn of other) expect(memory.bytes(mfn * 4096, 4096).every((byte) => byte === 0x5a)).toBe(true);
    expect(call(setGdtCall, vcpu, 0, 0)).toBe(0);
    expect(auditFrames(hypervisor.mm, otherReferences([dom0.domain, guest.domain]))).toEqual([]);
  });

  it("a random iret frame never throws: it returns, enters the failsafe callback, or crashes the domain", () => {
    const selector = fc.constantFrom(
      0n,
      3n,
      0xe033n,
      0xe02bn,
      0xe023n,
      0xe008n,
      0xe030n,
      0x33n,
      0x2fn,
      0xffffn,
      0x1_0000_e033n,
    );
    const any = fc.bigInt(0n, 2n ** 64n - 1n);
    const frame = fc.tuple(
      any,
      any,
      any,
      fc.constantFrom(0n, 0x100n),
      fc.oneof(any, fc.constant(va(FREE_PFN))),
      selector,
      any,
      any,
      selector,
    );
    fc.assert(
      fc.property(frame, (words) => {
        pv.kernelMode = true;
        pv.guestUserTable = words[0] & 1n ? pv.guestTable : -1;
        putWords(vcpu, ARGS, words);
        vcpu.cpu.state.setGpr(Reg.RSP, ARGS);
        call(iret, vcpu);
        guest.domain.isShutDown = false;
        guest.domain.needsDump = false;
      }),
      { numRuns: 2000 },
    );
    pv.kernelMode = true;
    pv.guestUserTable = -1;
  });
});

describe("a running guest", () => {
  it("takes INT3 through its trap table and comes back by iret", () => {
    const { state } = dom0.vcpu.cpu;
    const pfn = FREE_PFN + 1;
    // int3; mov eax, 0x1234; jmp $
    const main = [0xcc, 0xb8, 0x34, 0x12, 0, 0, 0xeb, 0xfe];
    // pop rcx; pop r11; push 0; push rcx; push r11; push rax; mov eax, 23 (iret); syscall
    const handler = [0x59, 0x41, 0x5b, 0x6a, 0, 0x51, 0x41, 0x53, 0x50, 0xb8, 23, 0, 0, 0, 0x0f, 0x05];
    copyToGuest(dom0.vcpu, va(pfn), Uint8Array.from(main));
    copyToGuest(dom0.vcpu, va(pfn) + 64n, Uint8Array.from(handler));
    dom0.vcpu.pv.trapAddress[3] = va(pfn) + 64n;
    state.rip = va(pfn);
    state.setGpr(Reg.RSP, va(FREE_PFN + 3));
    dom0.vcpu.isUp = true;
    host.log.length = 0;
    runVcpu(dom0.vcpu, 2000);
    expect(host.log).toEqual([]);
    expect(state.rip).toBe(va(pfn) + 6n);
    expect(state.gpr(Reg.RAX)).toBe(0x1234n);
    expect(state.gpr(Reg.RSP)).toBe(va(FREE_PFN + 3));
  });
});
