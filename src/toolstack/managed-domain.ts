// A domain of a host with what the toolstack knows of it beyond the hypervisor: its configuration, its console's viewers and log, when
// it was started, and what is to happen at its end.

import type { XlDomainConfig } from "../config/xl-config.js";
import type { ConsoleHub } from "../host/console-hub.js";
import type { GuestDomain } from "../host/guest-domain.js";

export interface ManagedDomain {
  readonly guest: GuestDomain;
  /** undefined: not made by this toolstack, as domain 0. */
  config: XlDomainConfig | undefined;
  /** One a console. */
  readonly hubs: readonly ConsoleHub[];
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Its end has an action; false after `create -e`. */
  readonly isWatched: boolean;
  /** Another one takes its place after it. */
  isRestarting: boolean;
  /** Resolves when it is gone from the host. */
  readonly gone: Promise<void>;
  /** For the toolstack, once. */
  readonly onGone: () => void;
}

/** A domain as commands show it. */
export interface DomainSummary {
  readonly domid: number;
  readonly name: string;
  readonly uuid: string;
  readonly state: {
    readonly running: boolean;
    readonly blocked: boolean;
    readonly paused: boolean;
    readonly shutdown: boolean;
    readonly dying: boolean;
  };
  /** SHUTDOWN_* of sched.h, or null. */
  readonly shutdownReason: number | null;
  readonly memoryKib: number;
  readonly maxMemoryKib: number;
  /** Seconds. */
  readonly cpuTime: number;
  /** Seconds since it was started. */
  readonly uptime: number;
  readonly vcpus: readonly {
    readonly id: number;
    readonly online: boolean;
    readonly blocked: boolean;
    readonly running: boolean;
    readonly cpuTime: number;
    /** The host's CPU where it runs, or did last; where it may and should run. */
    readonly cpu: number;
    readonly affinity: { readonly hard: readonly number[]; readonly soft: readonly number[] };
  }[];
  /** Its share of the CPUs: weight 1 to 65535; most it gets, per cent of one CPU, 0: no limit. */
  readonly scheduling: { readonly weight: number; readonly cap: number };
  /** Of all its disks: requests and 512-byte sectors. */
  readonly vbds: {
    readonly count: number;
    readonly reads: number;
    readonly writes: number;
    readonly sectorsRead: number;
    readonly sectorsWritten: number;
  };
  /** Of all its network interfaces: sent and received by the guest. */
  readonly nets: { readonly count: number; readonly txKib: number; readonly rxKib: number };
  /** null for domains without one, as domain 0. */
  readonly config: XlDomainConfig | null;
}

export function summaryOf({ guest, config, startedAt }: ManagedDomain): DomainSummary {
  const { info } = guest;
  return {
    domid: guest.id,
    name: guest.name,
    uuid: guest.uuid,
    state: {
      running: info.isRunning,
      blocked: info.isBlocked,
      paused: info.isPaused,
      shutdown: info.isShutDown,
      dying: info.isDying,
    },
    shutdownReason: info.shutdownCode ?? null,
    memoryKib: info.memoryKib,
    maxMemoryKib: info.maxMemoryKib,
    cpuTime: info.cpuTime,
    uptime: Math.max(0, Date.now() - startedAt) / 1000,
    vcpus: info.vcpus.map(({ id, isOnline, isBlocked, isRunning, cpuTime, cpu, affinity }) => ({
      ...{ id, online: isOnline, blocked: isBlocked, running: isRunning, cpuTime, cpu, affinity },
    })),
    scheduling: { weight: info.weight, cap: info.cap },
    vbds: diskSums(guest),
    nets: netSums(guest),
    config: config ?? null,
  };
}

function diskSums(guest: GuestDomain): DomainSummary["vbds"] {
  const sums = { count: 0, reads: 0, writes: 0, sectorsRead: 0, sectorsWritten: 0 };
  for (const { statistics } of guest.disks()) {
    sums.count++;
    sums.reads += statistics.reads;
    sums.writes += statistics.writes;
    sums.sectorsRead += statistics.sectorsRead;
    sums.sectorsWritten += statistics.sectorsWritten;
  }
  return sums;
}

function netSums(guest: GuestDomain): DomainSummary["nets"] {
  const all = guest.interfaces();
  const kib = (of: (statistics: (typeof all)[number]["statistics"]) => number) =>
    Math.floor(all.reduce((sum, { statistics }) => sum + of(statistics), 0) / 1024);
  return {
    count: all.length,
    txKib: kib(({ sentBytes }) => sentBytes),
    rxKib: kib(({ receivedBytes }) => receivedBytes),
  };
}
