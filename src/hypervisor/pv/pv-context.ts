// What PV entry and exit code needs around it. The hypervisor's Vcpu satisfies PvContext, the hypervisor itself PvHost; the
// code under pv/ knows nothing more, so it is tested with small real objects and no domain.

import type { CpuState } from "../../cpu/cpu-state.js";
import type { Decoder } from "../../cpu/decode/decoder.js";
import type { MachineMemory } from "../../mmu/machine-memory.js";
import { vcpu_info } from "../public/xen.js";
import type { CpuidPolicy } from "./cpuid-policy.js";
import type { IoPorts } from "./port-space.js";
import type { PvVcpu } from "./pv-vcpu.js";

export interface PvDomainContext {
  readonly id: number;
  /** The hardware domain: may reach the machine's I/O ports. */
  readonly privileged: boolean;
  /** Bit mask of VMASST_TYPE_*. */
  readonly assists: number;
}

/** The part of a CPU that PV entry and exit works on; src/cpu/cpu.ts is one. */
export interface PvCpu {
  readonly state: CpuState;
  setAddressSpace(rootMfn: number): void;
  /** To be called after a change of CR0, CR4 or of RFLAGS.AC and TF in `state`. */
  accessRightsChanged(): void;
}

export interface PvContext {
  readonly id: number;
  readonly cpu: PvCpu;
  readonly pv: PvVcpu;
  readonly domain: PvDomainContext;
  /** Machine address of the vcpu_info in use. */
  readonly infoAddress: number;
}

export interface PvHost {
  readonly memory: MachineMemory;
  readonly decoder: Decoder;
  readonly cpuid: CpuidPolicy;
  readonly ioPorts: IoPorts;
  /** Writes one "(XEN) …" line. */
  log(line: string): void;
  /** Remarks that only a debug build of Xen prints. */
  debugLog(line: string): void;
  /** Ends the domain; `reason` is logged before the dump. The caller returns at once. */
  crashDomain(vcpu: PvContext, reason: string): void;
  /**
   * A write to a present read-only page from guest kernel mode: true when it hit a page table and was emulated (RIP is after
   * the instruction then).
   */
  emulatePageTableWrite(vcpu: PvContext, address: bigint): boolean;
  /** Makes a frame the guest's kernel root (MOV to CR3); false when it isn't a valid L4 of the domain. */
  newBasePointer(vcpu: PvContext, mfn: number): boolean;
  /** Takes a reference on a frame of the domain as a segment-descriptor page. */
  getDescriptorPage(vcpu: PvContext, mfn: number): boolean;
  putDescriptorPage(mfn: number): void;
  /** Guest ticks of the TSC, as RDTSC returns them. */
  readTsc(vcpu: PvContext): bigint;
}

/** vcpu_info (xen.h): byte offsets. */
export const VCPU_INFO_UPCALL_PENDING = vcpu_info.offset(64, "evtchn_upcall_pending");
export const VCPU_INFO_UPCALL_MASK = vcpu_info.offset(64, "evtchn_upcall_mask");
/** arch.cr2: the first field of arch_vcpu_info. */
export const VCPU_INFO_CR2 = vcpu_info.offset(64, "arch");

export function hasAssist(vcpu: PvContext, type: number): boolean {
  return (vcpu.domain.assists & (1 << type)) !== 0;
}

/** Name of a vCPU in log lines: d0v1. */
export function vcpuName(vcpu: PvContext): string {
  return `d${vcpu.domain.id}v${vcpu.id}`;
}

export function hex(value: bigint | number, digits = 16): string {
  return value.toString(16).padStart(digits, "0");
}
