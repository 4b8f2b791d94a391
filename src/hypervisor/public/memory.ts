// public/memory.h: the memory_op sub-operations that guests and the toolstack use.

import { handle, struct, u16, u32, u64, ulong, xenPfn } from "./layout.js";

export const XENMEM_increase_reservation = 0;
export const XENMEM_decrease_reservation = 1;
export const XENMEM_populate_physmap = 6;
export const XENMEMF_populate_on_demand = 1 << 16;
export const XENMEMF_exact_node_request = 1 << 17;
export const XENMEMF_vnode = 1 << 18;
export const XENMEM_exchange = 11;
export const XENMEM_maximum_ram_page = 2;
export const XENMEM_current_reservation = 3;
export const XENMEM_maximum_reservation = 4;
export const XENMEM_maximum_gpfn = 14;
export const XENMEM_machphys_mfn_list = 5;
export const XENMEM_machphys_compat_mfn_list = 25;
export const XENMEM_machphys_mapping = 12;
export const XENMAPSPACE_shared_info = 0;
export const XENMAPSPACE_grant_table = 1;
export const XENMAPSPACE_gmfn = 2;
export const XENMAPSPACE_gmfn_range = 3;
export const XENMAPSPACE_gmfn_foreign = 4;
export const XENMAPSPACE_dev_mmio = 5;
export const XENMEM_add_to_physmap = 7;
export const XENMAPIDX_grant_table_status = 0x80000000;
export const XENMEM_add_to_physmap_batch = 23;
export const XENMEM_remove_from_physmap = 15;
export const XENMEM_memory_map = 9;
export const XENMEM_machine_memory_map = 10;
export const XENMEM_set_memory_map = 13;
export const XENMEM_set_pod_target = 16;
export const XENMEM_get_pod_target = 17;
export const XENMEM_get_sharing_freed_pages = 18;
export const XENMEM_get_sharing_shared_pages = 19;
export const XENMEM_paging_op = 20;
export const XENMEM_access_op = 21;
export const XENMEM_sharing_op = 22;
export const XENMEM_claim_pages = 24;
export const XENMEM_reserved_device_memory_map = 27;
export const XENMEM_RDM_ALL = 1;
export const XENMEM_acquire_resource = 28;
export const XENMEM_resource_ioreq_server = 0;
export const XENMEM_resource_grant_table = 1;
export const XENMEM_resource_vmtrace_buf = 2;
export const XENMEM_resource_grant_table_id_shared = 0;
export const XENMEM_resource_grant_table_id_status = 1;
export const XENMEM_get_vnumainfo = 26;

const domid = u16;

/** mem_flags: low 8 bits address_bits, then the node, then the flags above. */
export const XENMEMF_get_address_bits = (flags: number): number => flags & 0xff;

export const xen_memory_reservation = struct("xen_memory_reservation", {
  extent_start: handle,
  nr_extents: ulong,
  extent_order: u32,
  mem_flags: u32,
  domid,
});
export const xen_memory_exchange = struct("xen_memory_exchange", {
  in: xen_memory_reservation,
  out: xen_memory_reservation,
  nr_exchanged: ulong,
});
export const xen_memory_domain = struct("xen_memory_domain", { domid });
export const xen_machphys_mfn_list = struct("xen_machphys_mfn_list", {
  max_extents: u32,
  extent_start: handle,
  nr_extents: u32,
});
export const xen_machphys_mapping = struct("xen_machphys_mapping", { v_start: ulong, v_end: ulong, max_mfn: ulong });
export const xen_add_to_physmap = struct("xen_add_to_physmap", {
  domid,
  size: u16,
  space: u32,
  idx: ulong,
  gpfn: xenPfn,
});
export const xen_add_to_physmap_batch = struct("xen_add_to_physmap_batch", {
  domid,
  space: u16,
  size: u16,
  foreign_domid: u16,
  idxs: handle,
  gpfns: handle,
  errs: handle,
});
export const xen_remove_from_physmap = struct("xen_remove_from_physmap", { domid, gpfn: xenPfn });
export const xen_memory_map = struct("xen_memory_map", { nr_entries: u32, buffer: handle });
export const xen_foreign_memory_map = struct("xen_foreign_memory_map", { domid, map: xen_memory_map });
export const xen_pod_target = struct("xen_pod_target", {
  target_pages: u64,
  tot_pages: u64,
  pod_cache_pages: u64,
  pod_entries: u64,
  domid,
});
export const xen_mem_acquire_resource = struct("xen_mem_acquire_resource", {
  domid,
  type: u16,
  id: u32,
  nr_frames: u32,
  pad: u32,
  frame: u64,
  frame_list: handle,
});
export const xen_reserved_device_memory_map = struct("xen_reserved_device_memory_map", {
  flags: u32,
  nr_entries: u32,
  buffer: handle,
  pci: u32,
});

/** An e820 entry (hvm/e820.h, packed to 20 bytes in arrays). */
export const E820_ENTRY = { addr: 0, size: 8, type: 16, bytes: 20 } as const;
export const E820_RAM = 1;
export const E820_RESERVED = 2;
export const E820_ACPI = 3;
export const E820_NVS = 4;
export const E820_UNUSABLE = 5;
