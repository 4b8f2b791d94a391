// What the toolstack is told of a domain (domctl.h: xen_domctl_getdomaininfo).

import type { Domain } from "./hypervisor.js";
import * as D from "./public/domctl.js";
import type { StructValue } from "./public/layout.js";

export type DomainInfo = StructValue<typeof D.xen_domctl_getdomaininfo.fields>;

function flagsOf(domain: Domain): number {
  const online = domain.vcpus.filter((vcpu) => vcpu.isUp);
  let flags = 0;
  if (domain.isDying) flags |= D.XEN_DOMINF_dying;
  if (domain.pauseCount > 0) flags |= D.XEN_DOMINF_paused;
  if (domain.isShutDown) flags |= D.XEN_DOMINF_shutdown;
  if (online.every((vcpu) => vcpu.isBlocked)) flags |= D.XEN_DOMINF_blocked;
  if (online.some((vcpu) => vcpu.isRunning)) flags |= D.XEN_DOMINF_running;
  return (flags | ((domain.shutdownReason ?? 0) << D.XEN_DOMINF_shutdownshift)) >>> 0;
}

export function domainInfo(domain: Domain): DomainInfo {
  const now = domain.hypervisor.time.now();
  const online = domain.vcpus.filter((vcpu) => vcpu.isUp);
  return {
    domain: domain.id,
    pad1: 0,
    flags: flagsOf(domain),
    tot_pages: BigInt(domain.memory.totalPages),
    max_pages: BigInt(domain.memory.maxPages),
    outstanding_pages: 0n,
    shr_pages: 0n,
    paged_pages: 0n,
    shared_info_frame: BigInt(domain.sharedInfoMfn),
    cpu_time: domain.vcpus.reduce((sum, { runstate }) => sum + runstate.cpuTime(now), 0n),
    nr_online_vcpus: online.length,
    max_vcpu_id: domain.vcpus.length - 1,
    ssidref: 0,
    handle: domain.handle,
    cpupool: 0,
    gpaddr_bits: 0,
    pad2: new Uint8Array(7),
    emulation_flags: 0,
    misc_flags: 0,
  };
}
