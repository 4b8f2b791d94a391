// public/sched.h: scheduler operations and shutdown reasons.

import { handle, i32, struct, u16, u32, u64 } from "./layout.js";

export const SCHEDOP_yield = 0;
export const SCHEDOP_block = 1;
export const SCHEDOP_shutdown = 2;
export const SCHEDOP_poll = 3;
export const SCHEDOP_remote_shutdown = 4;
export const SCHEDOP_shutdown_code = 5;
export const SCHEDOP_watchdog = 6;
export const SCHEDOP_pin_override = 7;
export const SHUTDOWN_poweroff = 0;
export const SHUTDOWN_reboot = 1;
export const SHUTDOWN_suspend = 2;
export const SHUTDOWN_crash = 3;
export const SHUTDOWN_watchdog = 4;
export const SHUTDOWN_soft_reset = 5;
export const SHUTDOWN_MAX = 5;

export const sched_shutdown = struct("sched_shutdown", { reason: u32 });
export const sched_poll = struct("sched_poll", { ports: handle, nr_ports: u32, timeout: u64 });
export const sched_remote_shutdown = struct("sched_remote_shutdown", { domain_id: u16, reason: u32 });
export const sched_watchdog = struct("sched_watchdog", { id: u32, timeout: u32 });
export const sched_pin_override = struct("sched_pin_override", { pcpu: i32 });
