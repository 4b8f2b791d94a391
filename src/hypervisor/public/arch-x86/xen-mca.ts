// public/arch-x86/xen-mca.h: machine check telemetry.

import { array, bytes, handle, i32, struct, u16, u32, u64 } from "../layout.js";

export const XEN_MCA_INTERFACE_VERSION = 0x01ecc003;
export const XEN_MC_ACK = 0x0004;
export const XEN_MC_OK = 0x0;
export const XEN_MC_NODATA = 0x2;
export const XEN_MC_fetch = 1;
export const XEN_MC_notifydomain = 2;
export const XEN_MC_physcpuinfo = 3;
export const XEN_MC_msrinject = 4;
export const XEN_MC_mceinject = 5;

/** xen_mc: cmd u32, interface_version u32, then the union of arguments at this offset. */
export const XEN_MC_ARGUMENT = 8;

export const xen_mc_fetch = struct("xen_mc_fetch", { flags: u32, _pad0: u32, fetch_id: u64, data: handle });
export const xen_mc_physcpuinfo = struct("xen_mc_physcpuinfo", { ncpus: u32, _pad0: u32, info: handle });

export const xen_mcinfo_msr = struct("mcinfo_msr", { reg: u64, value: u64 });
/** mcinfo_logical_cpu; __MC_MSR_ARRAYSIZE is 8. */
export const xen_mc_logical_cpu = struct("xen_mc_logical_cpu", {
  mc_cpunr: u32,
  mc_chipid: u32,
  mc_coreid: u16,
  mc_threadid: u16,
  mc_apicid: u32,
  mc_clusterid: u32,
  mc_ncores: u32,
  mc_ncores_active: u32,
  mc_nthreads: u32,
  mc_cpuid_level: i32,
  mc_family: u32,
  mc_vendor: u32,
  mc_model: u32,
  mc_step: u32,
  mc_vendorid: bytes(16),
  mc_brandid: bytes(64),
  mc_cpu_caps: array(u32, 7),
  mc_cache_size: u32,
  mc_cache_alignment: u32,
  mc_nmsrvals: i32,
  mc_msrvalues: array(xen_mcinfo_msr, 8),
});
