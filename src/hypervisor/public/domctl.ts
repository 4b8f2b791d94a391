// public/domctl.h: control of domains by the toolstack; the operations that exist here.

import { bytes, handle64, struct, u8, u16, u32, u64Aligned } from "./layout.js";

export const XEN_DOMCTL_INTERFACE_VERSION = 0x15;
export const XEN_DOMCTL_pausedomain = 3;
export const XEN_DOMCTL_unpausedomain = 4;
export const XEN_DOMCTL_getdomaininfo = 5;
export const XEN_DOMCTL_setvcpuaffinity = 9;
export const XEN_DOMCTL_max_mem = 11;
export const XEN_DOMCTL_getvcpuinfo = 14;
export const XEN_DOMCTL_scheduler_op = 16;
export const XEN_DOMCTL_getvcpuaffinity = 25;

/** xen_domctl: cmd u32, interface_version u32, domain u16, then the union. */
export const XEN_DOMCTL = { cmd: 0, interface_version: 4, domain: 8, u: 16 } as const;

export const XEN_DOMINF_dying = 1 << 0;
export const XEN_DOMINF_hvm_guest = 1 << 1;
export const XEN_DOMINF_shutdown = 1 << 2;
export const XEN_DOMINF_paused = 1 << 3;
export const XEN_DOMINF_blocked = 1 << 4;
export const XEN_DOMINF_running = 1 << 5;
export const XEN_DOMINF_debugged = 1 << 6;
export const XEN_DOMINF_xs_domain = 1 << 7;
export const XEN_DOMINF_hap = 1 << 8;
export const XEN_DOMINF_shutdownshift = 16;

export const xen_domctl_getdomaininfo = struct("xen_domctl_getdomaininfo", {
  domain: u16,
  pad1: u16,
  flags: u32,
  tot_pages: u64Aligned,
  max_pages: u64Aligned,
  outstanding_pages: u64Aligned,
  shr_pages: u64Aligned,
  paged_pages: u64Aligned,
  shared_info_frame: u64Aligned,
  cpu_time: u64Aligned,
  nr_online_vcpus: u32,
  max_vcpu_id: u32,
  ssidref: u32,
  handle: bytes(16),
  cpupool: u32,
  gpaddr_bits: u8,
  pad2: bytes(7),
  emulation_flags: u32,
  misc_flags: u32,
});
export const xen_domctl_max_mem = struct("xen_domctl_max_mem", { max_memkb: u64Aligned });

/** A set of CPUs or nodes, in guest memory. */
export const xenctl_bitmap = struct("xenctl_bitmap", { bitmap: handle64, nr_bits: u32 });

export const XEN_VCPUAFFINITY_HARD = 1 << 0;
export const XEN_VCPUAFFINITY_SOFT = 1 << 1;
export const XEN_VCPUAFFINITY_FORCE = 1 << 2;
export const xen_domctl_vcpuaffinity = struct("xen_domctl_vcpuaffinity", {
  vcpu: u32,
  flags: u32,
  cpumap_hard: xenctl_bitmap,
  cpumap_soft: xenctl_bitmap,
});
export const xen_domctl_getvcpuinfo = struct("xen_domctl_getvcpuinfo", {
  vcpu: u32,
  online: u8,
  blocked: u8,
  running: u8,
  cpu_time: u64Aligned,
  cpu: u32,
});

export const XEN_SCHEDULER_CREDIT = 5;
export const XEN_SCHEDULER_CREDIT2 = 6;
export const XEN_DOMCTL_SCHEDOP_putinfo = 0;
export const XEN_DOMCTL_SCHEDOP_getinfo = 1;
/** The union as Credit and Credit2 have it; a handle makes it 8-byte aligned. */
export const xen_domctl_scheduler_op = struct("xen_domctl_scheduler_op", {
  sched_id: u32,
  cmd: u32,
  weight: u16,
  cap: u16,
});
