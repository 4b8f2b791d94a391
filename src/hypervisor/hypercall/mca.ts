// HYPERVISOR_mca (arch-x86/xen-mca.h): machine check telemetry for the hardware domain. Our machine has no errors to report;
// the one processor is described.

import { copyToGuest, readU32 } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import * as M from "../public/arch-x86/xen-mca.js";
import { errno } from "../public/errno.js";
import type { StructValue } from "../public/layout.js";
import { __HYPERVISOR_arch_0 } from "../public/xen.js";
import type { HypercallArgs, HypercallRow } from "./args.js";
import { inOut, type OperationTable, runOperation } from "./operation.js";

/** The machine's one processor: one core, one thread, no machine check banks. */
function describeCpu(): StructValue<typeof M.xen_mc_logical_cpu.fields> {
  return {
    mc_cpunr: 0,
    mc_chipid: 0,
    mc_coreid: 0,
    mc_threadid: 0,
    mc_apicid: 0,
    mc_clusterid: 0,
    mc_ncores: 1,
    mc_ncores_active: 1,
    mc_nthreads: 1,
    mc_cpuid_level: 0,
    mc_family: 0,
    mc_vendor: 0,
    mc_model: 0,
    mc_step: 0,
    mc_vendorid: new Uint8Array(16),
    mc_brandid: new Uint8Array(64),
    mc_cpu_caps: [],
    mc_cache_size: 0,
    mc_cache_alignment: 0,
    mc_nmsrvals: 0,
    mc_msrvalues: [],
  };
}

const operations: OperationTable = {
  [M.XEN_MC_fetch]: inOut(M.xen_mc_fetch, (_vcpu, argument) => {
    if (argument.flags & M.XEN_MC_ACK) {
      argument.flags = M.XEN_MC_OK;
      return 0;
    }
    argument.flags = M.XEN_MC_NODATA;
    argument.fetch_id = 0n;
    return 0;
  }),
  [M.XEN_MC_notifydomain]: () => -errno.EINVAL,
  [M.XEN_MC_physcpuinfo]: inOut(M.xen_mc_physcpuinfo, (vcpu, argument) => {
    if (argument.info !== 0n) {
      if (argument.ncpus < 1) return -errno.EINVAL;
      const cpu = M.xen_mc_logical_cpu.encode(vcpu.domain.abi, describeCpu());
      if (!copyToGuest(vcpu, argument.info, cpu)) return -errno.EFAULT;
    }
    argument.ncpus = 1;
    return 0;
  }),
};

export function doMca(vcpu: Vcpu, args: HypercallArgs): number {
  const va = args.arg(0);
  if (!vcpu.domain.privileged) return -errno.EPERM;
  const command = readU32(vcpu, va);
  const version = readU32(vcpu, va + 4n);
  if (command === undefined || version === undefined) return -errno.EFAULT;
  if (version !== M.XEN_MCA_INTERFACE_VERSION) return -errno.EACCES;
  return runOperation(vcpu, operations, "mca", command, va + BigInt(M.XEN_MC_ARGUMENT));
}

export const mcaRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_arch_0, name: "mca", pv64: doMca, pv32: doMca },
];
