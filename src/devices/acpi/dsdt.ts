// The definition block of our machine: sleep states, the PCI root bridge with its windows, the ISA bridge and the clock behind it.

import { type Aml, device, eisaId, integer, method, name, packageOf, scope } from "./aml.js";
import { busRange, io, ioRange, irqNoFlags, memoryRange, resources } from "./resources.js";

/** SLP_TYP values that pm-registers.ts knows: the machine is off after S5. */
export const SLEEP_TYPE_S5 = 0;

export interface DsdtOptions {
  /** First address above RAM that PCI devices may use. */
  readonly pciMemory: number;
}

/** End of the window, below the I/O APIC. */
const PCI_MEMORY_END = 0xfebf_ffff;

function sleepState(path: string, type: number): Aml {
  return name(path, packageOf(integer(type), integer(type), integer(0), integer(0)));
}

export function dsdtTerms(options: DsdtOptions): number[] {
  const windows = resources(
    busRange(0, 0xff),
    io(0xcf8, 8),
    ioRange(0, 0xcf7),
    ioRange(0xd00, 0xffff),
    memoryRange(0xa_0000, 0xb_ffff, true),
    memoryRange(options.pciMemory, PCI_MEMORY_END),
  );
  const clock = device("RTC", name("_HID", eisaId("PNP0B00")), name("_CRS", resources(io(0x70, 8), irqNoFlags(8))));
  const isaBridge = device("ISA", name("_ADR", integer(0x1_0000)), clock);
  const pci = device(
    "PCI0",
    name("_HID", eisaId("PNP0A03")),
    name("_UID", integer(0)),
    name("_CRS", windows),
    isaBridge,
  );
  return [
    ...sleepState("\\_S3", 1),
    ...sleepState("\\_S4", 2),
    ...sleepState("\\_S5", SLEEP_TYPE_S5),
    ...scope("\\_SB", pci),
    ...scope("\\_GPE", method("_E01", 0), method("_E02", 0)),
  ];
}
