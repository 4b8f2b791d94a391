// Delivering exceptions, software interrupts, event upcalls and NMIs to a PV guest kernel through its virtual IDT and
// callbacks (xen.h: set_trap_table, set_callbacks).

import { Vector } from "../../cpu/exit.js";
import { Bounce, createBounceFrame } from "./bounce.js";
import {
  hex,
  type PvContext,
  type PvHost,
  VCPU_INFO_CR2,
  VCPU_INFO_UPCALL_MASK,
  VCPU_INFO_UPCALL_PENDING,
  vcpuName,
} from "./pv-context.js";
import { TRAP_DPL_MASK, TRAP_INTERRUPT_GATE } from "./pv-vcpu.js";
import { pageWalkLines } from "./show-page-walk.js";

/** Vectors that push an error code, SDM 3A table 6-1. */
const WITH_ERROR_CODE =
  (1 << Vector.DF) |
  (1 << Vector.TS) |
  (1 << Vector.NP) |
  (1 << Vector.SS) |
  (1 << Vector.GP) |
  (1 << Vector.PF) |
  (1 << Vector.AC);

const NAMES: readonly (string | undefined)[] = [
  ...["#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", undefined, "#TS", "#NP", "#SS", "#GP", "#PF"],
  ...[undefined, "#MF", "#AC", "#MC", "#XM"],
];

const PF_USER = 4;

export function vectorName(vector: number): string {
  return NAMES[vector] ?? "???";
}

function enter(host: PvHost, vcpu: PvContext, vector: number, flags: number, errorCode: number): boolean {
  const { pv } = vcpu;
  const address = pv.trapAddress[vector]!;
  if (address === 0n) {
    host.log(`${vcpuName(vcpu)} Unhandled: vec ${vector}, ${vectorName(vector)}[${hex(errorCode, 4)}]`);
    if (vector === Vector.PF) for (const line of pageWalkLines(host, vcpu, pv.cr2)) host.log(line);
  }
  const mask = pv.trapFlags[vector]! & TRAP_INTERRUPT_GATE ? Bounce.MaskEvents : 0;
  return createBounceFrame(host, vcpu, address, flags | mask, errorCode);
}

/** Raises a processor exception in the guest. False when that crashed the domain. */
export function injectException(host: PvHost, vcpu: PvContext, vector: number, errorCode = 0): boolean {
  const flags = vector < 32 && (WITH_ERROR_CODE >> vector) & 1 ? Bounce.ErrorCode : 0;
  return enter(host, vcpu, vector, flags, errorCode);
}

/** Raises #PF; the error code's user bit is set to what the guest believes. */
export function injectPageFault(host: PvHost, vcpu: PvContext, errorCode: number, address: bigint): boolean {
  vcpu.pv.cr2 = address;
  host.memory.writeU64(vcpu.infoAddress + VCPU_INFO_CR2, address);
  const code = vcpu.pv.kernelMode ? errorCode & ~PF_USER : errorCode | PF_USER;
  return enter(host, vcpu, Vector.PF, Bounce.ErrorCode, code);
}

/** Whether INT n may enter the gate: level 3 from guest user, 1 or more from guest kernel (arch-x86/xen.h: trap_info). */
export function permitsSoftwareInterrupt(vcpu: PvContext, vector: number): boolean {
  const dpl = vcpu.pv.trapFlags[vector]! & TRAP_DPL_MASK;
  return dpl >= (vcpu.pv.kernelMode ? 1 : 3);
}

/** Enters the gate of INT n; RIP already stands after the instruction. No error code, whatever the vector. */
export function injectSoftwareInterrupt(host: PvHost, vcpu: PvContext, vector: number): boolean {
  return enter(host, vcpu, vector, 0, 0);
}

export function isUpcallDue(host: PvHost, vcpu: PvContext): boolean {
  const info = vcpu.infoAddress;
  return (
    host.memory.readU8(info + VCPU_INFO_UPCALL_PENDING) !== 0 && host.memory.readU8(info + VCPU_INFO_UPCALL_MASK) === 0
  );
}

/** Before the guest runs: enters its NMI or event callback when one is due. */
export function injectPendingUpcalls(host: PvHost, vcpu: PvContext): void {
  const { pv } = vcpu;
  if (pv.nmiPending && !pv.nmiMasked && pv.nmiCallback.address !== 0n) {
    pv.nmiPending = false;
    pv.nmiMasked = true;
    createBounceFrame(host, vcpu, pv.nmiCallback.address, Bounce.MaskEvents);
    return;
  }
  if (isUpcallDue(host, vcpu)) createBounceFrame(host, vcpu, pv.eventCallback.address, Bounce.MaskEvents);
}
