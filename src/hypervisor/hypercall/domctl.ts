// HYPERVISOR_domctl (domctl.h): what the toolstack in dom0 asks about domains. Creating and ending domains is the host's business
// so far: those operations don't exist here.

import { domainInfo } from "../domain-info.js";
import { copyToGuest, readU32 } from "../guest-access.js";
import type { Domain, Vcpu } from "../hypervisor.js";
import * as D from "../public/domctl.js";
import { errno } from "../public/errno.js";
import { __HYPERVISOR_domctl, DOMID_SELF } from "../public/xen.js";
import type { HypercallArgs, HypercallRow } from "./args.js";
import { type DomctlOperation, vcpuOperations } from "./domctl-vcpus.js";
import { readStruct, reportOnce } from "./operation.js";

const operations: Readonly<Record<number, DomctlOperation>> = {
  ...vcpuOperations,
  [D.XEN_DOMCTL_pausedomain]: (vcpu, domain) => {
    if (domain === vcpu.domain) return -errno.EINVAL;
    domain.pause();
    return 0;
  },
  [D.XEN_DOMCTL_unpausedomain]: (vcpu, domain) => {
    if (domain === vcpu.domain) return -errno.EINVAL;
    domain.unpause();
    return 0;
  },
  [D.XEN_DOMCTL_getdomaininfo]: (vcpu, domain, va) => {
    const bytes = D.xen_domctl_getdomaininfo.encode(vcpu.domain.abi, domainInfo(domain));
    return copyToGuest(vcpu, va, bytes) ? 0 : -errno.EFAULT;
  },
  [D.XEN_DOMCTL_max_mem]: (vcpu, domain, va) => {
    const argument = readStruct(vcpu, va, D.xen_domctl_max_mem);
    if (!argument) return -errno.EFAULT;
    const pages = argument.max_memkb >> 2n;
    if (pages > BigInt(Number.MAX_SAFE_INTEGER)) return -errno.EINVAL;
    domain.memory.maxPages = Number(pages);
    return 0;
  },
};

/** Finds the domain that a domctl names; getdomaininfo takes the next one up when it doesn't exist. */
function subject(vcpu: Vcpu, command: number, domid: number): Domain | undefined {
  const { hypervisor } = vcpu.domain;
  if (domid === DOMID_SELF) return vcpu.domain;
  const found = hypervisor.findDomain(domid);
  if (found || command !== D.XEN_DOMCTL_getdomaininfo) return found;
  const later = [...hypervisor.domains.keys()].filter((id) => id > domid);
  return later.length > 0 ? hypervisor.findDomain(Math.min(...later)) : undefined;
}

export function domctl(vcpu: Vcpu, args: HypercallArgs): number {
  const va = args.arg(0);
  if (!vcpu.domain.privileged) return -errno.EPERM;
  const command = readU32(vcpu, va + BigInt(D.XEN_DOMCTL.cmd));
  const version = readU32(vcpu, va + BigInt(D.XEN_DOMCTL.interface_version));
  const domid = readU32(vcpu, va + BigInt(D.XEN_DOMCTL.domain));
  if (command === undefined || version === undefined || domid === undefined) return -errno.EFAULT;
  if (version !== D.XEN_DOMCTL_INTERFACE_VERSION) return -errno.EACCES;
  const run = Object.hasOwn(operations, command) ? operations[command] : undefined;
  if (!run) {
    reportOnce(vcpu, `unknown domctl sub-operation ${command}`);
    return -errno.ENOSYS;
  }
  const domain = subject(vcpu, command, domid & 0xffff);
  return domain ? run(vcpu, domain, va + BigInt(D.XEN_DOMCTL.u)) : -errno.ESRCH;
}

export const domctlRows: readonly HypercallRow[] = [{ number: __HYPERVISOR_domctl, name: "domctl", pv64: domctl }];
