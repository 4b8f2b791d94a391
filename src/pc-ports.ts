// The emulated PC that dom0 sees: devices behind I/O ports, ACPI tables in machine memory, and the memory map that says so.

import { installAcpi } from "./devices/acpi/install.js";
import { createPlatform } from "./devices/platform.js";
import type { PortBus } from "./devices/port-bus.js";
import type { Clock } from "./hypervisor/clock.js";
import { type E820Entry, pcMemoryMap } from "./hypervisor/machine-map.js";
import { E820_RESERVED } from "./hypervisor/public/memory.js";
import { type MachineMemory, PAGE_SIZE } from "./mmu/machine-memory.js";

export interface Pc {
  readonly ports: PortBus;
  readonly machineMap: readonly E820Entry[];
}

/** @param onPowerOff dom0 switched the machine off through its power management registers. */
export function createPc(memory: MachineMemory, clock: Clock, onPowerOff: () => void): Pc {
  const { ports } = createPlatform(clock);
  const reserved = installAcpi(memory, ports, { cpus: 1, now: () => clock.monotonic(), onPowerOff });
  const machineMap = pcMemoryMap(memory.frames * PAGE_SIZE - reserved.size);
  const entry: E820Entry = { ...reserved, type: E820_RESERVED };
  return { ports, machineMap: [...machineMap, entry].sort((a, b) => a.address - b.address) };
}
