// The iret hypercall of 64-bit PV guests: pops struct iret_context from the guest kernel's stack (arch-x86/xen-x86_64.h) and
// continues there, in guest user mode when the saved CS has RPL 3, else in guest kernel mode. The upcall mask becomes the
// inverse of the saved IF. Selectors are loaded as the processor's IRET at CPL 3 would; when they can't be, the guest's
// failsafe callback is entered, or without one the domain is crashed.

import * as layout from "../../cpu/state-layout.js";
import { Reg, Seg } from "../../cpu/state-layout.js";
import { FLAT_USER_CS32, FLAT_USER_CS64, FLAT_USER_SS64, VGCF_in_syscall } from "../public/arch-x86/xen-x86_64.js";
import { VMASST_TYPE_architectural_iopl } from "../public/xen.js";
import { Bounce, createBounceFrame } from "./bounce.js";
import { unpackDescriptor } from "./descriptor-check.js";
import { readDescriptor } from "./descriptors.js";
import { toggleGuestMode } from "./guest-mode.js";
import { readGuestWords } from "./guest-words.js";
import { hasAssist, type PvContext, type PvHost, VCPU_INFO_UPCALL_MASK, vcpuName } from "./pv-context.js";
import { NO_TABLE } from "./pv-vcpu.js";
import { isCanonical } from "./translate.js";

/** iret_context in words. */
const RAX = 0;
const R11 = 1;
const RCX = 2;
const FLAGS = 3;
const RIP = 4;
const CS = 5;
const RFLAGS = 6;
const RSP = 7;
const SS = 8;
const WORDS = 9;

const IF = BigInt(layout.IF);
/** RFLAGS bits that IRET at CPL 3 can load (SDM 2A IRET), RF included. */
const LOADABLE = BigInt(layout.STATUS_FLAGS | layout.TF | layout.DF | layout.NT | layout.RF | layout.AC | layout.ID);

const frame = new BigUint64Array(WORDS);

/** Handles the hypercall. The vCPU's RIP, stack and registers are the new ones afterwards; nothing is returned in RAX. */
export function doIret(host: PvHost, vcpu: PvContext): void {
  const { pv } = vcpu;
  const { state } = vcpu.cpu;
  if (!readGuestWords(host, vcpu, state.gpr(Reg.RSP), frame, WORDS)) {
    host.log(`${vcpuName(vcpu)} Fault while reading IRET context from guest stack`);
    host.crashDomain(vcpu, "iret hypercall: the frame can't be read");
    return;
  }
  const toUser = (frame[CS]! & 3n) === 3n;
  if (toUser) {
    if (pv.guestUserTable === NO_TABLE) {
      host.log(`${vcpuName(vcpu)} Guest switching to user mode with no user page tables`);
      host.crashDomain(vcpu, "iret hypercall: no user page tables");
      return;
    }
    toggleGuestMode(vcpu);
  }
  const savedFlags = frame[RFLAGS]!;
  if (hasAssist(vcpu, VMASST_TYPE_architectural_iopl)) pv.iopl = Number((savedFlags >> 12n) & 3n);
  host.memory.writeU8(vcpu.infoAddress + VCPU_INFO_UPCALL_MASK, savedFlags & IF ? 0 : 1);
  pv.nmiMasked = false;

  const oldFlags = state.rflags;
  state.rflags = (savedFlags & LOADABLE) | IF;
  if ((oldFlags | savedFlags) & BigInt(layout.TF | layout.AC)) vcpu.cpu.accessRightsChanged();
  state.setGpr(Reg.RSP, frame[RSP]!);
  state.setGpr(Reg.RAX, frame[RAX]!);
  state.rip = frame[RIP]!;
  let cs = Number(frame[CS]! & 0xffffn) | 3;
  let ss = Number(frame[SS]! & 0xffffn) | 3;
  if (frame[FLAGS]! & BigInt(VGCF_in_syscall)) {
    // As SYSRET leaves them.
    state.setGpr(Reg.R11, state.rflags);
    state.setGpr(Reg.RCX, state.rip);
    cs = cs === FLAT_USER_CS32 ? FLAT_USER_CS32 : FLAT_USER_CS64;
    ss = FLAT_USER_SS64;
  } else {
    state.setGpr(Reg.R11, frame[R11]!);
    state.setGpr(Reg.RCX, frame[RCX]!);
  }
  if (!loadCodeAndStack(host, vcpu, cs, ss)) enterFailsafe(host, vcpu, cs, ss);
}

function enterFailsafe(host: PvHost, vcpu: PvContext, cs: number, ss: number): void {
  const { pv, cpu } = vcpu;
  const { failsafeCallback } = pv;
  if (failsafeCallback.address === 0n) {
    host.log(
      `${vcpuName(vcpu)} Cannot return to guest: CS ${cs.toString(16)} SS ${ss.toString(16)} RIP ${cpu.state.rip.toString(16)}`,
    );
    host.crashDomain(vcpu, "iret hypercall: bad frame and no failsafe callback");
    return;
  }
  // The callback's frame shows the selectors that couldn't be loaded.
  cpu.state.setU32(layout.SEG_SELECTOR + 4 * Seg.CS, cs);
  cpu.state.setU32(layout.SEG_SELECTOR + 4 * Seg.SS, ss);
  const mask = failsafeCallback.masksEvents ? Bounce.MaskEvents : 0;
  createBounceFrame(host, vcpu, failsafeCallback.address, Bounce.Failsafe | mask);
}

const CODE = 0x18;
const CODE_OR_DATA_MASK = 0x18;
const PRESENT = 0x80;
const WRITABLE = 0x02;
const CONFORMING = 0x04;
const LONG = 0x2000;
const BIG = 0x4000;

/** Loads CS and SS for CPL 3 and checks RIP. False: an IRET with them would fault; CS and SS keep their values. */
export function loadCodeAndStack(host: PvHost, vcpu: PvContext, cs: number, ss: number): boolean {
  const { state } = vcpu.cpu;
  const csDescriptor = readDescriptor(host, vcpu, cs);
  if ((cs & ~3) === 0 || csDescriptor === undefined) return false;
  const code = unpackDescriptor(csDescriptor);
  const { attributes } = code;
  if ((attributes & CODE_OR_DATA_MASK) !== CODE || !(attributes & PRESENT)) return false;
  const dpl = (attributes >> 5) & 3;
  if (attributes & CONFORMING ? dpl > 3 : dpl !== 3) return false;
  const long = (attributes & LONG) !== 0;
  if (long && attributes & BIG) return false;
  if (long ? !isCanonical(state.rip) : (state.rip & 0xffff_ffffn) > BigInt(code.limit)) return false;

  // At CPL 3 a null SS can't be loaded in any mode.
  const ssDescriptor = readDescriptor(host, vcpu, ss);
  if ((ss & ~3) === 0 || ssDescriptor === undefined) return false;
  const stack = unpackDescriptor(ssDescriptor);
  const isWritableData = (stack.attributes & CODE_OR_DATA_MASK) === 0x10 && (stack.attributes & WRITABLE) !== 0;
  if (!isWritableData || !(stack.attributes & PRESENT) || ((stack.attributes >> 5) & 3) !== 3) return false;

  state.setSegment(Seg.CS, { selector: cs, ...code });
  state.setSegment(Seg.SS, { selector: ss, ...stack });
  state.cpl = 3;
  state.codeMode = long ? 2 : attributes & BIG ? 1 : 0;
  state.setU32(layout.STACK_MASK, stack.attributes & BIG ? 0xffff_ffff : 0xffff);
  if (!long) state.rip = state.rip & 0xffff_ffffn;
  return true;
}
