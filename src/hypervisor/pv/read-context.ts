// A 64-bit PV vCPU's state as XEN_DOMCTL_getvcpucontext gives it (arch-x86/xen.h: vcpu_guest_context): what guest-context.ts sets, read
// back.

import { saveImage } from "../../cpu/host/save-area.js";
import { KERNEL_GS_BASE, Reg, Seg } from "../../cpu/state-layout.js";
import type { Vcpu } from "../hypervisor.js";
import * as X from "../public/arch-x86/xen.js";
import { NO_TABLE, PV_CR0 } from "./pv-vcpu.js";

const FRAME_SHIFT = 12n;

/** The struct's bytes. */
export function readGuestContext(vcpu: Vcpu): Uint8Array {
  const { pv, cpu } = vcpu;
  const { state } = cpu;
  const gpr = (register: number) => state.gpr(register);
  const selector = (segment: number) => state.segmentSelector(segment);
  const table = (mfn: number) => (mfn === NO_TABLE ? 0n : BigInt(mfn) << FRAME_SHIFT);
  // The GS base that isn't in use waits in KERNEL_GS_BASE.
  const [gs, otherGs] = [state.segmentBase(Seg.GS), state.u64(KERNEL_GS_BASE)];
  const flags =
    X.VGCF_I387_VALID |
    (pv.kernelMode ? X.VGCF_IN_KERNEL : 0) |
    (pv.failsafeCallback.masksEvents ? X.VGCF_failsafe_disables_events : 0) |
    (pv.syscallCallback.masksEvents ? X.VGCF_syscall_disables_events : 0) |
    (vcpu.isUp ? X.VGCF_online : 0);
  const pad6 = new Uint8Array(6);
  return X.vcpu_guest_context.encode(64, {
    fpu_ctxt: saveImage(state),
    flags: BigInt(flags),
    user_regs: {
      ...{ r15: gpr(Reg.R15), r14: gpr(Reg.R14), r13: gpr(Reg.R13), r12: gpr(Reg.R12), rbp: gpr(Reg.RBP) },
      ...{ rbx: gpr(Reg.RBX), r11: gpr(Reg.R11), r10: gpr(Reg.R10), r9: gpr(Reg.R9), r8: gpr(Reg.R8) },
      ...{ rax: gpr(Reg.RAX), rcx: gpr(Reg.RCX), rdx: gpr(Reg.RDX), rsi: gpr(Reg.RSI), rdi: gpr(Reg.RDI) },
      ...{ error_code: 0, entry_vector: 0, rip: state.rip, rflags: state.rflags, rsp: gpr(Reg.RSP) },
      ...{ saved_upcall_mask: 0, _pad0: 0, _pad1: new Uint8Array(3) },
      ...{ cs: selector(Seg.CS), ss: selector(Seg.SS), es: selector(Seg.ES), ds: selector(Seg.DS) },
      ...{ fs: selector(Seg.FS), gs: selector(Seg.GS) },
      ...{ _pad2: pad6, _pad3: pad6, _pad4: pad6, _pad5: pad6, _pad6: pad6, _pad7: pad6 },
    },
    trap_ctxt: Array.from({ length: 256 }, (_, vector) => ({
      vector,
      flags: pv.trapFlags[vector]!,
      cs: pv.trapSelector[vector]!,
      address: pv.trapAddress[vector]!,
    })),
    ldt_base: pv.ldtBase,
    ldt_ents: BigInt(pv.ldtEntries),
    gdt_frames: Array.from({ length: 16 }, (_, i) => BigInt(pv.gdtFrames[i] ?? 0)),
    gdt_ents: BigInt(pv.gdtEntries),
    kernel_ss: BigInt(pv.kernelSs),
    kernel_sp: pv.kernelSp,
    ctrlreg: [PV_CR0 | pv.cr0, table(pv.guestUserTable), pv.cr2, table(pv.guestTable), pv.cr4, 0n, 0n, 0n],
    debugreg: [...pv.dr],
    event_callback_eip: pv.eventCallback.address,
    failsafe_callback_eip: pv.failsafeCallback.address,
    syscall_callback_eip: pv.syscallCallback.address,
    vm_assist: BigInt(vcpu.domain.assists >>> 0),
    fs_base: state.segmentBase(Seg.FS),
    gs_base_kernel: pv.kernelMode ? gs : otherGs,
    gs_base_user: pv.kernelMode ? otherGs : gs,
  });
}
