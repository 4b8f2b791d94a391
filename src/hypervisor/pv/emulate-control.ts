// Control, debug and model-specific registers, CPUID, time stamps, flags and caches for PV guests (SDM volume 2).

import { OperandKind } from "../../cpu/decode/decoded.js";
import { Reg, TSC_AUX, XCR0 } from "../../cpu/state-layout.js";
import { readCr0, setTaskSwitched, writeCr0, writeCr4 } from "./control-registers.js";
import type { CpuidResult } from "./cpuid-policy.js";
import { getDebugRegister, setDebugRegister } from "./debug-registers.js";
import { EmulationResult, type Emulator, type EmulatorTable, kernelOnly } from "./emulation.js";
import { ioplAllows } from "./io-ports.js";
import { readMsr, unknownMsrLine, writeMsr } from "./msr.js";
import { type PvContext, type PvHost, VCPU_INFO_CR2 } from "./pv-context.js";
import { Cr4 } from "./pv-vcpu.js";

const { Done, Refused } = EmulationResult;
const LOW = 0xffff_ffffn;
const GP = 13;

function edxEax(vcpu: PvContext): bigint {
  const { state } = vcpu.cpu;
  return (BigInt(state.gprNumber(Reg.RDX)) << 32n) | BigInt(state.gprNumber(Reg.RAX));
}

function setEdxEax(vcpu: PvContext, value: bigint): void {
  vcpu.cpu.state.setGpr(Reg.RAX, value & LOW);
  vcpu.cpu.state.setGpr(Reg.RDX, (value >> 32n) & LOW);
}

function readControlRegister(vcpu: PvContext, index: number): bigint | undefined {
  const { pv } = vcpu;
  if (index === 0) return readCr0(vcpu);
  if (index === 2) return pv.cr2;
  if (index === 3) return BigInt(pv.guestTable) << 12n;
  return index === 4 ? pv.cr4 : undefined;
}

function writeControlRegister(host: PvHost, vcpu: PvContext, index: number, value: bigint): boolean {
  switch (index) {
    case 0:
      return writeCr0(vcpu, value);
    case 2:
      vcpu.pv.cr2 = value;
      host.memory.writeU64(vcpu.infoAddress + VCPU_INFO_CR2, value);
      return true;
    case 3:
      return host.newBasePointer(vcpu, Number((value >> 12n) & 0xff_ffff_ffffn));
    case 4:
      writeCr4(host, vcpu, value);
      return true;
    default:
      return false;
  }
}

/** CPUID as this vCPU sees it now, in guest kernel or user mode. The result is reused. */
export function queryCpuid(host: PvHost, vcpu: PvContext, leaf: number, subleaf: number): CpuidResult {
  const osxsave = vcpu.pv.kernelMode || (vcpu.pv.cr4 & Cr4.OSXSAVE) !== 0n;
  return host.cpuid.query(leaf, subleaf, { vcpuId: vcpu.id, osxsave });
}

/** Answers CPUID from the vCPU's registers into them; shared with the forced form of it. */
export function emulateCpuid(host: PvHost, vcpu: PvContext): void {
  const { state } = vcpu.cpu;
  const result = queryCpuid(host, vcpu, state.gprNumber(Reg.RAX), state.gprNumber(Reg.RCX));
  state.setGpr(Reg.RAX, BigInt(result[0]!));
  state.setGpr(Reg.RBX, BigInt(result[1]!));
  state.setGpr(Reg.RCX, BigInt(result[2]!));
  state.setGpr(Reg.RDX, BigInt(result[3]!));
}

const ignoredByIopl: Emulator = (_host, vcpu) => (ioplAllows(vcpu) ? Done : Refused);

const readTsc: Emulator = (host, vcpu) => {
  // Only CR4.TSD makes RDTSC fault; then it is the kernel's alone.
  if (!vcpu.pv.kernelMode) return Refused;
  setEdxEax(vcpu, host.readTsc(vcpu));
  return Done;
};

export const controlEmulators: EmulatorTable = {
  // Interrupt masking is the upcall mask's business: with enough IOPL they do nothing.
  CLI: ignoredByIopl,
  STI: ignoredByIopl,

  CLTS: kernelOnly((_host, vcpu) => {
    setTaskSwitched(vcpu, false);
    return Done;
  }),
  WBINVD: kernelOnly(() => Done),

  MOV_FROM_CR: kernelOnly((_host, vcpu, decoded) => {
    const value = readControlRegister(vcpu, decoded.code[1]!);
    if (value === undefined) return Refused;
    vcpu.cpu.state.setGpr(decoded.code[0]!, value);
    return Done;
  }),
  MOV_TO_CR: kernelOnly((host, vcpu, decoded) =>
    writeControlRegister(host, vcpu, decoded.code[0]!, vcpu.cpu.state.gpr(decoded.code[1]!)) ? Done : Refused,
  ),
  LMSW: kernelOnly((_host, vcpu, decoded) => {
    if (decoded.form.operands[0]!.kind !== OperandKind.Gpr) return Refused;
    const low = vcpu.cpu.state.gpr(decoded.code[0]!) & 0xfn;
    return writeCr0(vcpu, (readCr0(vcpu) & ~0xfn) | low) ? Done : Refused;
  }),
  MOV_FROM_DR: kernelOnly((_host, vcpu, decoded) => {
    const value = getDebugRegister(vcpu, decoded.code[1]!);
    if (value === undefined) return Refused;
    vcpu.cpu.state.setGpr(decoded.code[0]!, value);
    return Done;
  }),
  MOV_TO_DR: kernelOnly((_host, vcpu, decoded) =>
    setDebugRegister(vcpu, decoded.code[0]!, vcpu.cpu.state.gpr(decoded.code[1]!)) ? Done : Refused,
  ),

  RDMSR: kernelOnly((host, vcpu) => {
    const index = vcpu.cpu.state.gprNumber(Reg.RCX);
    let value = readMsr(host, vcpu, index);
    if (value === undefined) {
      host.debugLog(unknownMsrLine(vcpu, index));
      // A kernel that reads MSRs before it can take #GP would only die of it (arch-x86/xen.h: trap_info).
      if (vcpu.pv.hasTrapHandler(GP)) return Refused;
      value = 0n;
    }
    setEdxEax(vcpu, value);
    return Done;
  }),
  WRMSR: kernelOnly((host, vcpu) => {
    const index = vcpu.cpu.state.gprNumber(Reg.RCX);
    const value = edxEax(vcpu);
    if (writeMsr(vcpu, index, value)) return Done;
    host.debugLog(unknownMsrLine(vcpu, index, value));
    return Refused;
  }),

  CPUID: (host, vcpu) => {
    emulateCpuid(host, vcpu);
    return Done;
  },
  RDTSC: readTsc,
  RDTSCP: (host, vcpu, decoded) => {
    const result = readTsc(host, vcpu, decoded);
    if (result === Done) vcpu.cpu.state.setGpr(Reg.RCX, vcpu.cpu.state.u64(TSC_AUX) & LOW);
    return result;
  },
  XSETBV: kernelOnly((host, vcpu) => {
    const value = edxEax(vcpu);
    const { state } = vcpu.cpu;
    if (!(vcpu.pv.cr4 & Cr4.OSXSAVE) || state.gprNumber(Reg.RCX) !== 0 || !host.cpuid.hasXsave) return Refused;
    // x87 can't be off; nothing beyond x87 and SSE exists.
    if ((value & 1n) === 0n || value > 3n) return Refused;
    state.setU64(XCR0, value);
    return Done;
  }),
};
