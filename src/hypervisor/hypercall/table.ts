// The hypercall table: every hypercall that exists, by number, for each kind of guest. The rows are next to their handlers.

import type { Hypercall, HypercallRow } from "./args.js";
import { callbackRows } from "./callbacks.js";
import { consoleIoRows } from "./console-io.js";
import { cpuStateRows } from "./cpu-state.js";
import { descriptorRows } from "./descriptors.js";
import { domctlRows } from "./domctl.js";
import { eventChannelRows } from "./event-channel.js";
import { grantTableRows } from "./grant-table.js";
import { mcaRows } from "./mca.js";
import { memoryRows } from "./memory.js";
import { mmuUpdateRows } from "./mmu-update.js";
import { mmuextRows } from "./mmuext.js";
import { physdevRows } from "./physdev.js";
import { platformRows } from "./platform.js";
import { schedRows } from "./sched.js";
import { setTrapTableRow } from "./set-trap-table.js";
import { sysctlRows } from "./sysctl.js";
import { timerRows } from "./timer.js";
import { updateVaMappingRows } from "./update-va-mapping.js";
import { vcpuRows } from "./vcpu.js";
import { vmAssistRows } from "./vm-assist.js";
import { xenVersionRows } from "./xen-version.js";
import { xenpmuRows } from "./xenpmu.js";

export type GuestKind = "pv64" | "pv32" | "hvm";

export const hypercallRows: readonly HypercallRow[] = [
  ...callbackRows,
  ...consoleIoRows,
  ...cpuStateRows,
  ...descriptorRows,
  ...domctlRows,
  ...eventChannelRows,
  ...grantTableRows,
  ...mcaRows,
  ...memoryRows,
  ...mmuUpdateRows,
  ...mmuextRows,
  ...physdevRows,
  ...platformRows,
  ...schedRows,
  setTrapTableRow,
  ...sysctlRows,
  ...timerRows,
  ...updateVaMappingRows,
  ...vcpuRows,
  ...vmAssistRows,
  ...xenVersionRows,
  ...xenpmuRows,
];

const NUMBERS = 64;

/** @throws Error when two rows have the same number, naming both. */
export function buildTable(
  rows: readonly HypercallRow[],
): Readonly<Record<GuestKind, readonly (Hypercall | undefined)[]>> {
  const table: Record<GuestKind, (Hypercall | undefined)[]> = {
    pv64: new Array(NUMBERS).fill(undefined),
    pv32: new Array(NUMBERS).fill(undefined),
    hvm: new Array(NUMBERS).fill(undefined),
  };
  const names = new Map<number, string>();
  for (const row of rows) {
    const other = names.get(row.number);
    if (other !== undefined) throw new Error(`hypercall ${row.number} is both ${other} and ${row.name}`);
    names.set(row.number, row.name);
    table.pv64[row.number] = row.pv64;
    table.pv32[row.number] = row.pv32;
    table.hvm[row.number] = row.hvm;
  }
  return table;
}

export const hypercallTable = buildTable(hypercallRows);

/** Xen's name of a hypercall. */
export function hypercallName(number: number): string {
  if (number === 13) return "multicall";
  return hypercallRows.find((row) => row.number === number)?.name ?? `hypercall ${number}`;
}
