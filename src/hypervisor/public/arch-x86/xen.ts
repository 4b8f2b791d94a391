// public/arch-x86/xen.h: trap tables, vCPU contexts, and the architecture's part of vcpu_info and shared_info.

import { type Abi, array, bytes, type FieldType, struct, u8, u16, u32, u64, ulong, xenPfn } from "../layout.js";
import { cpu_user_regs } from "./xen-x86_64.js";

export const FIRST_RESERVED_GDT_PAGE = 14;
export const FIRST_RESERVED_GDT_BYTE = FIRST_RESERVED_GDT_PAGE * 4096;
export const FIRST_RESERVED_GDT_ENTRY = FIRST_RESERVED_GDT_BYTE / 8;
export const XEN_LEGACY_MAX_VCPUS = 32;

export const VGCF_I387_VALID = 1 << 0;
export const VGCF_IN_KERNEL = 1 << 2;
export const VGCF_failsafe_disables_events = 1 << 3;
export const VGCF_syscall_disables_events = 1 << 4;
export const VGCF_online = 1 << 5;

/** `ud2; .ascii "xen"`, the prefix that forces emulation of the next instruction. */
export const XEN_EMULATE_PREFIX = [0x0f, 0x0b, 0x78, 0x65, 0x6e] as const;

export const trap_info = struct("trap_info", { vector: u8, flags: u8, cs: u16, address: ulong });

/** 64-bit guests only: the user_regs and callback members of the 32-bit form differ. */
export const vcpu_guest_context = struct("vcpu_guest_context", {
  fpu_ctxt: bytes(512),
  flags: ulong,
  user_regs: cpu_user_regs,
  trap_ctxt: array(trap_info, 256),
  ldt_base: ulong,
  ldt_ents: ulong,
  gdt_frames: array(ulong, 16),
  gdt_ents: ulong,
  kernel_ss: ulong,
  kernel_sp: ulong,
  ctrlreg: array(ulong, 8),
  debugreg: array(ulong, 8),
  event_callback_eip: ulong,
  failsafe_callback_eip: ulong,
  syscall_callback_eip: ulong,
  vm_assist: ulong,
  fs_base: u64,
  gs_base_kernel: u64,
  gs_base_user: u64,
});

/** cr2 and padding: 16 bytes in a 64-bit guest (`pad`), 24 in a 32-bit one (`pad[5]`). */
export const arch_vcpu_info = struct("arch_vcpu_info", {
  cr2: ulong,
  pad: {
    size: (abi: Abi) => (abi === 64 ? 8 : 20),
    align: (abi: Abi) => (abi === 64 ? 8 : 4),
    read: () => 0n,
    write: () => {},
  } as FieldType<bigint>,
});

export const arch_shared_info = struct("arch_shared_info", {
  max_pfn: ulong,
  pfn_to_mfn_frame_list_list: xenPfn,
  nmi_reason: ulong,
  p2m_cr3: ulong,
  p2m_vaddr: ulong,
  p2m_generation: ulong,
  /** 32-bit guests only. */
  wc_sec_hi: {
    size: (abi: Abi) => (abi === 32 ? 4 : 0),
    align: (abi: Abi) => (abi === 32 ? 4 : 1),
    read: (view: DataView, at: number, abi: Abi) => (abi === 32 ? u32.read(view, at, abi) : 0),
    write: (view: DataView, at: number, abi: Abi, value: number) => {
      if (abi === 32) u32.write(view, at, abi, value);
    },
  } as FieldType<number>,
});

/** Offset of wc_sec_hi in the 32-bit arch_shared_info. */
export const arch_shared_info_wc_sec_hi = arch_shared_info.offset(32, "wc_sec_hi");

export const xen_cpuid_leaf = struct("xen_cpuid_leaf", { leaf: u32, subleaf: u32, a: u32, b: u32, c: u32, d: u32 });
export const XEN_CPUID_NO_SUBLEAF = 0xffffffff;
