// HYPERVISOR_sysctl (sysctl.h): what the toolstack in dom0 asks about the machine.

import { domainInfo } from "../domain-info.js";
import { copyToGuest, readU32 } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { xen_domctl_getdomaininfo } from "../public/domctl.js";
import { errno } from "../public/errno.js";
import * as S from "../public/sysctl.js";
import { __HYPERVISOR_sysctl } from "../public/xen.js";
import type { HypercallArgs, HypercallRow } from "./args.js";
import { inOut, type OperationTable, runOperation } from "./operation.js";
import { getInfo, putInfo, schedulerId } from "./scheduler-op.js";

const MAX_LIST = 1024;

const operations: OperationTable = {
  [S.XEN_SYSCTL_physinfo]: inOut(S.xen_sysctl_physinfo, ({ domain }, info) => {
    const { mm, time, memory } = domain.hypervisor;
    info.threads_per_core = info.nr_nodes = 1;
    info.cores_per_socket = info.nr_cpus = domain.hypervisor.scheduler.cpus;
    info.max_cpu_id = info.nr_cpus - 1;
    info.max_node_id = 0;
    info.cpu_khz = time.tscKhz;
    info.capabilities = S.XEN_SYSCTL_PHYSCAP_pv | S.XEN_SYSCTL_PHYSCAP_gnttab_v1 | S.XEN_SYSCTL_PHYSCAP_gnttab_v2;
    info.arch_capabilities = 0;
    info.total_pages = BigInt(memory.frames);
    info.free_pages = BigInt(mm.freeFrames);
    info.scrub_pages = info.outstanding_pages = 0n;
    info.max_mfn = BigInt(memory.frames - 1);
    info.hw_cap = new Array(8).fill(0);
    return 0;
  }),
  [S.XEN_SYSCTL_sched_id]: inOut(S.xen_sysctl_sched_id, ({ domain }, argument) => {
    argument.sched_id = schedulerId(domain.hypervisor.scheduler);
    return 0;
  }),
  [S.XEN_SYSCTL_scheduler_op]: inOut(S.xen_sysctl_scheduler_op, ({ domain }, argument) => {
    const { scheduler } = domain.hypervisor;
    if (argument.cpupool_id !== 0) return -errno.ESRCH;
    if (argument.sched_id !== schedulerId(scheduler)) return -errno.EINVAL;
    if (argument.cmd === S.XEN_SYSCTL_SCHEDOP_putinfo) return putInfo(scheduler, argument);
    if (argument.cmd !== S.XEN_SYSCTL_SCHEDOP_getinfo) return -errno.EINVAL;
    getInfo(scheduler, argument);
    return 0;
  }),
  [S.XEN_SYSCTL_getdomaininfolist]: inOut(S.xen_sysctl_getdomaininfolist, (vcpu, argument) => {
    const { abi, hypervisor } = vcpu.domain;
    const size = xen_domctl_getdomaininfo.size(abi);
    const ids = [...hypervisor.domains.keys()].filter((id) => id >= argument.first_domain).sort((a, b) => a - b);
    argument.num_domains = 0;
    for (const id of ids.slice(0, Math.min(argument.max_domains, MAX_LIST))) {
      const bytes = xen_domctl_getdomaininfo.encode(abi, domainInfo(hypervisor.domains.get(id)!));
      const va = BigInt.asUintN(64, argument.buffer + BigInt(argument.num_domains * size));
      if (!copyToGuest(vcpu, va, bytes)) return -errno.EFAULT;
      argument.num_domains++;
    }
    return 0;
  }),
};

export function sysctl(vcpu: Vcpu, args: HypercallArgs): number {
  const va = args.arg(0);
  if (!vcpu.domain.privileged) return -errno.EPERM;
  const command = readU32(vcpu, va + BigInt(S.XEN_SYSCTL.cmd));
  const version = readU32(vcpu, va + BigInt(S.XEN_SYSCTL.interface_version));
  if (command === undefined || version === undefined) return -errno.EFAULT;
  if (version !== S.XEN_SYSCTL_INTERFACE_VERSION) return -errno.EACCES;
  return runOperation(vcpu, operations, "sysctl", command, va + BigInt(S.XEN_SYSCTL.u));
}

export const sysctlRows: readonly HypercallRow[] = [{ number: __HYPERVISOR_sysctl, name: "sysctl", pv64: sysctl }];
