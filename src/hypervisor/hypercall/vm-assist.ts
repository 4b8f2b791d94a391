// HYPERVISOR_vm_assist (xen.h): switches of behaviour that a PV guest asks for.

import type { Vcpu } from "../hypervisor.js";
import { errno } from "../public/errno.js";
import * as X from "../public/xen.js";
import type { HypercallArgs, HypercallRow } from "./args.js";

const VALID =
  (1 << X.VMASST_TYPE_4gb_segments) |
  (1 << X.VMASST_TYPE_4gb_segments_notify) |
  (1 << X.VMASST_TYPE_writable_pagetables) |
  (1 << X.VMASST_TYPE_pae_extended_cr3) |
  (1 << X.VMASST_TYPE_architectural_iopl) |
  (1 << X.VMASST_TYPE_runstate_update_flag);

export function vmAssist(vcpu: Vcpu, args: HypercallArgs): number {
  const { domain } = vcpu;
  const command = args.argNumber(0);
  const type = args.argNumber(1);
  const isKnown = type < 32 && ((VALID >>> type) & 1) === 1;
  if (!isKnown && type !== X.VMASST_TYPE_m2p_strict) return -errno.EINVAL;
  if (command !== X.VMASST_CMD_enable && command !== X.VMASST_CMD_disable) return -errno.ENOSYS;
  const isOn = command === X.VMASST_CMD_enable;
  if (type === X.VMASST_TYPE_m2p_strict) domain.isM2pStrict = isOn;
  else if (isOn) domain.assists |= 1 << type;
  else domain.assists &= ~(1 << type);
  return 0;
}

export const vmAssistRows: readonly HypercallRow[] = [
  { number: X.__HYPERVISOR_vm_assist, name: "vm_assist", pv64: vmAssist, pv32: vmAssist, hvm: vmAssist },
];
