// Makes a Hypervisor whose parts above hypervisor.ts are connected.

import { writeTimeArea } from "./guest-areas.js";
import { Hypervisor, type HypervisorOptions } from "./hypervisor.js";
import { emulatePageTableWrite } from "./pv/ptwr.js";

export function createHypervisor(options: HypervisorOptions): Hypervisor {
  const hypervisor = new Hypervisor(options);
  hypervisor.pageTableWriter = emulatePageTableWrite;
  hypervisor.onTimeUpdate = writeTimeArea;
  return hypervisor;
}
