// Puts the ACPI tables where an operating system finds them: the root pointer in the BIOS area, the rest at the top of RAM, in a
// range that the memory map must call reserved.

import type { MachineMemory } from "../../mmu/machine-memory.js";
import { PAGE_SIZE } from "../../mmu/machine-memory.js";
import type { PortBus } from "../port-bus.js";
import { GPE0, PM1_EVENT, type PmOptions, PmRegisters } from "./pm-registers.js";
import { acpiTables } from "./tables.js";

/** Bytes at the top of RAM. */
export const ACPI_RESERVED_BYTES = 0x2_0000;
/** ACPI 5.2.5.1: on a 16-byte boundary between 0xe0000 and 0xfffff. */
const ROOT_POINTER = 0xf_59d0;

export interface ReservedRange {
  readonly address: number;
  readonly size: number;
}

/** Writes the tables and claims the register blocks. @returns the range that is no RAM any more. */
export function installAcpi(
  memory: MachineMemory,
  ports: PortBus,
  options: PmOptions & { cpus: number },
): ReservedRange {
  const end = memory.frames * PAGE_SIZE;
  const address = end - ACPI_RESERVED_BYTES;
  const { rsdp, tables } = acpiTables({ address, cpus: options.cpus, pciMemory: end });
  memory.write(address, tables);
  memory.write(ROOT_POINTER, rsdp);
  const device = new PmRegisters(options);
  ports.claim({ first: PM1_EVENT, count: 12, device, wide: true });
  ports.claim({ first: GPE0, count: 4, device, wide: true });
  return { address, size: ACPI_RESERVED_BYTES };
}
