// What `xl info` says of a host.

import { arch, hostname, release, version } from "node:os";
import type { XenHost } from "../xen-host.js";

export interface HostInfo {
  readonly host: string;
  /** Of the system that the toolstack runs on. */
  readonly release: string;
  readonly version: string;
  readonly machine: string;
  readonly nr_cpus: number;
  readonly cpu_mhz: number;
  /** The first eight words of Xen's CPUID feature set, as xl prints them. */
  readonly hw_caps: string;
  readonly virt_caps: string;
  /** MiB */
  readonly total_memory: number;
  readonly free_memory: number;
  readonly xen_major: number;
  readonly xen_minor: number;
  readonly xen_extra: string;
  readonly xen_caps: string;
  readonly xen_scheduler: string;
  readonly xen_pagesize: number;
  readonly virt_start: string;
  readonly xen_commandline: string;
  readonly cc_compiler: string;
  /** Seconds that the host has been up. */
  readonly uptime: number;
}

export function hostInfo(host: XenHost, startedAt: number): HostInfo {
  const { totalMemory, freeMemory, cpuKhz, cpus, version: xen, featureWords, scheduler } = host.info;
  return {
    host: hostname(),
    release: release(),
    version: version(),
    machine: arch() === "x64" ? "x86_64" : arch(),
    nr_cpus: cpus,
    cpu_mhz: cpuKhz / 1000,
    hw_caps: featureWords.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join(":"),
    virt_caps: "pv gnttab-v1 gnttab-v2",
    total_memory: Math.floor(totalMemory / 2 ** 20),
    free_memory: Math.floor(freeMemory / 2 ** 20),
    xen_major: xen.major,
    xen_minor: xen.minor,
    xen_extra: xen.extra,
    xen_caps: xen.capabilities,
    xen_scheduler: scheduler,
    xen_pagesize: 4096,
    virt_start: xen.virtStart,
    xen_commandline: xen.commandLine,
    cc_compiler: `node ${process.version}`,
    uptime: (Date.now() - startedAt) / 1000,
  };
}
