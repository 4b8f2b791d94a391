import { describe, expect, it } from "vitest";
import { type Exit, ExitKind } from "../../../src/cpu/exit.js";
import { CR0, KERNEL_GS_BASE, Reg, Seg } from "../../../src/cpu/state-layout.js";
import { toggleGuestMode } from "../../../src/hypervisor/pv/guest-mode.js";
import { handleException, handleSoftwareInterrupt, handleSyscall } from "../../../src/hypervisor/pv/traps.js";
import { code, machineAddress, makePv, type Pv, page, stackWords, upcallMask } from "./pv-fixture.js";

const exception = (vector: number, errorCode = 0): Exit => ({
  kind: ExitKind.Exception,
  vector,
  hasErrorCode: true,
  errorCode,
  length: 0,
});

/** Executes one privileged instruction; true when it was emulated, false when the guest got #GP. */
function emulate(pv: Pv, ...bytes: number[]): boolean {
  pv.pv.trapAddress[13] = page(1);
  code(pv, ...bytes);
  handleException(pv.host, pv.vcpu, exception(13));
  if (pv.state.rip === page(1)) return false;
  expect(pv.state.rip).toBe(page(0) + BigInt(bytes.length));
  return true;
}

describe("privileged instructions", () => {
  it("IN and OUT reach the machine's ports when the virtual IOPL allows it", () => {
    const written: number[][] = [];
    const ports = {
      read: (port: number, size: number) => (port << 8) | size,
      write: (...args: number[]) => void written.push(args),
    };
    const pv = makePv({ ports });
    expect(emulate(pv, 0xe4, 0x64)).toBe(false);
    pv.pv.iopl = 1;
    pv.state.setGpr(Reg.RAX, 0x1111_2222_3333_4444n);
    expect(emulate(pv, 0xe4, 0x64)).toBe(true);
    expect(pv.state.gpr(Reg.RAX)).toBe(0x1111_2222_3333_4401n);
    pv.state.setGpr(Reg.RDX, 0xcf8n);
    expect(emulate(pv, 0x66, 0xed)).toBe(true);
    // Half of the PCI address register covers the reset control, which is Xen's.
    expect(pv.state.gpr(Reg.RAX)).toBe(0x1111_2222_3333_ffffn);
    expect(emulate(pv, 0xed)).toBe(true);
    expect(pv.state.gpr(Reg.RAX)).toBe(0xc_f804n);
    expect(emulate(pv, 0xef)).toBe(true);
    expect(emulate(pv, 0xe6, 0x80)).toBe(true);
    expect(written).toEqual([
      [0xcf8, 4, 0xc_f804],
      [0x80, 1, 4],
    ]);
  });

  it("ports that Xen keeps, and all ports of an unprivileged domain, read as ones", () => {
    const ports = { read: () => 0, write: () => expect.unreachable() };
    const pv = makePv({ ports });
    pv.pv.iopl = 1;
    expect(emulate(pv, 0xe4, 0x21)).toBe(true);
    expect(pv.state.gpr(Reg.RAX)).toBe(0xffn);
    expect(emulate(pv, 0xe4, 0x60)).toBe(true);
    expect(pv.state.gpr(Reg.RAX)).toBe(0n);
    expect(emulate(pv, 0xe6, 0x21)).toBe(true);
    const other = makePv({ ports, privileged: false });
    other.pv.iopl = 1;
    expect(emulate(other, 0xe4, 0x60)).toBe(true);
    expect(other.state.gpr(Reg.RAX)).toBe(0xffn);
  });

  it("the I/O bitmap opens single ports to guest user mode", () => {
    const pv = makePv({ ports: { read: () => 0x5a, write: () => {} } });
    pv.pv.kernelSp = page(8);
    pv.pv.ioBitmap = page(2);
    pv.pv.ioBitmapPorts = 0x400;
    pv.memory.fill(machineAddress(page(2)), 128, 0xff);
    pv.memory.writeU8(machineAddress(page(2)) + 0x60 / 8, 0xfe);
    toggleGuestMode(pv.vcpu);
    expect(emulate(pv, 0xe4, 0x60)).toBe(true);
    expect(emulate(pv, 0xe4, 0x61)).toBe(false);
  });

  it("REP INSB and OUTSW move strings and stop at a page fault", () => {
    const out: number[] = [];
    let next = 0;
    const pv = makePv({ ports: { read: () => next++, write: (_p, _s, value) => void out.push(value) } });
    pv.pv.iopl = 1;
    pv.state.setGpr(Reg.RDX, 0x1f0n);
    pv.state.setGpr(Reg.RDI, page(2));
    pv.state.setGpr(Reg.RCX, 4n);
    expect(emulate(pv, 0xf3, 0x6c)).toBe(true);
    expect(pv.memory.readU32(machineAddress(page(2)))).toBe(0x0302_0100);
    expect(pv.state.gpr(Reg.RCX)).toBe(0n);
    pv.state.setGpr(Reg.RSI, page(2));
    pv.state.setGpr(Reg.RCX, 2n);
    expect(emulate(pv, 0xf3, 0x66, 0x6f)).toBe(true);
    expect(out).toEqual([0x0100, 0x0302]);
    expect(pv.state.gpr(Reg.RSI)).toBe(page(2) + 4n);
    pv.pv.trapAddress[14] = page(3);
    pv.state.setGpr(Reg.RDI, page(14) - 2n);
    pv.state.setGpr(Reg.RCX, 4n);
    code(pv, 0xf3, 0x6c);
    handleException(pv.host, pv.vcpu, exception(13));
    expect(pv.state.rip).toBe(page(3));
    expect(pv.state.gpr(Reg.RCX)).toBe(2n);
    expect(stackWords(pv, pv.state.gpr(Reg.RSP), 4)[3]).toBe(page(0));
  });

  it("CLI and STI do nothing with enough IOPL", () => {
    const pv = makePv();
    expect(emulate(pv, 0xfa)).toBe(false);
    pv.pv.iopl = 1;
    expect(emulate(pv, 0xfa)).toBe(true);
    expect(emulate(pv, 0xfb)).toBe(true);
    expect(pv.state.rflags & 0x200n).toBe(0x200n);
  });

  it("control registers", () => {
    const pv = makePv();
    expect(emulate(pv, 0x0f, 0x20, 0xc1)).toBe(true); // mov rcx, cr0
    expect(pv.state.gpr(Reg.RCX)).toBe(0x8005_0033n);
    pv.state.setGpr(Reg.RCX, 0x8005_003bn);
    expect(emulate(pv, 0x0f, 0x22, 0xc1)).toBe(true); // mov cr0, rcx: TS
    expect(pv.state.u64(CR0)).toBe(0x8005_003bn);
    expect(emulate(pv, 0x0f, 0x06)).toBe(true); // clts
    expect(pv.state.u64(CR0)).toBe(0x8005_0033n);
    pv.state.setGpr(Reg.RCX, 0x33n);
    expect(emulate(pv, 0x0f, 0x22, 0xc1)).toBe(false);
    expect(emulate(pv, 0x0f, 0x20, 0xd8)).toBe(true); // mov rax, cr3
    expect(pv.state.gpr(Reg.RAX)).toBe(0x1000n);
    pv.state.setGpr(Reg.RAX, 0x5000n);
    expect(emulate(pv, 0x0f, 0x22, 0xd8)).toBe(true);
    expect(pv.pv.guestTable).toBe(5);
    pv.state.setGpr(Reg.RAX, 0x7000n);
    expect(emulate(pv, 0x0f, 0x22, 0xd8)).toBe(false);
    pv.state.setGpr(Reg.RAX, 0xffff_ffffn); // VMXE and others are ignored, TSD taken over
    expect(emulate(pv, 0x0f, 0x22, 0xe0)).toBe(true);
    expect(emulate(pv, 0x0f, 0x20, 0xe0)).toBe(true);
    expect(pv.state.gpr(Reg.RAX)).toBe(0x5_06ecn);
    expect(emulate(pv, 0x44, 0x0f, 0x20, 0xc0)).toBe(false); // cr8
  });

  it("debug registers", () => {
    const pv = makePv();
    pv.state.setGpr(Reg.RAX, 0x1234n);
    expect(emulate(pv, 0x0f, 0x23, 0xc0)).toBe(true); // mov dr0, rax
    expect(emulate(pv, 0x0f, 0x21, 0xc3)).toBe(true); // mov rbx, dr0
    expect(pv.state.gpr(Reg.RBX)).toBe(0x1234n);
    pv.state.setGpr(Reg.RAX, 0xffff_8000_0000_0000n);
    expect(emulate(pv, 0x0f, 0x23, 0xc0)).toBe(false);
    pv.state.setGpr(Reg.RAX, 0x2001n); // general detect
    expect(emulate(pv, 0x0f, 0x23, 0xf8)).toBe(false);
  });

  it("MSRs", () => {
    const pv = makePv();
    const rdmsr = (index: number) => {
      pv.state.setGpr(Reg.RCX, BigInt(index));
      return emulate(pv, 0x0f, 0x32) ? (pv.state.gpr(Reg.RDX) << 32n) | pv.state.gpr(Reg.RAX) : undefined;
    };
    expect(rdmsr(0xc000_0080)).toBe(0xd01n);
    expect(rdmsr(0x277)).toBe(0x0005_0100_0704_06n);
    expect(rdmsr(0x10)).toBe(0x1_2345_6789n);
    expect(rdmsr(0x1234)).toBeUndefined();
    expect(pv.log.at(-1)).toBe("d0v0 RDMSR 0x00001234 unimplemented");
    pv.state.setGpr(Reg.RAX, 0x5678n);
    pv.state.setGpr(Reg.RDX, 0xffff_8880n);
    pv.state.setGpr(Reg.RCX, 0xc000_0102n);
    expect(emulate(pv, 0x0f, 0x30)).toBe(true);
    expect(pv.state.u64(KERNEL_GS_BASE)).toBe(0xffff_8880_0000_5678n);
    pv.state.setGpr(Reg.RDX, 0x8000_0000n);
    expect(emulate(pv, 0x0f, 0x30)).toBe(false);
  });

  it("an unknown RDMSR before the guest has a #GP handler reads 0", () => {
    const pv = makePv();
    code(pv, 0x0f, 0x32);
    pv.state.setGpr(Reg.RCX, 0x1234n);
    pv.state.setGpr(Reg.RAX, 5n);
    handleException(pv.host, pv.vcpu, exception(13));
    expect(pv.state.gpr(Reg.RAX)).toBe(0n);
    expect(pv.crashes).toEqual([]);
  });

  it("guest user mode gets #GP for what is the kernel's", () => {
    const pv = makePv();
    pv.pv.kernelSp = page(8);
    for (const bytes of [[0x0f, 0x32], [0x0f, 0x06], [0x0f, 0x20, 0xc0], [0xfa], [0xf4], [0x0f, 0x09]]) {
      toggleGuestMode(pv.vcpu);
      expect(emulate(pv, ...bytes)).toBe(false);
    }
  });

  it("LGDT, LIDT, HLT, IRET, SWAPGS and LOCK-prefixed forms go to the guest as #GP", () => {
    const pv = makePv();
    expect(emulate(pv, 0x0f, 0x01, 0x10)).toBe(false);
    expect(emulate(pv, 0x0f, 0x01, 0x18)).toBe(false);
    expect(emulate(pv, 0xf4)).toBe(false);
    expect(emulate(pv, 0x0f, 0x01, 0xf8)).toBe(false);
    expect(emulate(pv, 0x0f, 0x01, 0x38)).toBe(false);
  });

  it("an instruction across two pages is read from both", () => {
    const pv = makePv();
    pv.pv.iopl = 1;
    pv.memory.writeU8(machineAddress(page(1)) - 1, 0xe4);
    pv.memory.writeU8(machineAddress(page(1)), 0x64);
    pv.state.rip = page(1) - 1n;
    handleException(pv.host, pv.vcpu, exception(13));
    expect(pv.state.rip).toBe(page(1) + 1n);
  });

  it("with TF set the guest gets a single-step trap after the instruction", () => {
    const pv = makePv();
    pv.pv.iopl = 1;
    pv.pv.trapAddress[1] = page(4);
    pv.state.rflags = 0x302n;
    code(pv, 0xfa);
    handleException(pv.host, pv.vcpu, exception(13));
    expect(pv.state.rip).toBe(page(4));
    expect(stackWords(pv, pv.state.gpr(Reg.RSP), 3)[2]).toBe(page(0) + 1n);
    expect(pv.pv.dr[6]! & 0x4000n).toBe(0x4000n);
  });
});

describe("exceptions", () => {
  it("forced CPUID answers with Xen's leaves; a plain UD2 is a #UD", () => {
    const pv = makePv();
    pv.pv.trapAddress[6] = page(1);
    pv.state.setGpr(Reg.RAX, 0x4000_0000n);
    code(pv, 0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2);
    handleException(pv.host, pv.vcpu, exception(6));
    expect(pv.state.rip).toBe(page(0) + 7n);
    expect(pv.state.gpr(Reg.RBX)).toBe(0x566e_6558n);
    code(pv, 0x0f, 0x0b, 0x90);
    handleException(pv.host, pv.vcpu, exception(6));
    expect(pv.state.rip).toBe(page(1));
  });

  it("#NM with the guest's TS reaches it with TS cleared", () => {
    const pv = makePv();
    pv.pv.trapAddress[7] = page(1);
    code(pv, 0xd9, 0xe8);
    pv.pv.cr0 = 8n;
    pv.state.setU64(CR0, 0x8005_003bn);
    handleException(pv.host, pv.vcpu, exception(7));
    expect(pv.state.rip).toBe(page(1));
    expect(pv.state.u64(CR0)).toBe(0x8005_0033n);
  });

  it("a kernel write to a read-only page goes to the page-table emulation, with the assist only", () => {
    const pv = makePv();
    pv.pv.trapAddress[14] = page(1);
    pv.state.cr2 = page(15);
    handleException(pv.host, pv.vcpu, exception(14, 7));
    expect(pv.written).toEqual([]);
    expect(pv.state.rip).toBe(page(1));
    pv.vcpu.domain.assists = 4;
    pv.state.rip = page(0);
    handleException(pv.host, pv.vcpu, exception(14, 7));
    expect(pv.written).toEqual([page(15)]);
    handleException(pv.host, pv.vcpu, exception(14, 5));
    expect(pv.written).toHaveLength(1);
  });

  it("INT n checks the gate's level; INT3 doesn't", () => {
    const pv = makePv();
    const int = (vector: number, length: number): Exit => ({
      ...exception(vector),
      kind: ExitKind.SoftwareInterrupt,
      length,
    });
    pv.pv.kernelSp = page(8);
    pv.pv.trapAddress[0x80] = page(2);
    pv.pv.trapAddress[13] = page(1);
    pv.pv.trapAddress[3] = page(3);
    toggleGuestMode(pv.vcpu);
    code(pv, 0xcd, 0x80);
    handleSoftwareInterrupt(pv.host, pv.vcpu, int(0x80, 2));
    expect(pv.state.rip).toBe(page(1));
    expect(stackWords(pv, pv.state.gpr(Reg.RSP), 4).slice(2)).toEqual([0x402n, page(0)]);
    pv.pv.trapFlags[0x80] = 3;
    toggleGuestMode(pv.vcpu);
    code(pv, 0xcd, 0x80);
    handleSoftwareInterrupt(pv.host, pv.vcpu, int(0x80, 2));
    expect(pv.state.rip).toBe(page(2));
    expect(stackWords(pv, pv.state.gpr(Reg.RSP), 3)[2]).toBe(page(0) + 2n);
    code(pv, 0xcc);
    handleSoftwareInterrupt(pv.host, pv.vcpu, int(3, 1));
    expect(pv.state.rip).toBe(page(3));
  });
});

describe("system calls", () => {
  const syscall: Exit = { ...exception(0), kind: ExitKind.Syscall, length: 2 };

  it("enter the callback with RIP and RFLAGS in RCX and R11, DF cleared and the flat user selectors", () => {
    const pv = makePv();
    pv.pv.kernelSp = page(8);
    pv.pv.syscallCallback.address = page(1);
    pv.pv.syscallCallback.masksEvents = true;
    toggleGuestMode(pv.vcpu);
    pv.state.setSegment(Seg.CS, { selector: 0x33, base: 0n, limit: 0xffff_ffff, attributes: 0xa0fb });
    pv.state.rip = 0x40_1000n;
    pv.state.rflags = 0x646n;
    pv.state.setGpr(Reg.RSP, 0x7ff0n);
    handleSyscall(pv.host, pv.vcpu, syscall);
    expect(stackWords(pv, pv.state.gpr(Reg.RSP), 7)).toEqual([
      ...[0x40_1000n, 0x646n, 0x40_1000n, 0xe033n, 0x646n, 0x7ff0n, 0xe02bn],
    ]);
    expect(pv.state.rflags).toBe(0x246n);
    expect(upcallMask(pv)).toBe(1);
  });

  it("of 32-bit code enter the 32-bit callback where there is one", () => {
    const pv = makePv();
    pv.pv.kernelSp = page(8);
    pv.pv.syscallCallback.address = page(1);
    pv.pv.syscall32Callback.address = page(2);
    toggleGuestMode(pv.vcpu);
    pv.state.codeMode = 1;
    handleSyscall(pv.host, pv.vcpu, syscall);
    expect(pv.state.rip).toBe(page(2));
    expect(pv.state.codeMode).toBe(2);
    expect(stackWords(pv, pv.state.gpr(Reg.RSP), 4)[3]).toBe(0xe023n);
  });

  it("without a callback are #UD", () => {
    const pv = makePv();
    pv.pv.kernelSp = page(8);
    pv.pv.trapAddress[6] = page(1);
    toggleGuestMode(pv.vcpu);
    pv.state.rip = 0x1002n;
    handleSyscall(pv.host, pv.vcpu, syscall);
    expect(stackWords(pv, pv.state.gpr(Reg.RSP), 3)[2]).toBe(0x1000n);
  });
});
