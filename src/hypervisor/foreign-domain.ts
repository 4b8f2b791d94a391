// Which domain a memory hypercall is about (xen.h: foreigndom of mmu_update): its own by DOMID_SELF, another or the hypervisor only
// for a privileged caller; DOMID_IO (I/O space alone, with the caller's own rights) for anyone.

import type { DomainMemory } from "./domain-memory.js";
import { OWNER_IO, OWNER_XEN } from "./frame-table.js";
import { errno } from "./public/errno.js";
import { DOMID_IO, DOMID_SELF, DOMID_XEN } from "./public/xen.js";

/** @returns the owner id whose frames may be named (a domain, OWNER_IO, OWNER_XEN), or a negative errno. */
export function frameOwnerFor(caller: DomainMemory, domid: number): number {
  if (domid === DOMID_SELF || domid === caller.id) return caller.id;
  if (domid === DOMID_IO) return OWNER_IO;
  if (!caller.privileged) return -errno.EPERM;
  if (domid === DOMID_XEN) return OWNER_XEN;
  return caller.host.space(domid) === undefined ? -errno.ESRCH : domid;
}

/** @returns the memory of the domain that is the subject, or a negative errno. */
export function subjectOf(caller: DomainMemory, domid: number): DomainMemory | number {
  if (domid === DOMID_SELF || domid === caller.id) return caller;
  const subject = caller.host.space(domid);
  if (!caller.privileged) return -errno.EPERM;
  return subject === undefined || subject.isDying ? -errno.ESRCH : subject;
}
