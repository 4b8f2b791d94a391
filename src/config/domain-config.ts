// From a domain as xl's files describe it to what createDomain takes.

import { XenError } from "../host/errors.js";
import type { DomainConfig } from "../host/guest-domain.js";
import type { CpuAffinity } from "../host/guest-scheduling.js";
import { type CpuList, expandCpuList } from "./cpu-list.js";
import type { XlDomainConfig } from "./xl-config.js";

/** @throws XenError bad-config: a kind of guest that isn't supported */
export function domainConfigOf(xl: XlDomainConfig): DomainConfig {
  const { name, type, kernel, firmware, ramdisk, cmdline, memory, vcpus, maxvcpus, disks, vifs, cpuWeight, cap } = xl;
  if (type !== "pv") throw new XenError("bad-config", `${name}: type ${type} isn't supported; pv is`);
  if (kernel === undefined)
    throw new XenError("bad-config", `${name}: firmware ${firmware} isn't found; name its file as kernel`);
  return {
    ...{ name, kernel, cmdline, vcpus, maxVcpus: maxvcpus, disks, affinity: affinityOf(xl) },
    scheduling: { ...(cpuWeight === undefined ? {} : { weight: cpuWeight }), ...(cap === undefined ? {} : { cap }) },
    ...(xl.consoles ? { consoles: xl.consoles } : {}),
    ...(vifs.length === 0 ? {} : { vifs: vifs.map(({ text }) => text) }),
    ...(ramdisk === undefined ? {} : { ramdisk }),
    ...(memory === undefined ? {} : { memory }),
  };
}

/** More CPUs than a host has are left out there. */
const MAX_CPUS = 32;

function affinityOf({ cpus = [], cpusSoft = [] }: XlDomainConfig): CpuAffinity[] {
  const numbers = (list: CpuList) => expandCpuList(list, MAX_CPUS);
  return Array.from({ length: Math.max(cpus.length, cpusSoft.length) }, (_, vcpu) => ({
    ...(cpus[vcpu] ? { hard: numbers(cpus[vcpu]) } : {}),
    ...(cpusSoft[vcpu] ? { soft: numbers(cpusSoft[vcpu]) } : {}),
  }));
}
