// public/xen.h: hypercall numbers, virtual IRQs, MMU commands, domain ids, and the structures of start of day and of the
// shared info page.

import { arch_shared_info, arch_shared_info_wc_sec_hi, arch_vcpu_info, XEN_LEGACY_MAX_VCPUS } from "./arch-x86/xen.js";
import { type Abi, array, bytes, i8, struct, u8, u16, u32, u64, ulong, union, xenPfn } from "./layout.js";

export const __HYPERVISOR_set_trap_table = 0;
export const __HYPERVISOR_mmu_update = 1;
export const __HYPERVISOR_set_gdt = 2;
export const __HYPERVISOR_stack_switch = 3;
export const __HYPERVISOR_set_callbacks = 4;
export const __HYPERVISOR_fpu_taskswitch = 5;
export const __HYPERVISOR_sched_op_compat = 6;
export const __HYPERVISOR_platform_op = 7;
export const __HYPERVISOR_set_debugreg = 8;
export const __HYPERVISOR_get_debugreg = 9;
export const __HYPERVISOR_update_descriptor = 10;
export const __HYPERVISOR_memory_op = 12;
export const __HYPERVISOR_multicall = 13;
export const __HYPERVISOR_update_va_mapping = 14;
export const __HYPERVISOR_set_timer_op = 15;
export const __HYPERVISOR_event_channel_op_compat = 16;
export const __HYPERVISOR_xen_version = 17;
export const __HYPERVISOR_console_io = 18;
export const __HYPERVISOR_physdev_op_compat = 19;
export const __HYPERVISOR_grant_table_op = 20;
export const __HYPERVISOR_vm_assist = 21;
export const __HYPERVISOR_update_va_mapping_otherdomain = 22;
export const __HYPERVISOR_iret = 23;
export const __HYPERVISOR_vcpu_op = 24;
export const __HYPERVISOR_set_segment_base = 25;
export const __HYPERVISOR_mmuext_op = 26;
export const __HYPERVISOR_xsm_op = 27;
export const __HYPERVISOR_nmi_op = 28;
export const __HYPERVISOR_sched_op = 29;
export const __HYPERVISOR_callback_op = 30;
export const __HYPERVISOR_xenoprof_op = 31;
export const __HYPERVISOR_event_channel_op = 32;
export const __HYPERVISOR_physdev_op = 33;
export const __HYPERVISOR_hvm_op = 34;
export const __HYPERVISOR_sysctl = 35;
export const __HYPERVISOR_domctl = 36;
export const __HYPERVISOR_kexec_op = 37;
export const __HYPERVISOR_tmem_op = 38;
export const __HYPERVISOR_argo_op = 39;
export const __HYPERVISOR_xenpmu_op = 40;
export const __HYPERVISOR_dm_op = 41;
export const __HYPERVISOR_hypfs_op = 42;
export const __HYPERVISOR_arch_0 = 48;
export const __HYPERVISOR_arch_1 = 49;
export const __HYPERVISOR_arch_2 = 50;
export const __HYPERVISOR_arch_3 = 51;
export const __HYPERVISOR_arch_4 = 52;
export const __HYPERVISOR_arch_5 = 53;
export const __HYPERVISOR_arch_6 = 54;
export const __HYPERVISOR_arch_7 = 55;

export const VIRQ_TIMER = 0;
export const VIRQ_DEBUG = 1;
export const VIRQ_CONSOLE = 2;
export const VIRQ_DOM_EXC = 3;
export const VIRQ_TBUF = 4;
export const VIRQ_DEBUGGER = 6;
export const VIRQ_XENOPROF = 7;
export const VIRQ_CON_RING = 8;
export const VIRQ_PCPU_STATE = 9;
export const VIRQ_MEM_EVENT = 10;
export const VIRQ_ARGO = 11;
export const VIRQ_ENOMEM = 12;
export const VIRQ_XENPMU = 13;
export const VIRQ_ARCH_0 = 16;
export const VIRQ_ARCH_1 = 17;
export const VIRQ_ARCH_2 = 18;
export const VIRQ_ARCH_3 = 19;
export const VIRQ_ARCH_4 = 20;
export const VIRQ_ARCH_5 = 21;
export const VIRQ_ARCH_6 = 22;
export const VIRQ_ARCH_7 = 23;
export const NR_VIRQS = 24;

export const MMU_NORMAL_PT_UPDATE = 0;
export const MMU_MACHPHYS_UPDATE = 1;
export const MMU_PT_UPDATE_PRESERVE_AD = 2;
export const MMU_PT_UPDATE_NO_TRANSLATE = 3;

export const MMUEXT_PIN_L1_TABLE = 0;
export const MMUEXT_PIN_L2_TABLE = 1;
export const MMUEXT_PIN_L3_TABLE = 2;
export const MMUEXT_PIN_L4_TABLE = 3;
export const MMUEXT_UNPIN_TABLE = 4;
export const MMUEXT_NEW_BASEPTR = 5;
export const MMUEXT_TLB_FLUSH_LOCAL = 6;
export const MMUEXT_INVLPG_LOCAL = 7;
export const MMUEXT_TLB_FLUSH_MULTI = 8;
export const MMUEXT_INVLPG_MULTI = 9;
export const MMUEXT_TLB_FLUSH_ALL = 10;
export const MMUEXT_INVLPG_ALL = 11;
export const MMUEXT_FLUSH_CACHE = 12;
export const MMUEXT_SET_LDT = 13;
export const MMUEXT_NEW_USER_BASEPTR = 15;
export const MMUEXT_CLEAR_PAGE = 16;
export const MMUEXT_COPY_PAGE = 17;
export const MMUEXT_FLUSH_CACHE_GLOBAL = 18;
export const MMUEXT_MARK_SUPER = 19;
export const MMUEXT_UNMARK_SUPER = 20;

export const CONSOLEIO_write = 0;
export const CONSOLEIO_read = 1;

export const VMASST_CMD_enable = 0;
export const VMASST_CMD_disable = 1;
export const VMASST_TYPE_4gb_segments = 0;
export const VMASST_TYPE_4gb_segments_notify = 1;
export const VMASST_TYPE_writable_pagetables = 2;
export const VMASST_TYPE_pae_extended_cr3 = 3;
export const VMASST_TYPE_architectural_iopl = 4;
export const VMASST_TYPE_runstate_update_flag = 5;
export const VMASST_TYPE_m2p_strict = 32;

// update_va_mapping flags.
export const UVMF_NONE = 0;
export const UVMF_TLB_FLUSH = 1;
export const UVMF_INVLPG = 2;
export const UVMF_FLUSHTYPE_MASK = 3;
export const UVMF_MULTI = 0;
export const UVMF_LOCAL = 0;
export const UVMF_ALL = 4;

export const DOMID_FIRST_RESERVED = 0x7ff0;
export const DOMID_SELF = 0x7ff0;
export const DOMID_IO = 0x7ff1;
export const DOMID_XEN = 0x7ff2;
export const DOMID_COW = 0x7ff3;
export const DOMID_INVALID = 0x7ff4;
export const DOMID_IDLE = 0x7fff;
export const DOMID_MASK = 0x7fff;

export const XEN_PVCLOCK_TSC_STABLE_BIT = 1;
export const XEN_PVCLOCK_GUEST_STOPPED = 2;

export const SIF_PRIVILEGED = 1;
export const SIF_INITDOMAIN = 2;
export const SIF_MULTIBOOT_MOD = 4;
export const SIF_MOD_START_PFN = 8;
export const SIF_VIRT_P2M_4TOOLS = 16;
export const SIF_PM_MASK = 0xff00;

export const XEN_VGATYPE_TEXT_MODE_3 = 0x03;
export const XEN_VGATYPE_VESA_LFB = 0x23;
export const XEN_VGATYPE_EFI_LFB = 0x70;

export const MAX_GUEST_CMDLINE = 1024;

export const mmuext_op = struct("mmuext_op", {
  cmd: u32,
  /** mfn or linear_addr */
  arg1: ulong,
  /** nr_ents (u32), vcpumask (handle) or src_mfn */
  arg2: ulong,
});

export const mmu_update = struct("mmu_update", { ptr: u64, val: u64 });

export const multicall_entry = struct("multicall_entry", { op: ulong, result: ulong, args: array(ulong, 6) });

export const vcpu_time_info = struct("vcpu_time_info", {
  version: u32,
  pad0: u32,
  tsc_timestamp: u64,
  system_time: u64,
  tsc_to_system_mul: u32,
  tsc_shift: i8,
  flags: u8,
  pad1: bytes(2),
});

export const vcpu_info = struct("vcpu_info", {
  evtchn_upcall_pending: u8,
  evtchn_upcall_mask: u8,
  evtchn_pending_sel: ulong,
  arch: arch_vcpu_info,
  time: vcpu_time_info,
});

/** `xen_ulong_t[sizeof(xen_ulong_t) * 8]` as bytes. */
const eventWords = {
  size: (abi: Abi) => (abi === 64 ? 512 : 128),
  align: (abi: Abi) => (abi === 64 ? 8 : 4),
  read: (view: DataView, at: number, abi: Abi) => bytes(abi === 64 ? 512 : 128).read(view, at, abi),
  write: (view: DataView, at: number, abi: Abi, value: Uint8Array) =>
    bytes(abi === 64 ? 512 : 128).write(view, at, abi, value),
};

/** In a 32-bit guest the 64-bit layout's wc_sec_hi slot doesn't exist: it lies at the end of `arch` there. */
const wcSecHi = {
  size: (abi: Abi) => (abi === 64 ? 4 : 0),
  align: (abi: Abi) => (abi === 64 ? 4 : 1),
  read: (view: DataView, at: number, abi: Abi) => (abi === 64 ? u32.read(view, at, abi) : 0),
  write: (view: DataView, at: number, abi: Abi, value: number) => {
    if (abi === 64) u32.write(view, at, abi, value);
  },
};

export const shared_info = struct("shared_info", {
  vcpu_info: array(vcpu_info, XEN_LEGACY_MAX_VCPUS),
  evtchn_pending: eventWords,
  evtchn_mask: eventWords,
  wc_version: u32,
  wc_sec: u32,
  wc_nsec: u32,
  wc_sec_hi: wcSecHi,
  arch: arch_shared_info,
});

/** Byte offset of the wallclock's high seconds in shared_info. */
export function wcSecHiOffset(abi: Abi): number {
  return abi === 64 ? shared_info.offset(64, "wc_sec_hi") : shared_info.offset(32, "arch") + arch_shared_info_wc_sec_hi;
}

export const start_info = struct("start_info", {
  magic: bytes(32),
  nr_pages: ulong,
  shared_info: ulong,
  flags: u32,
  store_mfn: xenPfn,
  store_evtchn: u32,
  console: union({
    domU: struct("console.domU", { mfn: xenPfn, evtchn: u32 }),
    dom0: struct("console.dom0", { info_off: u32, info_size: u32 }),
  }),
  pt_base: ulong,
  nr_pt_frames: ulong,
  mfn_list: ulong,
  mod_start: ulong,
  mod_len: ulong,
  cmd_line: bytes(MAX_GUEST_CMDLINE),
  first_p2m_pfn: ulong,
  nr_p2m_frames: ulong,
});

/** The union holds the text-mode or the linear-framebuffer member, by `video_type`. */
export const dom0_vga_console_info = struct("dom0_vga_console_info", {
  video_type: u8,
  u: union({
    text_mode_3: struct("text_mode_3", { font_height: u16, cursor_x: u16, cursor_y: u16, rows: u16, columns: u16 }),
    vesa_lfb: struct("vesa_lfb", {
      width: u16,
      height: u16,
      bytes_per_line: u16,
      bits_per_pixel: u16,
      lfb_base: u32,
      lfb_size: u32,
      red_pos: u8,
      red_size: u8,
      green_pos: u8,
      green_size: u8,
      blue_pos: u8,
      blue_size: u8,
      rsvd_pos: u8,
      rsvd_size: u8,
      gbl_caps: u32,
      mode_attrs: u16,
      pad: u16,
      ext_lfb_base: u32,
    }),
  }),
});
