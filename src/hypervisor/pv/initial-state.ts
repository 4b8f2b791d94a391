// The processor state that every 64-bit PV vCPU starts from: long mode at CPL 3 in the flat guest-kernel segments, with the
// virtual interrupt flag's processor twin set (SDM 3A 9.1; arch-x86/xen-x86_64.h). Entry point, stack and page tables are the
// domain builder's or VCPUOP_initialise's.

import * as layout from "../../cpu/state-layout.js";
import { loadKernelSegments } from "./bounce.js";
import { PV_EFER } from "./msr.js";
import type { PvContext } from "./pv-context.js";
import { DR6_DEFAULT, DR7_DEFAULT, PV_CR0 } from "./pv-vcpu.js";

const MXCSR_RESET = 0x1f80;
const FCW_RESET = 0x37f;
/** x87 and SSE state enabled, as the hypervisor's XSETBV leaves it. */
const XCR0_X87_SSE = 3n;
const NULL_SEGMENT = { selector: 0, base: 0n, limit: 0, attributes: 0x10000 };

/** Sets control, segment, debug and FPU registers; general registers become 0, RFLAGS 0x202. */
export function resetPvCpu(vcpu: PvContext): void {
  const { cpu, pv } = vcpu;
  const { state } = cpu;
  for (let i = 0; i < 16; i++) state.setGpr(i, 0n);
  state.rip = 0n;
  state.rflags = BigInt(layout.IF | 2);
  state.setU64(layout.CR0, PV_CR0 | pv.cr0);
  state.setU64(layout.CR4, pv.cr4);
  state.setU64(layout.EFER, PV_EFER);
  state.setU64(layout.XCR0, XCR0_X87_SSE);
  state.setU32(layout.MXCSR, MXCSR_RESET);
  state.setU32(layout.FCW, FCW_RESET);
  for (let i = 0; i < 4; i++) state.setU64(layout.DR + 8 * i, 0n);
  state.setU64(layout.DR + 48, DR6_DEFAULT);
  state.setU64(layout.DR + 56, DR7_DEFAULT);
  const { Seg } = layout;
  for (const segment of [Seg.ES, Seg.DS, Seg.FS, Seg.GS]) state.setSegment(segment, NULL_SEGMENT);
  state.setU64(layout.KERNEL_GS_BASE, 0n);
  loadKernelSegments(vcpu);
  cpu.accessRightsChanged();
}
