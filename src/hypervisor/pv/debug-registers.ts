// Debug registers of a PV vCPU (arch-x86/xen.h: set_debugreg, get_debugreg; SDM 3B 18.2). Breakpoints may not lie in the
// hypervisor's hole, I/O breakpoints and general detection are refused.

import { DR } from "../../cpu/state-layout.js";
import { HYPERVISOR_VIRT_END, HYPERVISOR_VIRT_START } from "../public/arch-x86/xen-x86_64.js";
import type { PvContext } from "./pv-context.js";
import { DR6_DEFAULT, DR7_DEFAULT } from "./pv-vcpu.js";
import { isCanonical } from "./translate.js";

const DR7_ENABLES = 0xffn;
/** GD, and the bits that must be zero. */
const DR7_GENERAL_DETECT = 1n << 13n;
const DR6_RESERVED_ZERO = 1n << 12n;
const DR7_RESERVED_ZERO = 0xd000n;
const IO_BREAKPOINT = 2n;
const EIGHT_BYTES = 2n;
const HIGH_HALF = 0xffff_ffff_0000_0000n;

/** @returns false for a register or value that the guest may not set. */
export function setDebugRegister(vcpu: PvContext, index: number, value: bigint): boolean {
  const { pv, cpu } = vcpu;
  if (index < 4) {
    if (!isCanonical(value) || (value >= HYPERVISOR_VIRT_START && value < HYPERVISOR_VIRT_END)) return false;
    pv.dr[index] = value;
    cpu.state.setU64(DR + 8 * index, value);
    return true;
  }
  if (value & HIGH_HALF) return false;
  if (index === 4 || index === 6) {
    pv.dr[6] = (value & ~DR6_RESERVED_ZERO) | DR6_DEFAULT;
    return true;
  }
  if (index !== 5 && index !== 7) return false;
  let wanted = (value & ~DR7_RESERVED_ZERO) | DR7_DEFAULT;
  if (wanted & DR7_GENERAL_DETECT) return false;
  if ((wanted & DR7_ENABLES) === 0n) wanted = DR7_DEFAULT;
  for (let i = 0n; i < 4n; i++) {
    if (((wanted >> (i * 2n)) & 3n) === 0n) continue;
    const type = (wanted >> (16n + i * 4n)) & 3n;
    const length = (wanted >> (18n + i * 4n)) & 3n;
    if (type === IO_BREAKPOINT) return false;
    // An execution breakpoint is one byte long.
    if (type === 0n && length !== 0n) return false;
    if (length === EIGHT_BYTES && pv.dr[Number(i)]! & 7n) return false;
  }
  pv.dr[7] = wanted;
  cpu.state.setU64(DR + 56, wanted);
  cpu.accessRightsChanged();
  return true;
}

/** The register's value, or undefined for an index above 7. DR4 and DR5 are other names of DR6 and DR7. */
export function getDebugRegister(vcpu: PvContext, index: number): bigint | undefined {
  if (index === 4 || index === 5) return vcpu.pv.dr[index + 2]!;
  return index <= 7 ? vcpu.pv.dr[index]! : undefined;
}
