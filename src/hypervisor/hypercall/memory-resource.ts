// XENMEM_acquire_resource (memory.h): the frames of a domain's grant table, for a PV toolstack domain to map by frame number.

import { copyFromGuest, copyToGuest, writeU64 } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { errno } from "../public/errno.js";
import {
  XENMEM_resource_grant_table,
  XENMEM_resource_grant_table_id_shared,
  XENMEM_resource_grant_table_id_status,
  xen_mem_acquire_resource,
} from "../public/memory.js";
import { DOMID_SELF } from "../public/xen.js";

export function acquireResource(vcpu: Vcpu, arg: bigint): number {
  const { hypervisor } = vcpu.domain;
  const bytes = copyFromGuest(vcpu, arg, xen_mem_acquire_resource.size(64));
  if (!bytes) return -errno.EFAULT;
  const request = xen_mem_acquire_resource.decode(bytes, 64);
  if (request.pad !== 0) return -errno.EINVAL;
  if (!vcpu.domain.privileged) return -errno.EPERM;
  if (request.domid === DOMID_SELF) return -errno.EPERM;
  const domain = hypervisor.findDomain(request.domid);
  if (domain === undefined) return -errno.ESRCH;
  if (request.type !== XENMEM_resource_grant_table) return -errno.EOPNOTSUPP;
  const isStatus = request.id === XENMEM_resource_grant_table_id_status;
  if (!isStatus && request.id !== XENMEM_resource_grant_table_id_shared) return -errno.EINVAL;
  const { grants } = domain;

  if (request.frame_list === 0n) {
    if (request.nr_frames !== 0) return -errno.EINVAL;
    request.nr_frames = isStatus ? grants.statusFrames.length : grants.maxFrames;
    return copyToGuest(vcpu, arg, xen_mem_acquire_resource.encode(64, request)) ? 0 : -errno.EFAULT;
  }
  if (request.frame + BigInt(request.nr_frames) > BigInt(grants.maxFrames)) return -errno.EINVAL;
  const first = Number(request.frame);
  const end = first + request.nr_frames;
  if (!isStatus && end > grants.frames.length && !grants.grow(end)) return -errno.EINVAL;
  const frames = (isStatus ? grants.statusFrames : grants.frames).slice(first, end);
  if (frames.length < request.nr_frames) return -errno.EINVAL;
  for (const [i, mfn] of frames.entries())
    if (!writeU64(vcpu, BigInt.asUintN(64, request.frame_list + BigInt(i * 8)), BigInt(mfn))) return -errno.EFAULT;
  return 0;
}
