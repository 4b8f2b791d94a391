// HYPERVISOR_set_trap_table (arch-x86/xen.h: trap_info): the guest's virtual IDT. A null handle clears it; an entry with address 0
// ends the table. Entries before a bad one stay set, as with Xen.

import { copyFromGuest } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { trap_info } from "../public/arch-x86/xen.js";
import { errno } from "../public/errno.js";
import { __HYPERVISOR_set_trap_table } from "../public/xen.js";
import { isCanonical } from "../pv/translate.js";
import type { HypercallArgs, HypercallRow } from "./args.js";

const ENTRY_SIZE = trap_info.size(64);
/** A table names each vector at most once; longer ones only repeat themselves. */
const MAX_ENTRIES = 256;

export function setTrapTable(vcpu: Vcpu, args: HypercallArgs): number {
  const { pv } = vcpu;
  const table = args.arg(0);
  if (table === 0n) {
    pv.trapAddress.fill(0n);
    pv.trapSelector.fill(0);
    pv.trapFlags.fill(0);
    return 0;
  }
  for (let i = 0; i < MAX_ENTRIES; i++) {
    const bytes = copyFromGuest(vcpu, BigInt.asUintN(64, table + BigInt(i * ENTRY_SIZE)), ENTRY_SIZE);
    if (bytes === undefined) return -errno.EFAULT;
    const entry = trap_info.decode(bytes, 64);
    if (entry.address === 0n) return 0;
    if (!isCanonical(entry.address)) return -errno.EINVAL;
    pv.trapAddress[entry.vector] = entry.address;
    // Guest code runs at CPL 3, whatever RPL it names.
    pv.trapSelector[entry.vector] = entry.cs | 3;
    pv.trapFlags[entry.vector] = entry.flags & 7;
  }
  return 0;
}

export const setTrapTableRow: HypercallRow = {
  number: __HYPERVISOR_set_trap_table,
  name: "set_trap_table",
  pv64: setTrapTable,
};
