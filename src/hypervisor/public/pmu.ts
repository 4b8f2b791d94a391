// public/pmu.h: the virtual performance counters.

import { struct, u32, u64 } from "./layout.js";

export const XENPMU_VER_MAJ = 0;
export const XENPMU_VER_MIN = 1;
export const XENPMU_mode_get = 0;
export const XENPMU_mode_set = 1;
export const XENPMU_feature_get = 2;
export const XENPMU_feature_set = 3;
export const XENPMU_init = 4;
export const XENPMU_finish = 5;
export const XENPMU_lvtpc_set = 6;
export const XENPMU_flush = 7;
export const XENPMU_MODE_OFF = 0;
export const XENPMU_MODE_SELF = 1 << 0;
export const XENPMU_MODE_HV = 1 << 1;
export const XENPMU_MODE_ALL = 1 << 2;
export const XENPMU_FEATURE_INTEL_BTS = 1 << 0;
export const XENPMU_FEATURE_IPC_ONLY = 1 << 1;
export const XENPMU_FEATURE_ARCH_ONLY = 1 << 2;

export const xen_pmu_params = struct("xen_pmu_params", { maj: u32, min: u32, val: u64, vcpu: u32, pad: u32 });
