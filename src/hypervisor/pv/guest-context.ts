// VCPUOP_initialise for a 64-bit PV vCPU: registers, traps, tables and callbacks from a vcpu_guest_context (arch-x86/xen.h).

import { loadImage } from "../../cpu/host/save-area.js";
import { KERNEL_GS_BASE, Reg, Seg } from "../../cpu/state-layout.js";
import type { Vcpu } from "../hypervisor.js";
import type { vcpu_guest_context } from "../public/arch-x86/xen.js";
import {
  VGCF_failsafe_disables_events,
  VGCF_I387_VALID,
  VGCF_IN_KERNEL,
  VGCF_online,
  VGCF_syscall_disables_events,
} from "../public/arch-x86/xen.js";
import { errno } from "../public/errno.js";
import type { StructValue } from "../public/layout.js";
import { setKernelRoot, setUserRoot } from "./base-pointer.js";
import { setTaskSwitched, writeCr4 } from "./control-registers.js";
import { setDebugRegister } from "./debug-registers.js";
import { setGdt, setLdt } from "./descriptors.js";
import { resetPvCpu } from "./initial-state.js";
import { CR0_TS } from "./pv-vcpu.js";
import { isCanonical } from "./translate.js";

type GuestContext = StructValue<typeof vcpu_guest_context.fields>;

const IF = 0x200n;
const IOPL = 0x3000n;
const FRAME_SHIFT = 12n;

/** @returns 0 or -errno; on failure the vCPU stays uninitialised. */
export function setGuestContext(vcpu: Vcpu, context: GuestContext): number {
  const { pv, domain } = vcpu;
  const flags = Number(context.flags);
  if (!areAddressesCanonical(context)) return -errno.EINVAL;
  if (!(flags & VGCF_IN_KERNEL)) return -errno.EINVAL; // the hypervisor only starts vCPUs in the guest kernel
  resetPvCpu(vcpu);
  setRegisters(vcpu, context);
  // An image that a processor wouldn't load leaves the FPU as after a reset.
  if (flags & VGCF_I387_VALID) loadImage(vcpu.cpu.state, context.fpu_ctxt);
  setTraps(vcpu, context);
  pv.eventCallback.address = context.event_callback_eip;
  pv.failsafeCallback.address = context.failsafe_callback_eip;
  pv.syscallCallback.address = context.syscall_callback_eip;
  pv.failsafeCallback.masksEvents = (flags & VGCF_failsafe_disables_events) !== 0;
  pv.syscallCallback.masksEvents = (flags & VGCF_syscall_disables_events) !== 0;
  pv.kernelMode = true;
  setTaskSwitched(vcpu, (context.ctrlreg[0]! & CR0_TS) !== 0n);
  writeCr4(domain.hypervisor, vcpu, context.ctrlreg[4]!);
  for (const [index, value] of context.debugreg.entries()) setDebugRegister(vcpu, index, value);

  const entries = Number(context.gdt_ents);
  const frames = context.gdt_frames.slice(0, Math.ceil(entries / 512)).map(Number);
  if (entries > 14 * 512 || !setGdt(domain.hypervisor, vcpu, frames, entries)) return -errno.EINVAL;
  if (!setKernelRoot(vcpu, Number(context.ctrlreg[3]! >> FRAME_SHIFT))) return -errno.EINVAL;
  const userRoot = Number(context.ctrlreg[1]! >> FRAME_SHIFT);
  if (userRoot !== 0 && !setUserRoot(vcpu, userRoot)) return -errno.EINVAL;
  if (!setLdt(domain.hypervisor, vcpu, context.ldt_base, Number(context.ldt_ents))) return -errno.EINVAL;
  vcpu.isInitialised = true;
  if (flags & VGCF_online) vcpu.up();
  return 0;
}

function areAddressesCanonical(context: GuestContext): boolean {
  const { user_regs, fs_base, gs_base_kernel, gs_base_user } = context;
  return [
    user_regs.rip,
    fs_base,
    gs_base_kernel,
    gs_base_user,
    context.event_callback_eip,
    context.failsafe_callback_eip,
    context.syscall_callback_eip,
  ].every(isCanonical);
}

function setRegisters(vcpu: Vcpu, context: GuestContext): void {
  const { state } = vcpu.cpu;
  const { user_regs: r } = context;
  const values = [
    r.rax,
    r.rcx,
    r.rdx,
    r.rbx,
    r.rsp,
    r.rbp,
    r.rsi,
    r.rdi,
    r.r8,
    r.r9,
    r.r10,
    r.r11,
    r.r12,
    r.r13,
    r.r14,
    r.r15,
  ];
  for (const [index, value] of values.entries()) state.setGpr(index, value);
  state.setGpr(Reg.RSP, r.rsp);
  state.rip = r.rip;
  // IOPL is virtual: the guest's own, while the processor's stays 0 (Linux starts its secondary vCPUs with 1).
  vcpu.pv.iopl = Number((r.rflags & IOPL) >> 12n);
  state.rflags = (r.rflags & ~IOPL) | IF | 2n;
  state.setSegmentBase(Seg.FS, context.fs_base);
  state.setSegmentBase(Seg.GS, context.gs_base_kernel);
  state.setU64(KERNEL_GS_BASE, context.gs_base_user);
  vcpu.pv.kernelSs = Number(context.kernel_ss & 0xffffn);
  vcpu.pv.kernelSp = context.kernel_sp;
}

function setTraps(vcpu: Vcpu, context: GuestContext): void {
  const { pv } = vcpu;
  for (const [vector, trap] of context.trap_ctxt.entries()) {
    pv.trapAddress[vector] = isCanonical(trap.address) ? trap.address : 0n;
    pv.trapSelector[vector] = trap.cs;
    pv.trapFlags[vector] = trap.flags;
  }
}
