// public/vcpu.h: vCPU operations, run states and timers.

import { array, i32, struct, u32, u64 } from "./layout.js";

export const VCPUOP_initialise = 0;
export const VCPUOP_up = 1;
export const VCPUOP_down = 2;
export const VCPUOP_is_up = 3;
export const VCPUOP_get_runstate_info = 4;
export const RUNSTATE_running = 0;
export const RUNSTATE_runnable = 1;
export const RUNSTATE_blocked = 2;
export const RUNSTATE_offline = 3;
export const VCPUOP_register_runstate_memory_area = 5;
export const VCPUOP_set_periodic_timer = 6;
export const VCPUOP_stop_periodic_timer = 7;
export const VCPUOP_set_singleshot_timer = 8;
export const VCPUOP_stop_singleshot_timer = 9;
export const VCPUOP_register_vcpu_info = 10;
export const VCPUOP_send_nmi = 11;
export const VCPUOP_get_physid = 12;
export const VCPUOP_register_vcpu_time_memory_area = 13;
export const VCPU_SSHOTTMR_future = 1;
export const XEN_RUNSTATE_UPDATE = 1n << 63n;

export const vcpu_runstate_info = struct("vcpu_runstate_info", {
  state: i32,
  state_entry_time: u64,
  time: array(u64, 4),
});
/** The union of handle and u64 is 8 bytes in both ABIs. */
export const vcpu_register_runstate_memory_area = struct("vcpu_register_runstate_memory_area", { addr: u64 });
export const vcpu_set_periodic_timer = struct("vcpu_set_periodic_timer", { period_ns: u64 });
export const vcpu_set_singleshot_timer = struct("vcpu_set_singleshot_timer", { timeout_abs_ns: u64, flags: u32 });
export const vcpu_register_vcpu_info = struct("vcpu_register_vcpu_info", { mfn: u64, offset: u32, rsvd: u32 });
export const vcpu_get_physid = struct("vcpu_get_physid", { phys_id: u64 });
export const vcpu_register_time_memory_area = struct("vcpu_register_time_memory_area", { addr: u64 });
