// What becomes of a PV guest's exits: exceptions, software interrupts, system calls. Each handler leaves the vCPU ready to run
// again: the instruction emulated, the guest kernel entered, or the domain crashed.

import { type Exit, Vector } from "../../cpu/exit.js";
import { DR, Reg, SEG_SELECTOR, Seg } from "../../cpu/state-layout.js";
import { XEN_EMULATE_PREFIX } from "../public/arch-x86/xen.js";
import {
  FLAT_USER_CS32,
  FLAT_USER_CS64,
  FLAT_USER_SS64,
  HYPERVISOR_VIRT_END,
  HYPERVISOR_VIRT_START,
} from "../public/arch-x86/xen-x86_64.js";
import { VMASST_TYPE_writable_pagetables } from "../public/xen.js";
import { Bounce, createBounceFrame } from "./bounce.js";
import { setTaskSwitched } from "./control-registers.js";
import { emulateCpuid } from "./emulate-control.js";
import { emulatePrivileged, retire } from "./emulate-privileged.js";
import { injectException, injectPageFault, injectSoftwareInterrupt, permitsSoftwareInterrupt } from "./inject.js";
import { hasAssist, type PvContext, type PvHost } from "./pv-context.js";
import { CR0_TS, DR6_DEFAULT } from "./pv-vcpu.js";
import { translate } from "./translate.js";

/** Page-fault error code, SDM 3A 4.7. */
const PF_PRESENT = 1;
const PF_WRITE = 2;
const PF_RESERVED = 8;
const PF_FETCH = 16;
/** Error code of #GP for a gate: bit 1. */
const IDT = 2;
const SELECTOR_OF_CS = SEG_SELECTOR + 4 * Seg.CS;
const SELECTOR_OF_SS = SEG_SELECTOR + 4 * Seg.SS;

const FORCED_CPUID = [...XEN_EMULATE_PREFIX, 0x0f, 0xa2];

/** Handles an Exception exit. */
export function handleException(host: PvHost, vcpu: PvContext, exit: Exit): void {
  const { vector, errorCode } = exit;
  switch (vector) {
    case Vector.PF:
      handlePageFault(host, vcpu, errorCode);
      return;
    case Vector.GP:
      if (errorCode === 0 && emulatePrivileged(host, vcpu)) return;
      break;
    case Vector.UD:
      if (forcedCpuid(host, vcpu)) return;
      break;
    case Vector.NM: {
      // The guest sees TS cleared, as if it had executed CLTS itself.
      const own = (vcpu.pv.cr0 & CR0_TS) !== 0n;
      setTaskSwitched(vcpu, false);
      if (!own) return;
      break;
    }
    case Vector.DB:
      recordDebugStatus(vcpu);
      break;
  }
  injectException(host, vcpu, vector, errorCode);
}

function handlePageFault(host: PvHost, vcpu: PvContext, errorCode: number): void {
  const address = vcpu.cpu.state.cr2;
  const readOnlyWrite =
    (errorCode & (PF_PRESENT | PF_WRITE)) === (PF_PRESENT | PF_WRITE) && !(errorCode & (PF_RESERVED | PF_FETCH));
  if (
    readOnlyWrite &&
    vcpu.pv.kernelMode &&
    hasAssist(vcpu, VMASST_TYPE_writable_pagetables) &&
    !(address >= HYPERVISOR_VIRT_START && address < HYPERVISOR_VIRT_END) &&
    host.emulatePageTableWrite(vcpu, address)
  )
    return;
  injectPageFault(host, vcpu, errorCode, address);
}

/** `ud2a; .ascii "xen"; cpuid` at RIP: CPUID as Xen answers it, whatever the processor itself would say. */
function forcedCpuid(host: PvHost, vcpu: PvContext): boolean {
  const { state } = vcpu.cpu;
  for (let i = 0; i < FORCED_CPUID.length; i++) {
    const va = BigInt.asUintN(64, state.rip + BigInt(i));
    const maddr = translate(host, vcpu, va, false);
    if (maddr < 0) {
      injectPageFault(host, vcpu, 0, va);
      return true;
    }
    if (host.memory.readU8(maddr) !== FORCED_CPUID[i]) return false;
  }
  emulateCpuid(host, vcpu);
  retire(host, vcpu, FORCED_CPUID.length);
  return true;
}

/** DR6 belongs to the guest from here on: it collects causes until the guest clears it. */
function recordDebugStatus(vcpu: PvContext): void {
  const { state } = vcpu.cpu;
  const { dr } = vcpu.pv;
  dr[6] = dr[6]! | (state.dr(6) & ~DR6_DEFAULT);
  state.setU64(DR + 48, DR6_DEFAULT);
}

/** Handles INT n, INT3, INTO and INT1: RIP is at the instruction. */
export function handleSoftwareInterrupt(host: PvHost, vcpu: PvContext, exit: Exit): void {
  const { state } = vcpu.cpu;
  const { vector, length } = exit;
  const isGateOpenToAll = vector === Vector.BP || vector === Vector.OF || (vector === Vector.DB && length === 1);
  if (!isGateOpenToAll && !permitsSoftwareInterrupt(vcpu, vector)) {
    injectException(host, vcpu, Vector.GP, vector * 8 + IDT);
    return;
  }
  const next = state.rip + BigInt(length);
  state.rip = state.codeMode === 2 ? BigInt.asUintN(64, next) : next & 0xffff_ffffn;
  if (vector === Vector.DB) recordDebugStatus(vcpu);
  injectSoftwareInterrupt(host, vcpu, vector);
}

/**
 * Handles SYSCALL from guest user mode: RIP is after it. The frame shows RCX = RIP and R11 = RFLAGS as the instruction
 * leaves them, and the flat user selectors, whatever the guest's own ones were.
 */
export function handleSyscall(host: PvHost, vcpu: PvContext, exit: Exit): void {
  const { pv, cpu } = vcpu;
  const { state } = cpu;
  const compat = state.codeMode !== 2;
  const callback = compat && pv.syscall32Callback.address !== 0n ? pv.syscall32Callback : pv.syscallCallback;
  if (callback.address === 0n) {
    state.rip -= BigInt(exit.length);
    injectException(host, vcpu, Vector.UD);
    return;
  }
  state.setGpr(Reg.RCX, state.rip);
  state.setGpr(Reg.R11, state.rflags);
  state.setU32(SELECTOR_OF_CS, compat ? FLAT_USER_CS32 : FLAT_USER_CS64);
  state.setU32(SELECTOR_OF_SS, FLAT_USER_SS64);
  const mask = callback.masksEvents ? Bounce.MaskEvents : 0;
  createBounceFrame(host, vcpu, callback.address, Bounce.ClearDirection | mask);
}

/** Handles SYSENTER: RIP is after it. Our processor is AMD's, where it doesn't exist in long mode. */
export function handleSysenter(host: PvHost, vcpu: PvContext, exit: Exit): void {
  vcpu.cpu.state.rip -= BigInt(exit.length);
  injectException(host, vcpu, Vector.UD);
}
