// Hypercalls on the vCPU's own registers (arch-x86/xen.h, xen-x86_64.h): kernel stack, segment bases, task-switched flag, debug
// registers, and iret.

import { Seg } from "../../cpu/state-layout.js";
import type { Vcpu } from "../hypervisor.js";
import { SEGBASE_FS, SEGBASE_GS_KERNEL, SEGBASE_GS_USER, SEGBASE_GS_USER_SEL } from "../public/arch-x86/xen-x86_64.js";
import { errno } from "../public/errno.js";
import {
  __HYPERVISOR_fpu_taskswitch,
  __HYPERVISOR_get_debugreg,
  __HYPERVISOR_iret,
  __HYPERVISOR_set_debugreg,
  __HYPERVISOR_set_segment_base,
  __HYPERVISOR_stack_switch,
} from "../public/xen.js";
import { setTaskSwitched } from "../pv/control-registers.js";
import { loadUserGs } from "../pv/data-segments.js";
import { getDebugRegister, setDebugRegister } from "../pv/debug-registers.js";
import { setKernelGsBase, setUserGsBase } from "../pv/guest-mode.js";
import { doIret } from "../pv/iret.js";
import { isCanonical } from "../pv/translate.js";
import type { HypercallArgs, HypercallRow } from "./args.js";

export function stackSwitch(vcpu: Vcpu, args: HypercallArgs): number {
  vcpu.pv.kernelSs = (args.argNumber(0) & 0xffff) | 3;
  vcpu.pv.kernelSp = args.arg(1);
  return 0;
}

export function setSegmentBase(vcpu: Vcpu, args: HypercallArgs): number {
  const base = args.arg(1);
  switch (args.argNumber(0)) {
    case SEGBASE_FS:
      if (!isCanonical(base)) return -errno.EINVAL;
      vcpu.cpu.state.setSegmentBase(Seg.FS, base);
      return 0;
    case SEGBASE_GS_USER:
      if (!isCanonical(base)) return -errno.EINVAL;
      setUserGsBase(vcpu, base);
      return 0;
    case SEGBASE_GS_KERNEL:
      if (!isCanonical(base)) return -errno.EINVAL;
      setKernelGsBase(vcpu, base);
      return 0;
    case SEGBASE_GS_USER_SEL:
      loadUserGs(vcpu.domain.hypervisor, vcpu, args.argNumber(1) & 0xffff);
      return 0;
    default:
      return -errno.EINVAL;
  }
}

export function fpuTaskswitch(vcpu: Vcpu, args: HypercallArgs): number {
  setTaskSwitched(vcpu, args.argNumber(0) !== 0);
  return 0;
}

export function setDebugreg(vcpu: Vcpu, args: HypercallArgs): number {
  return setDebugRegister(vcpu, args.argNumber(0), args.arg(1)) ? 0 : -errno.EINVAL;
}

export function getDebugreg(vcpu: Vcpu, args: HypercallArgs): bigint | number {
  return getDebugRegister(vcpu, args.argNumber(0)) ?? -errno.EINVAL;
}

export function iret(vcpu: Vcpu): void {
  doIret(vcpu.domain.hypervisor, vcpu);
}

export const cpuStateRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_stack_switch, name: "stack_switch", pv64: stackSwitch },
  { number: __HYPERVISOR_set_segment_base, name: "set_segment_base", pv64: setSegmentBase },
  { number: __HYPERVISOR_fpu_taskswitch, name: "fpu_taskswitch", pv64: fpuTaskswitch },
  { number: __HYPERVISOR_set_debugreg, name: "set_debugreg", pv64: setDebugreg },
  { number: __HYPERVISOR_get_debugreg, name: "get_debugreg", pv64: getDebugreg },
  { number: __HYPERVISOR_iret, name: "iret", pv64: iret },
];
