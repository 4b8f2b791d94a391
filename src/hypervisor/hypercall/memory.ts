// HYPERVISOR_memory_op (memory.h): dispatch by sub-operation. The command's bits from MEMOP_EXTENT_SHIFT on count the extents that
// earlier parts of a long call have done.

import type { Vcpu } from "../hypervisor.js";
import { errno } from "../public/errno.js";
import * as M from "../public/memory.js";
import { __HYPERVISOR_memory_op } from "../public/xen.js";
import type { HypercallArgs, HypercallRow } from "./args.js";
import {
  machineMemoryMap,
  machphysMapping,
  machphysMfnList,
  memoryMap,
  reservationOf,
  setMemoryMap,
} from "./memory-map.js";
import { changeReservation, exchange } from "./memory-reservation.js";
import { acquireResource } from "./memory-resource.js";

const EXTENT_SHIFT = 6;
const COMMAND_MASK = (1 << EXTENT_SHIFT) - 1;

export function memoryOp(vcpu: Vcpu, args: HypercallArgs): number | undefined {
  const command = args.argNumber(0);
  const operation = command & COMMAND_MASK;
  const arg = args.arg(1);
  switch (operation) {
    case M.XENMEM_increase_reservation:
    case M.XENMEM_decrease_reservation:
    case M.XENMEM_populate_physmap: {
      const { result, again } = changeReservation(vcpu, operation, arg, command >>> EXTENT_SHIFT);
      if (!again) return result;
      vcpu.continueHypercall(__HYPERVISOR_memory_op, (result << EXTENT_SHIFT) | operation, arg);
      return undefined;
    }
    case M.XENMEM_exchange:
      return exchange(vcpu, arg);
    case M.XENMEM_maximum_ram_page:
      return vcpu.domain.memory.host.memory.frames - 1;
    case M.XENMEM_current_reservation:
      return reservationOf(vcpu, arg, (memory) => memory.totalPages);
    case M.XENMEM_maximum_reservation:
      return reservationOf(vcpu, arg, (memory) => memory.maxPages);
    case M.XENMEM_maximum_gpfn:
      return reservationOf(vcpu, arg, (memory) => memory.totalPages - 1);
    case M.XENMEM_machphys_mfn_list:
      return machphysMfnList(vcpu, arg);
    case M.XENMEM_machphys_mapping:
      return machphysMapping(vcpu, arg);
    case M.XENMEM_memory_map:
      return memoryMap(vcpu, arg);
    case M.XENMEM_machine_memory_map:
      return machineMemoryMap(vcpu, arg);
    case M.XENMEM_set_memory_map:
      return setMemoryMap(vcpu, arg);
    case M.XENMEM_acquire_resource:
      return acquireResource(vcpu, arg);
    case M.XENMEM_claim_pages:
      // Accepted for the caller's toolstack: memory is taken when it is populated, which can then fail.
      return vcpu.domain.privileged ? 0 : -errno.EPERM;
    case M.XENMEM_get_sharing_freed_pages:
    case M.XENMEM_get_sharing_shared_pages:
      return 0;
    case M.XENMEM_get_vnumainfo:
      // No virtual NUMA topology was given to the domain.
      return -errno.EOPNOTSUPP;
    case M.XENMEM_add_to_physmap:
    case M.XENMEM_add_to_physmap_batch:
    case M.XENMEM_remove_from_physmap:
      // A PV domain has no physmap that the hypervisor keeps.
      return -errno.EINVAL;
    default:
      return -errno.ENOSYS;
  }
}

export const memoryRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_memory_op, name: "memory_op", pv64: memoryOp },
];
