// The part of domctl that is about a domain's vCPUs and its share of the CPUs (domctl.h: getvcpuinfo, vcpuaffinity, scheduler_op).

import type { Domain, Vcpu } from "../hypervisor.js";
import * as D from "../public/domctl.js";
import { errno } from "../public/errno.js";
import { MAX_WEIGHT } from "../scheduler/sched-unit.js";
import { readCpuMap, writeCpuMap } from "./cpu-map.js";
import { readStruct, updateStruct } from "./operation.js";
import { schedulerId } from "./scheduler-op.js";

export type DomctlOperation = (vcpu: Vcpu, domain: Domain, va: bigint) => number;

function getVcpuInfo(vcpu: Vcpu, domain: Domain, va: bigint): number {
  const argument = readStruct(vcpu, va, D.xen_domctl_getvcpuinfo);
  if (!argument) return -errno.EFAULT;
  const target = domain.vcpus[argument.vcpu];
  if (!target) return -errno.ESRCH;
  argument.online = target.isUp ? 1 : 0;
  argument.blocked = target.isBlocked ? 1 : 0;
  argument.running = target.isRunning ? 1 : 0;
  argument.cpu_time = target.runstate.cpuTime(domain.hypervisor.time.now());
  argument.cpu = target.sched.cpu;
  return updateStruct(vcpu, va, D.xen_domctl_getvcpuinfo, argument) ? 0 : -errno.EFAULT;
}

function vcpuAffinity(isSet: boolean): DomctlOperation {
  return (vcpu, domain, va) => {
    const argument = readStruct(vcpu, va, D.xen_domctl_vcpuaffinity);
    if (!argument) return -errno.EFAULT;
    const { flags, cpumap_hard, cpumap_soft } = argument;
    const sched = domain.vcpus[argument.vcpu]?.sched;
    if (!sched) return -errno.ESRCH;
    const both = D.XEN_VCPUAFFINITY_HARD | D.XEN_VCPUAFFINITY_SOFT;
    if ((flags & both) === 0 || flags & ~(both | D.XEN_VCPUAFFINITY_FORCE)) return -errno.EINVAL;
    const { scheduler } = domain.hypervisor;
    if (isSet) {
      const hard = flags & D.XEN_VCPUAFFINITY_HARD ? readCpuMap(vcpu, cpumap_hard) : sched.hardAffinity;
      const soft = flags & D.XEN_VCPUAFFINITY_SOFT ? readCpuMap(vcpu, cpumap_soft) : sched.softAffinity;
      if (hard === undefined || soft === undefined) return -errno.EFAULT;
      if (!scheduler.setAffinity(sched, hard, soft)) return -errno.EINVAL;
    }
    // What was set, comes back as it has effect.
    const existing = isSet ? scheduler.allCpus : -1;
    const effective = [
      sched.hardAffinity & existing,
      sched.softAffinity & existing & (isSet ? sched.hardAffinity : -1),
    ];
    if (flags & D.XEN_VCPUAFFINITY_HARD && !writeCpuMap(vcpu, cpumap_hard, effective[0]!)) return -errno.EFAULT;
    if (flags & D.XEN_VCPUAFFINITY_SOFT && !writeCpuMap(vcpu, cpumap_soft, effective[1]!)) return -errno.EFAULT;
    return 0;
  };
}

function schedulerOp(vcpu: Vcpu, domain: Domain, va: bigint): number {
  const argument = readStruct(vcpu, va, D.xen_domctl_scheduler_op);
  if (!argument) return -errno.EFAULT;
  if (argument.sched_id !== schedulerId(domain.hypervisor.scheduler)) return -errno.EINVAL;
  const { sched } = domain;
  switch (argument.cmd) {
    case D.XEN_DOMCTL_SCHEDOP_putinfo:
      // Weight 0 and cap 0xffff leave what is.
      if (argument.cap !== 0xffff && argument.cap > domain.vcpus.length * 100) return -errno.EINVAL;
      if (argument.weight !== 0) sched.weight = Math.min(argument.weight, MAX_WEIGHT);
      if (argument.cap !== 0xffff) sched.cap = argument.cap;
      return 0;
    case D.XEN_DOMCTL_SCHEDOP_getinfo:
      argument.weight = sched.weight;
      argument.cap = sched.cap;
      return updateStruct(vcpu, va, D.xen_domctl_scheduler_op, argument) ? 0 : -errno.EFAULT;
    default:
      return -errno.EINVAL;
  }
}

export const vcpuOperations: Readonly<Record<number, DomctlOperation>> = {
  [D.XEN_DOMCTL_setvcpuaffinity]: vcpuAffinity(true),
  [D.XEN_DOMCTL_getvcpuaffinity]: vcpuAffinity(false),
  [D.XEN_DOMCTL_getvcpuinfo]: getVcpuInfo,
  [D.XEN_DOMCTL_scheduler_op]: schedulerOp,
};
