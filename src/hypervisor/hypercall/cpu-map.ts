// CPU sets in guest memory (domctl.h, xenctl_bitmap): a handle to bytes, and how many bits count.

import { copyFromGuest, copyToGuest } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { MAX_CPUS } from "../scheduler/sched-unit.js";

export interface GuestBitmap {
  bitmap: bigint;
  nr_bits: number;
}

/** The first 32 CPUs of a set; undefined when it can't be read. */
export function readCpuMap(vcpu: Vcpu, { bitmap, nr_bits }: GuestBitmap): number | undefined {
  const bits = Math.min(nr_bits, MAX_CPUS);
  const bytes = copyFromGuest(vcpu, bitmap, Math.ceil(bits / 8));
  if (!bytes) return undefined;
  let mask = 0;
  for (let cpu = 0; cpu < bits; cpu++) if (bytes[cpu >> 3]! & (1 << (cpu & 7))) mask |= 1 << cpu;
  return mask;
}

/** As much of a set as the guest has room for. */
export function writeCpuMap(vcpu: Vcpu, { bitmap, nr_bits }: GuestBitmap, mask: number): boolean {
  const size = Math.min(Math.ceil(nr_bits / 8), 1024);
  const bytes = new Uint8Array(size);
  for (let cpu = 0; cpu < Math.min(nr_bits, MAX_CPUS); cpu++) if (mask & (1 << cpu)) bytes[cpu >> 3]! |= 1 << (cpu & 7);
  return copyToGuest(vcpu, bitmap, bytes);
}
