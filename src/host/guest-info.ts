// A domain in figures, as toolstacks show it (domctl.h: xen_domctl_getdomaininfo).

import { domainInfo } from "../hypervisor/domain-info.js";
import type { Domain } from "../hypervisor/hypervisor.js";
import * as D from "../hypervisor/public/domctl.js";
import { RUNSTATE_runnable, RUNSTATE_running } from "../hypervisor/public/vcpu.js";
import { affinityOf } from "./guest-scheduling.js";

export interface VcpuInfo {
  readonly id: number;
  readonly isOnline: boolean;
  readonly isBlocked: boolean;
  readonly isRunning: boolean;
  /** Seconds of CPU time. */
  readonly cpuTime: number;
  /** The host's CPU where it runs, or did last. */
  readonly cpu: number;
  /** The host's CPUs where it may and where it should run. */
  readonly affinity: { readonly hard: readonly number[]; readonly soft: readonly number[] };
}

export interface GuestInfo {
  readonly isRunning: boolean;
  readonly isBlocked: boolean;
  readonly isPaused: boolean;
  readonly isShutDown: boolean;
  readonly isDying: boolean;
  /** SHUTDOWN_* of sched.h, once it is shut down. */
  readonly shutdownCode: number | undefined;
  /** KiB it has, and may have. */
  readonly memoryKib: number;
  readonly maxMemoryKib: number;
  /** Seconds of CPU time of all vCPUs. */
  readonly cpuTime: number;
  readonly vcpus: readonly VcpuInfo[];
  /** Its share of the CPUs: see SchedulingParameters. */
  readonly weight: number;
  readonly cap: number;
}

const SECOND = 1e9;

export function guestInfo(domain: Domain): GuestInfo {
  const { flags, tot_pages, max_pages, cpu_time } = domainInfo(domain);
  const now = domain.hypervisor.time.now();
  const has = (flag: number) => (flags & flag) !== 0;
  // The guests' one thread is ours while somebody asks: who wants the CPU counts as running.
  const wants = domain.isRunning
    ? domain.vcpus.filter(({ isUp, runstate: { state } }) => {
        return isUp && (state === RUNSTATE_runnable || state === RUNSTATE_running);
      })
    : [];
  return {
    isRunning: wants.length > 0,
    isBlocked: has(D.XEN_DOMINF_blocked),
    isPaused: has(D.XEN_DOMINF_paused),
    isShutDown: has(D.XEN_DOMINF_shutdown),
    isDying: has(D.XEN_DOMINF_dying),
    shutdownCode: domain.isShutDown ? domain.shutdownReason : undefined,
    memoryKib: Number(tot_pages) * 4,
    maxMemoryKib: Number(max_pages) * 4,
    cpuTime: Number(cpu_time) / SECOND,
    vcpus: domain.vcpus.map((vcpu) => ({
      id: vcpu.id,
      isOnline: vcpu.isUp,
      isBlocked: vcpu.isBlocked,
      isRunning: wants.includes(vcpu),
      cpuTime: Number(vcpu.runstate.cpuTime(now)) / SECOND,
      cpu: vcpu.sched.cpu,
      affinity: affinityOf(vcpu.sched, domain.hypervisor.scheduler.cpus),
    })),
    weight: domain.sched.weight,
    cap: domain.sched.cap,
  };
}
