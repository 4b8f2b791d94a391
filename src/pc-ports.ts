// The I/O ports of the emulated PC that dom0 sees: which devices there are, and where.

import { createPlatform } from "./devices/platform.js";
import type { PortBus } from "./devices/port-bus.js";
import type { Clock } from "./hypervisor/clock.js";

export function createPcPorts(clock: Clock): PortBus {
  return createPlatform(clock).ports;
}
