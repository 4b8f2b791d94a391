// The I/O ports of the emulated PC that dom0 sees: which devices there are, and where.

import { PortBus } from "./devices/port-bus.js";
import type { Clock } from "./hypervisor/clock.js";

export function createPcPorts(_clock: Clock): PortBus {
  return new PortBus();
}
