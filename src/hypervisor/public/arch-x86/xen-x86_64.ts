// public/arch-x86/xen-x86_64.h: flat selectors, the hypervisor's hole, the IRET frame and the register file of 64-bit PV.

import { bytes, struct, u8, u16, u32, u64 } from "../layout.js";

export const FLAT_RING3_CS32 = 0xe023;
export const FLAT_RING3_CS64 = 0xe033;
export const FLAT_RING3_DS32 = 0xe02b;
export const FLAT_RING3_DS64 = 0x0000;
export const FLAT_RING3_SS32 = 0xe02b;
export const FLAT_RING3_SS64 = 0xe02b;
export const FLAT_KERNEL_CS64 = FLAT_RING3_CS64;
export const FLAT_KERNEL_CS32 = FLAT_RING3_CS32;
export const FLAT_KERNEL_SS64 = FLAT_RING3_SS64;
export const FLAT_USER_CS64 = FLAT_RING3_CS64;
export const FLAT_USER_CS32 = FLAT_RING3_CS32;
export const FLAT_USER_SS64 = FLAT_RING3_SS64;

export const HYPERVISOR_VIRT_START = 0xffff800000000000n;
export const HYPERVISOR_VIRT_END = 0xffff880000000000n;
export const MACH2PHYS_VIRT_START = 0xffff800000000000n;
export const MACH2PHYS_VIRT_END = 0xffff804000000000n;
export const MACH2PHYS_NR_ENTRIES = (MACH2PHYS_VIRT_END - MACH2PHYS_VIRT_START) >> 3n;

// set_segment_base: which register.
export const SEGBASE_FS = 0;
export const SEGBASE_GS_USER = 1;
export const SEGBASE_GS_KERNEL = 2;
export const SEGBASE_GS_USER_SEL = 3;

export const VGCF_in_syscall = 1 << 8;

export const iret_context = struct("iret_context", {
  rax: u64,
  r11: u64,
  rcx: u64,
  flags: u64,
  rip: u64,
  cs: u64,
  rflags: u64,
  rsp: u64,
  ss: u64,
});

export const cpu_user_regs = struct("cpu_user_regs", {
  r15: u64,
  r14: u64,
  r13: u64,
  r12: u64,
  rbp: u64,
  rbx: u64,
  r11: u64,
  r10: u64,
  r9: u64,
  r8: u64,
  rax: u64,
  rcx: u64,
  rdx: u64,
  rsi: u64,
  rdi: u64,
  error_code: u32,
  entry_vector: u32,
  rip: u64,
  cs: u16,
  _pad0: u16,
  saved_upcall_mask: u8,
  _pad1: bytes(3),
  rflags: u64,
  rsp: u64,
  ss: u16,
  _pad2: bytes(6),
  es: u16,
  _pad3: bytes(6),
  ds: u16,
  _pad4: bytes(6),
  fs: u16,
  _pad5: bytes(6),
  gs: u16,
  _pad6: bytes(6),
});
