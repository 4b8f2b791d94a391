// public/sysctl.h: questions of the toolstack about the whole machine; the operations that exist here.

import { array, handle64, struct, u16, u32, u64Aligned } from "./layout.js";

export const XEN_SYSCTL_INTERFACE_VERSION = 0x15;
export const XEN_SYSCTL_physinfo = 3;
export const XEN_SYSCTL_sched_id = 4;
export const XEN_SYSCTL_getdomaininfolist = 6;
export const XEN_SYSCTL_scheduler_op = 19;

/** xen_sysctl: cmd u32, interface_version u32, then the union. */
export const XEN_SYSCTL = { cmd: 0, interface_version: 4, u: 8 } as const;

export const XEN_SYSCTL_PHYSCAP_hvm = 1 << 0;
export const XEN_SYSCTL_PHYSCAP_pv = 1 << 1;
export const XEN_SYSCTL_PHYSCAP_gnttab_v1 = 1 << 8;
export const XEN_SYSCTL_PHYSCAP_gnttab_v2 = 1 << 9;

export const xen_sysctl_physinfo = struct("xen_sysctl_physinfo", {
  threads_per_core: u32,
  cores_per_socket: u32,
  nr_cpus: u32,
  max_cpu_id: u32,
  nr_nodes: u32,
  max_node_id: u32,
  cpu_khz: u32,
  capabilities: u32,
  arch_capabilities: u32,
  pad: u32,
  total_pages: u64Aligned,
  free_pages: u64Aligned,
  scrub_pages: u64Aligned,
  outstanding_pages: u64Aligned,
  max_mfn: u64Aligned,
  hw_cap: array(u32, 8),
});
export const xen_sysctl_sched_id = struct("xen_sysctl_sched_id", { sched_id: u32 });
export const xen_sysctl_getdomaininfolist = struct("xen_sysctl_getdomaininfolist", {
  first_domain: u16,
  max_domains: u32,
  buffer: handle64,
  num_domains: u32,
});
export const XEN_SYSCTL_SCHEDOP_putinfo = 0;
export const XEN_SYSCTL_SCHEDOP_getinfo = 1;
/** Milliseconds, and microseconds. */
export const XEN_SYSCTL_CSCHED_TSLICE_MIN = 1;
export const XEN_SYSCTL_CSCHED_TSLICE_MAX = 1000;
export const XEN_SYSCTL_SCHED_RATELIMIT_MIN = 100;
export const XEN_SYSCTL_SCHED_RATELIMIT_MAX = 500_000;
export const XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US = 100_000;
/** The union, 8-byte aligned by a handle, as Credit has it; Credit2 has ratelimit_us alone, first. */
export const xen_sysctl_scheduler_op = struct("xen_sysctl_scheduler_op", {
  cpupool_id: u32,
  sched_id: u32,
  cmd: u32,
  pad: u32,
  tslice_ms: u32,
  ratelimit_us: u32,
  vcpu_migr_delay_us: u32,
});
