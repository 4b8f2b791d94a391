// HYPERVISOR_xenpmu_op (pmu.h): there are no virtual performance counters, as in a Xen that was started without "vpmu".

import { errno } from "../public/errno.js";
import { __HYPERVISOR_xenpmu_op } from "../public/xen.js";
import type { Hypercall, HypercallRow } from "./args.js";

export const xenpmuOp: Hypercall = () => -errno.EOPNOTSUPP;

export const xenpmuRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_xenpmu_op, name: "xenpmu_op", pv64: xenpmuOp, pv32: xenpmuOp, hvm: xenpmuOp },
];
