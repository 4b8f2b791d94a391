// public/physdev.h: interrupts, I/O privilege and PCI devices of a domain with hardware.

import { handle, i32, struct, u8, u16, u32, u64, ulong, xenPfn } from "./layout.js";

export const PHYSDEVOP_eoi = 12;
export const PHYSDEVOP_pirq_eoi_gmfn_v1 = 17;
export const PHYSDEVOP_pirq_eoi_gmfn_v2 = 28;
export const PHYSDEVOP_irq_status_query = 5;
export const PHYSDEVOP_set_iopl = 6;
export const PHYSDEVOP_set_iobitmap = 7;
export const PHYSDEVOP_apic_read = 8;
export const PHYSDEVOP_apic_write = 9;
export const PHYSDEVOP_alloc_irq_vector = 10;
export const PHYSDEVOP_free_irq_vector = 11;
export const MAP_PIRQ_TYPE_MSI = 0x0;
export const MAP_PIRQ_TYPE_GSI = 0x1;
export const MAP_PIRQ_TYPE_UNKNOWN = 0x2;
export const MAP_PIRQ_TYPE_MSI_SEG = 0x3;
export const MAP_PIRQ_TYPE_MULTI_MSI = 0x4;
export const PHYSDEVOP_map_pirq = 13;
export const PHYSDEVOP_unmap_pirq = 14;
export const PHYSDEVOP_manage_pci_add = 15;
export const PHYSDEVOP_manage_pci_remove = 16;
export const PHYSDEVOP_restore_msi = 19;
export const PHYSDEVOP_manage_pci_add_ext = 20;
export const PHYSDEVOP_setup_gsi = 21;
export const PHYSDEVOP_get_free_pirq = 23;
export const XEN_PCI_MMCFG_RESERVED = 0x1;
export const PHYSDEVOP_pci_mmcfg_reserved = 24;
export const XEN_PCI_DEV_EXTFN = 0x1;
export const XEN_PCI_DEV_VIRTFN = 0x2;
export const XEN_PCI_DEV_PXM = 0x4;
export const PHYSDEVOP_pci_device_add = 25;
export const PHYSDEVOP_pci_device_remove = 26;
export const PHYSDEVOP_restore_msi_ext = 27;
export const PHYSDEVOP_prepare_msix = 30;
export const PHYSDEVOP_release_msix = 31;
export const PHYSDEVOP_DBGP_RESET_PREPARE = 1;
export const PHYSDEVOP_DBGP_RESET_DONE = 2;
export const PHYSDEVOP_DBGP_BUS_UNKNOWN = 0;
export const PHYSDEVOP_DBGP_BUS_PCI = 1;
export const PHYSDEVOP_dbgp_op = 29;
export const PHYSDEVOP_IRQ_UNMASK_NOTIFY = 4;
export const XENIRQSTAT_needs_eoi = 1;
export const XENIRQSTAT_shared = 2;

export const physdev_eoi = struct("physdev_eoi", { irq: u32 });
export const physdev_pirq_eoi_gmfn = struct("physdev_pirq_eoi_gmfn", { gmfn: xenPfn });
export const physdev_irq_status_query = struct("physdev_irq_status_query", { irq: u32, flags: u32 });
export const physdev_set_iopl = struct("physdev_set_iopl", { iopl: u32 });
export const physdev_set_iobitmap = struct("physdev_set_iobitmap", { bitmap: handle, nr_ports: u32 });
export const physdev_apic = struct("physdev_apic", { apic_physbase: ulong, reg: u32, value: u32 });
export const physdev_irq = struct("physdev_irq", { irq: u32, vector: u32 });
export const physdev_map_pirq = struct("physdev_map_pirq", {
  domid: u16,
  type: i32,
  index: i32,
  pirq: i32,
  bus: i32,
  devfn: i32,
  entry_nr: i32,
  table_base: u64,
});
export const physdev_unmap_pirq = struct("physdev_unmap_pirq", { domid: u16, pirq: i32 });
export const physdev_manage_pci = struct("physdev_manage_pci", { bus: u8, devfn: u8 });
export const physdev_setup_gsi = struct("physdev_setup_gsi", { gsi: i32, triggering: u8, polarity: u8 });
export const physdev_get_free_pirq = struct("physdev_get_free_pirq", { type: i32, pirq: u32 });
export const physdev_pci_mmcfg_reserved = struct("physdev_pci_mmcfg_reserved", {
  address: u64,
  segment: u16,
  start_bus: u8,
  end_bus: u8,
  flags: u32,
});
/** Without the trailing optarr. */
export const physdev_pci_device_add = struct("physdev_pci_device_add", {
  seg: u16,
  bus: u8,
  devfn: u8,
  flags: u32,
  physfn_bus: u8,
  physfn_devfn: u8,
});
export const physdev_pci_device = struct("physdev_pci_device", { seg: u16, bus: u8, devfn: u8 });
export const physdev_dbgp_op = struct("physdev_dbgp_op", { op: u8, bus: u8, pci: physdev_pci_device });

/** physdev_op (compat form): `cmd`, then the union of argument structs at this offset (8-aligned by apic's pointer). */
export const PHYSDEV_OP_ARGUMENT = { 64: 8, 32: 4 } as const;
