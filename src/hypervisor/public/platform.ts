// public/platform.h: platform operations of the hardware domain. The op is `cmd`, `interface_version`, then a union at 8.

import { bytes, handle, struct, u8, u16, u32, u64, union, xenPfn } from "./layout.js";

export const XENPF_INTERFACE_VERSION = 0x03000001;
export const XENPF_settime32 = 17;
export const XENPF_settime64 = 62;
export const XENPF_add_memtype = 31;
export const XENPF_del_memtype = 32;
export const XENPF_read_memtype = 33;
export const XENPF_microcode_update = 35;
export const XENPF_platform_quirk = 39;
export const QUIRK_NOIRQBALANCING = 1;
export const QUIRK_IOAPIC_BAD_REGSEL = 2;
export const QUIRK_IOAPIC_GOOD_REGSEL = 3;
export const XENPF_efi_runtime_call = 49;
export const XENPF_firmware_info = 50;
export const XEN_FW_DISK_INFO = 1;
export const XEN_FW_DISK_MBR_SIGNATURE = 2;
export const XEN_FW_VBEDDC_INFO = 3;
export const XEN_FW_EFI_INFO = 4;
export const XEN_FW_EFI_VERSION = 0;
export const XEN_FW_EFI_CONFIG_TABLE = 1;
export const XEN_FW_EFI_VENDOR = 2;
export const XEN_FW_EFI_MEM_INFO = 3;
export const XEN_FW_EFI_RT_VERSION = 4;
export const XEN_FW_EFI_PCI_ROM = 5;
export const XEN_FW_EFI_APPLE_PROPERTIES = 6;
export const XEN_FW_KBD_SHIFT_FLAGS = 5;
export const XENPF_enter_acpi_sleep = 51;
export const XENPF_ACPI_SLEEP_EXTENDED = 0x00000001;
export const XENPF_change_freq = 52;
export const XENPF_getidletime = 53;
export const XENPF_set_processor_pminfo = 54;
export const XEN_PROCESSOR_PM_CX = 1;
export const XEN_PROCESSOR_PM_PX = 2;
export const XEN_PROCESSOR_PM_TX = 4;
export const XENPF_get_cpuinfo = 55;
export const XEN_PCPU_FLAGS_ONLINE = 1;
export const XEN_PCPU_FLAGS_INVALID = 2;
export const XENPF_get_cpu_version = 48;
export const XENPF_cpu_online = 56;
export const XENPF_cpu_offline = 57;
export const XENPF_cpu_hotadd = 58;
export const XENPF_mem_hotadd = 59;
export const XENPF_core_parking = 60;
export const XEN_CORE_PARKING_SET = 1;
export const XEN_CORE_PARKING_GET = 2;
export const XENPF_resource_op = 61;
export const XEN_RESOURCE_OP_MSR_READ = 0;
export const XEN_RESOURCE_OP_MSR_WRITE = 1;
export const XENPF_get_symbol = 63;

/** cmd u32, interface_version u32, union of 128 bytes (`pad`). */
export const XEN_PLATFORM_OP = { cmd: 0, interface_version: 4, u: 8, size: 136 } as const;

export const xenpf_settime32 = struct("xenpf_settime32", { secs: u32, nsecs: u32, system_time: u64 });
export const xenpf_settime64 = struct("xenpf_settime64", { secs: u64, nsecs: u32, mbz: u32, system_time: u64 });
export const xenpf_add_memtype = struct("xenpf_add_memtype", {
  mfn: xenPfn,
  nr_mfns: u64,
  type: u32,
  handle: u32,
  reg: u32,
});
export const xenpf_read_memtype = struct("xenpf_read_memtype", { reg: u32, mfn: xenPfn, nr_mfns: u64, type: u32 });
export const xenpf_firmware_info = struct("xenpf_firmware_info", {
  type: u32,
  index: u32,
  u: union({
    disk_info: struct("disk_info", {
      device: u8,
      version: u8,
      interface_support: u16,
      legacy_max_cylinder: u16,
      legacy_max_head: u8,
      legacy_sectors_per_track: u8,
      edd_params: handle,
    }),
    disk_mbr_signature: struct("disk_mbr_signature", { device: u8, mbr_signature: u32 }),
    vbeddc_info: struct("vbeddc_info", { capabilities: u8, edid_transfer_time: u8, edid: handle }),
    efi_mem_info: struct("efi_mem_info", { addr: u64, size: u64, attr: u64, type: u32 }),
    kbd_shift_flags: u8,
  }),
});
export const xenpf_enter_acpi_sleep = struct("xenpf_enter_acpi_sleep", {
  val_a: u16,
  val_b: u16,
  sleep_state: u32,
  flags: u32,
});
export const xenpf_getidletime = struct("xenpf_getidletime", {
  cpumap_bitmap: handle,
  cpumap_nr_cpus: u32,
  idletime: handle,
  now: u64,
});
export const xenpf_pcpuinfo = struct("xenpf_pcpuinfo", {
  xen_cpuid: u32,
  max_present: u32,
  flags: u32,
  apic_id: u32,
  acpi_id: u32,
});
export const xenpf_pcpu_version = struct("xenpf_pcpu_version", {
  xen_cpuid: u32,
  max_present: u32,
  vendor_id: bytes(12),
  family: u32,
  model: u32,
  stepping: u32,
});
export const xenpf_cpu_ol = struct("xenpf_cpu_ol", { cpuid: u32 });
