// What the CPU of a PV vCPU asks its surroundings while it runs: CPUID, the time-stamp counter, random numbers, descriptors.

import type { CpuHooks } from "../../cpu/host/host-operation.js";
import { readDescriptor } from "./descriptors.js";
import { queryCpuid } from "./emulate-control.js";
import type { PvContext, PvHost } from "./pv-context.js";

/**
 * @param vcpu called at each use: a CPU is made before its vCPU is.
 * @param random64 64 random bits.
 */
export function pvCpuHooks(host: () => PvHost, vcpu: () => PvContext, random64: () => bigint): CpuHooks {
  return {
    cpuid: (leaf, subleaf, out) => out.set(queryCpuid(host(), vcpu(), leaf, subleaf)),
    rdtsc: () => host().readTsc(vcpu()),
    random64,
    readDescriptor: (selector) => readDescriptor(host(), vcpu(), selector),
  };
}
