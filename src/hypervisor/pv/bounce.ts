// The frame that Xen puts on a 64-bit PV guest kernel's stack to enter it, from low to high addresses:
//   RCX R11 [DS ES FS GS: failsafe] [error code] RIP CS|upcall mask << 32 RFLAGS RSP SS
// (arch-x86/xen-x86_64.h; the order after the error code is the processor's own, SDM 3A 6.14.2). CS has RPL 0 when the guest
// kernel was interrupted, RPL 3 for its user. RFLAGS.IF shows the upcall mask, inverted. The stack is the registered one
// when guest user mode was interrupted, else the current one, aligned down to 16 bytes.

import * as layout from "../../cpu/state-layout.js";
import { Reg, Seg } from "../../cpu/state-layout.js";
import {
  FLAT_KERNEL_CS64,
  FLAT_KERNEL_SS64,
  HYPERVISOR_VIRT_END,
  HYPERVISOR_VIRT_START,
} from "../public/arch-x86/xen-x86_64.js";
import { VMASST_TYPE_architectural_iopl } from "../public/xen.js";
import { unpackDescriptor, XEN_GDT_ENTRIES } from "./descriptor-check.js";
import { toggleGuestMode } from "./guest-mode.js";
import { writeGuestWords } from "./guest-words.js";
import { hasAssist, type PvContext, type PvHost, VCPU_INFO_UPCALL_MASK } from "./pv-context.js";

/** What a bounce does beyond the plain frame; bits. */
export const Bounce = { ErrorCode: 1, MaskEvents: 2, Failsafe: 4, ClearDirection: 8 } as const;

const KERNEL_CS = { selector: FLAT_KERNEL_CS64, ...unpackDescriptor(XEN_GDT_ENTRIES[6]!) };
const KERNEL_SS = { selector: FLAT_KERNEL_SS64, ...unpackDescriptor(XEN_GDT_ENTRIES[5]!) };

/** IA-32 exceptions clear TF VM RF NT; AC too, because the guest kernel runs at CPL 3, where it would count. */
const CLEARED_ON_ENTRY = BigInt(layout.TF | layout.VM | layout.RF | layout.NT | layout.AC);

/** Flags whose change the CPU must be told of. */
const STEP_OR_ALIGNMENT = BigInt(layout.TF | layout.AC);

const words = new BigUint64Array(12);

/** Loads the flat 64-bit code and stack segments that the guest kernel is entered with. */
export function loadKernelSegments(vcpu: PvContext): void {
  const { state } = vcpu.cpu;
  state.setSegment(Seg.CS, KERNEL_CS);
  state.setSegment(Seg.SS, KERNEL_SS);
  state.setU32(layout.STACK_MASK, 0xffff_ffff);
  state.cpl = 3;
  state.codeMode = 2;
}

/**
 * Enters the guest kernel at `address`. When that isn't possible (no address, or the stack can't be written) the domain is
 * crashed and the result is false.
 */
export function createBounceFrame(
  host: PvHost,
  vcpu: PvContext,
  address: bigint,
  flags: number,
  errorCode = 0,
): boolean {
  const { pv } = vcpu;
  const { state } = vcpu.cpu;
  const oldRsp = state.gpr(Reg.RSP);
  let cs = state.segmentSelector(Seg.CS);
  let rsp: bigint;
  if (pv.kernelMode) {
    rsp = oldRsp;
    cs &= ~3;
  } else {
    toggleGuestMode(vcpu);
    rsp = pv.kernelSp;
  }
  if (address === 0n) {
    host.crashDomain(vcpu, "domain_crash_sync called from create_bounce_frame: no handler is registered");
    return false;
  }

  const maskAddress = vcpu.infoAddress + VCPU_INFO_UPCALL_MASK;
  const oldMask = host.memory.readU8(maskAddress);
  const rflags = state.rflags;
  let shown = rflags & ~BigInt(layout.IF | layout.IOPL);
  if (oldMask === 0) shown |= BigInt(layout.IF);
  if (hasAssist(vcpu, VMASST_TYPE_architectural_iopl)) shown |= BigInt(pv.iopl << 12);

  let n = 0;
  words[n++] = state.gpr(Reg.RCX);
  words[n++] = state.gpr(Reg.R11);
  if (flags & Bounce.Failsafe) {
    for (const segment of [Seg.DS, Seg.ES, Seg.FS, Seg.GS]) words[n++] = BigInt(state.segmentSelector(segment));
  }
  if (flags & Bounce.ErrorCode) words[n++] = BigInt(errorCode >>> 0);
  words[n++] = state.rip;
  words[n++] = BigInt(cs) | (BigInt(oldMask) << 32n);
  words[n++] = shown;
  words[n++] = oldRsp;
  words[n++] = BigInt(state.segmentSelector(Seg.SS));

  const top = rsp & ~0xfn;
  const bottom = BigInt.asUintN(64, top - BigInt(n * 8));
  const inHole = bottom < HYPERVISOR_VIRT_END && top > HYPERVISOR_VIRT_START;
  if (inHole || !writeGuestWords(host, vcpu, bottom, words, n)) {
    host.crashDomain(
      vcpu,
      `domain_crash_sync called from create_bounce_frame: guest stack ${top.toString(16)} can't be written`,
    );
    return false;
  }

  if (flags & Bounce.MaskEvents && oldMask === 0) host.memory.writeU8(maskAddress, 1);
  let cleared = CLEARED_ON_ENTRY;
  if (flags & Bounce.ClearDirection) cleared |= BigInt(layout.DF);
  state.rflags = (rflags & ~cleared) | BigInt(layout.IF);
  if (rflags & STEP_OR_ALIGNMENT) vcpu.cpu.accessRightsChanged();
  state.setGpr(Reg.RSP, bottom);
  loadKernelSegments(vcpu);
  state.rip = address;
  return true;
}
