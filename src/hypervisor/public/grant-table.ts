// public/grant_table.h: entries, operations, flags and status codes.

import { handle, i16, struct, u16, u32, u64, union, xenPfn } from "./layout.js";

export const GNTTAB_NR_RESERVED_ENTRIES = 8;
export const GNTTAB_RESERVED_CONSOLE = 0;
export const GNTTAB_RESERVED_XENSTORE = 1;
export const GNTTABOP_map_grant_ref = 0;
export const GNTTABOP_unmap_grant_ref = 1;
export const GNTTABOP_setup_table = 2;
export const GNTTABOP_dump_table = 3;
export const GNTTABOP_transfer = 4;
export const GNTTABOP_copy = 5;
export const GNTTABOP_query_size = 6;
export const GNTTABOP_unmap_and_replace = 7;
export const GNTTABOP_set_version = 8;
export const GNTTABOP_get_status_frames = 9;
export const GNTTABOP_get_version = 10;
export const GNTTABOP_swap_grant_ref = 11;
export const GNTTABOP_cache_flush = 12;
export const GTF_invalid = 0 << 0;
export const GTF_permit_access = 1 << 0;
export const GTF_accept_transfer = 2 << 0;
export const GTF_transitive = 3 << 0;
export const GTF_type_mask = 3 << 0;
export const GTF_readonly = 1 << 2;
export const GTF_reading = 1 << 3;
export const GTF_writing = 1 << 4;
export const GTF_PWT = 1 << 5;
export const GTF_PCD = 1 << 6;
export const GTF_PAT = 1 << 7;
export const GTF_sub_page = 1 << 8;
export const GTF_transfer_committed = 1 << 2;
export const GTF_transfer_completed = 1 << 3;
export const GNTST_okay = 0;
export const GNTST_general_error = -1;
export const GNTST_bad_domain = -2;
export const GNTST_bad_gntref = -3;
export const GNTST_bad_handle = -4;
export const GNTST_bad_virt_addr = -5;
export const GNTST_bad_dev_addr = -6;
export const GNTST_no_device_space = -7;
export const GNTST_permission_denied = -8;
export const GNTST_bad_page = -9;
export const GNTST_bad_copy_arg = -10;
export const GNTST_address_too_big = -11;
export const GNTST_eagain = -12;
export const GNTST_no_space = -13;
export const GNTCOPY_source_gref = 1 << 0;
export const GNTCOPY_dest_gref = 1 << 1;
export const GNTMAP_device_map = 1 << 0;
export const GNTMAP_host_map = 1 << 1;
export const GNTMAP_readonly = 1 << 2;
export const GNTMAP_application_map = 1 << 3;
export const GNTMAP_contains_pte = 1 << 4;
export const GNTTAB_CACHE_CLEAN = 1;
export const GNTTAB_CACHE_INVAL = 2;
export const GNTTAB_CACHE_SOURCE_GREF = 0x80000000;

const domid = u16;

/** Version 1 entry: 8 bytes. */
export const grant_entry_v1 = struct("grant_entry_v1", { flags: u16, domid, frame: u32 });
export const GRANT_ENTRY_V1_SIZE = 8;
/** Version 2 entry: 16 bytes; header as in version 1, the rest by type. */
export const GRANT_ENTRY_V2_SIZE = 16;
export const GRANT_ENTRY_V2 = {
  flags: 0,
  domid: 2,
  pageOffset: 4,
  length: 6,
  frame: 8,
  transDomid: 4,
  transRef: 8,
} as const;

export const gnttab_map_grant_ref = struct("gnttab_map_grant_ref", {
  host_addr: u64,
  flags: u32,
  ref: u32,
  dom: domid,
  status: i16,
  handle: u32,
  dev_bus_addr: u64,
});
export const gnttab_unmap_grant_ref = struct("gnttab_unmap_grant_ref", {
  host_addr: u64,
  dev_bus_addr: u64,
  handle: u32,
  status: i16,
});
export const gnttab_setup_table = struct("gnttab_setup_table", {
  dom: domid,
  nr_frames: u32,
  status: i16,
  frame_list: handle,
});
export const gnttab_dump_table = struct("gnttab_dump_table", { dom: domid, status: i16 });
export const gnttab_transfer = struct("gnttab_transfer", { mfn: xenPfn, domid, ref: u32, status: i16 });
export const gnttab_copy_ptr = struct("gnttab_copy_ptr", {
  u: union({ ref: u32, gmfn: xenPfn }),
  domid,
  offset: u16,
});
export const gnttab_copy = struct("gnttab_copy", {
  source: gnttab_copy_ptr,
  dest: gnttab_copy_ptr,
  len: u16,
  flags: u16,
  status: i16,
});
export const gnttab_query_size = struct("gnttab_query_size", {
  dom: domid,
  nr_frames: u32,
  max_nr_frames: u32,
  status: i16,
});
export const gnttab_unmap_and_replace = struct("gnttab_unmap_and_replace", {
  host_addr: u64,
  new_addr: u64,
  handle: u32,
  status: i16,
});
export const gnttab_set_version = struct("gnttab_set_version", { version: u32 });
export const gnttab_get_status_frames = struct("gnttab_get_status_frames", {
  nr_frames: u32,
  dom: domid,
  status: i16,
  frame_list: handle,
});
export const gnttab_get_version = struct("gnttab_get_version", { dom: domid, pad: u16, version: u32 });
export const gnttab_swap_grant_ref = struct("gnttab_swap_grant_ref", { ref_a: u32, ref_b: u32, status: i16 });
export const gnttab_cache_flush = struct("gnttab_cache_flush", {
  a: union({ dev_bus_addr: u64, ref: u32 }),
  offset: u16,
  length: u16,
  op: u32,
});
