// Keeps what gate.ts works with in the vCPU's struct: before the vCPU runs, the registered addresses, the TLB slots of both roots,
// and whether the gate is open at all.

import * as S from "../../cpu/state-layout.js";
import type { Vcpu } from "../hypervisor.js";
import {
  __HYPERVISOR_iret,
  __HYPERVISOR_mmu_update,
  __HYPERVISOR_set_segment_base,
  __HYPERVISOR_stack_switch,
  VMASST_TYPE_architectural_iopl,
} from "../public/xen.js";
import { hasAssist } from "./pv-context.js";

const PAGE = 4096;

/** To be called before each Cpu.run. */
export function openGate(vcpu: Vcpu): void {
  const { pv, domain } = vcpu;
  const { state, spaces } = vcpu.cpu;
  const { hypervisor } = domain;
  const isTraced =
    hypervisor.traceHypercall !== undefined ||
    hypervisor.traceHypercallResult !== undefined ||
    hypervisor.traceInstruction !== undefined;
  // NMIs are delivered, and their mask is lifted, by TypeScript alone; a switch of modes must flush what is dirty.
  if (isTraced || pv.nmiPending || pv.nmiMasked || domain.memory.tlb.isDirty) {
    state.setU32(S.PV_GATE, 0);
    return;
  }
  findSpace(S.PV_KERNEL_SPACE, S.PV_KERNEL_ROOT, pv.guestTable);
  findSpace(S.PV_USER_SPACE, S.PV_USER_ROOT, pv.guestUserTable);
  state.setU32(S.PV_INFO, hypervisor.memory.ramBase + vcpu.infoAddress);
  state.setU32(S.PV_KERNEL_SS, pv.kernelSs);
  state.setU64(S.PV_SYSCALL, pv.syscallCallback.address);
  state.setU32(S.PV_SYSCALL_MASKS, pv.syscallCallback.masksEvents ? 1 : 0);
  state.setU32(S.PV_FRAMES, hypervisor.mm.frames.base);
  state.setU32(S.PV_DOMAIN, domain.memory.id);
  const gdt = pv.gdtFrames[0];
  state.setU32(S.PV_GDT, hypervisor.memory.ramBase + (gdt ?? 0) * PAGE);
  state.setU32(S.PV_GDT_BYTES, gdt === undefined ? 0 : Math.min(pv.gdtEntries * 8, PAGE));
  const showsIopl = hasAssist(vcpu, VMASST_TYPE_architectural_iopl);
  state.setU32(S.PV_IOPL_MASK, showsIopl ? S.IOPL : 0);
  state.setU32(S.PV_IOPL, showsIopl ? pv.iopl << 12 : 0);
  state.setU32(S.PV_GATE, 1);

  function findSpace(slot: number, root: number, mfn: number): void {
    if (mfn >= 0 && state.u32(slot) !== 0 && state.u32(root) === mfn * PAGE) return;
    state.setU32(slot, mfn < 0 ? 0 : spaces.find(mfn * PAGE));
    state.setU32(root, mfn < 0 ? 0 : mfn * PAGE);
    state.setU32(root + 4, 0);
  }
}

/** Adds what went through the gate to the statistics. */
export function countGate(vcpu: Vcpu): void {
  const { state } = vcpu.cpu;
  const { hypervisor, hypercallCounts } = vcpu.domain;
  const irets = state.u32(S.PV_IRET_COUNT);
  const syscalls = state.u32(S.PV_SYSCALL_COUNT);
  const updates = state.u32(S.PV_MMU_UPDATE_COUNT);
  hypercallCounts[__HYPERVISOR_iret] = hypercallCounts[__HYPERVISOR_iret]! + irets;
  hypercallCounts[__HYPERVISOR_mmu_update] = hypercallCounts[__HYPERVISOR_mmu_update]! + updates;
  const switches = state.u32(S.PV_STACK_SWITCH_COUNT);
  const bases = state.u32(S.PV_SEGMENT_BASE_COUNT);
  hypercallCounts[__HYPERVISOR_stack_switch] = hypercallCounts[__HYPERVISOR_stack_switch]! + switches;
  hypercallCounts[__HYPERVISOR_set_segment_base] = hypercallCounts[__HYPERVISOR_set_segment_base]! + bases;
  hypervisor.gateCount += irets + syscalls + updates + switches + bases;
  state.setU32(S.PV_STACK_SWITCH_COUNT, 0);
  state.setU32(S.PV_SEGMENT_BASE_COUNT, 0);
  state.setU32(S.PV_IRET_COUNT, 0);
  state.setU32(S.PV_SYSCALL_COUNT, 0);
  state.setU32(S.PV_MMU_UPDATE_COUNT, 0);
}
