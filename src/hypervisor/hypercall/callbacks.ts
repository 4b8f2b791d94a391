// HYPERVISOR_callback_op (callback.h), the older set_callbacks, and nmi_op: where Xen enters the guest kernel for events, system
// calls, failed returns and NMIs.

import { copyFromGuest } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import {
  CALLBACKF_mask_events,
  CALLBACKOP_register,
  CALLBACKOP_unregister,
  CALLBACKTYPE_event,
  CALLBACKTYPE_failsafe,
  CALLBACKTYPE_nmi,
  CALLBACKTYPE_syscall,
  CALLBACKTYPE_syscall32,
  CALLBACKTYPE_sysenter,
  CALLBACKTYPE_sysenter_deprecated,
  callback_register,
  callback_unregister,
} from "../public/callback.js";
import { errno } from "../public/errno.js";
import { __HYPERVISOR_callback_op, __HYPERVISOR_nmi_op, __HYPERVISOR_set_callbacks } from "../public/xen.js";
import type { Callback } from "../pv/pv-vcpu.js";
import { isCanonical } from "../pv/translate.js";
import type { HypercallArgs, HypercallRow } from "./args.js";

/** nmi_op (nmi.h). */
const XENNMI_register_callback = 0;
const XENNMI_unregister_callback = 1;

function callbackOf(vcpu: Vcpu, type: number): Callback | undefined {
  const { pv } = vcpu;
  switch (type) {
    case CALLBACKTYPE_event:
      return pv.eventCallback;
    case CALLBACKTYPE_failsafe:
      return pv.failsafeCallback;
    case CALLBACKTYPE_syscall:
      return pv.syscallCallback;
    case CALLBACKTYPE_syscall32:
      return pv.syscall32Callback;
    case CALLBACKTYPE_sysenter:
    case CALLBACKTYPE_sysenter_deprecated:
      return pv.sysenterCallback;
    case CALLBACKTYPE_nmi:
      return pv.nmiCallback;
    default:
      return undefined;
  }
}

function register(vcpu: Vcpu, type: number, address: bigint, masksEvents: boolean): number {
  const callback = callbackOf(vcpu, type);
  if (!callback) return -errno.ENOSYS;
  if (!isCanonical(address)) return -errno.EINVAL;
  callback.address = address;
  // Event and NMI callbacks always mask (callback.h: CALLBACKF_mask_events).
  callback.masksEvents = type === CALLBACKTYPE_event || type === CALLBACKTYPE_nmi || masksEvents;
  return 0;
}

function unregister(vcpu: Vcpu, type: number): number {
  switch (type) {
    case CALLBACKTYPE_event:
    case CALLBACKTYPE_failsafe:
    case CALLBACKTYPE_syscall:
    case CALLBACKTYPE_syscall32:
    case CALLBACKTYPE_sysenter:
    case CALLBACKTYPE_sysenter_deprecated:
      return -errno.EINVAL;
    case CALLBACKTYPE_nmi:
      vcpu.pv.nmiCallback.address = 0n;
      return 0;
    default:
      return -errno.ENOSYS;
  }
}

export function callbackOp(vcpu: Vcpu, args: HypercallArgs): number {
  const command = args.argNumber(0);
  const handle = args.arg(1);
  if (command === CALLBACKOP_register) {
    const bytes = copyFromGuest(vcpu, handle, callback_register.size(64));
    if (bytes === undefined) return -errno.EFAULT;
    const { type, flags, address } = callback_register.decode(bytes, 64);
    return register(vcpu, type, address, (flags & CALLBACKF_mask_events) !== 0);
  }
  if (command === CALLBACKOP_unregister) {
    const bytes = copyFromGuest(vcpu, handle, callback_unregister.size(64));
    if (bytes === undefined) return -errno.EFAULT;
    return unregister(vcpu, callback_unregister.decode(bytes, 64).type);
  }
  return -errno.ENOSYS;
}

/** set_callbacks(event, failsafe, syscall): the flags keep the values they have. */
export function setCallbacks(vcpu: Vcpu, args: HypercallArgs): number {
  const { pv } = vcpu;
  register(vcpu, CALLBACKTYPE_event, args.arg(0), true);
  register(vcpu, CALLBACKTYPE_failsafe, args.arg(1), pv.failsafeCallback.masksEvents);
  register(vcpu, CALLBACKTYPE_syscall, args.arg(2), pv.syscallCallback.masksEvents);
  return 0;
}

export function nmiOp(vcpu: Vcpu, args: HypercallArgs): number {
  switch (args.argNumber(0)) {
    case XENNMI_register_callback: {
      // struct xennmi_callback: handler_address, pad.
      const bytes = copyFromGuest(vcpu, args.arg(1), 16);
      if (bytes === undefined) return -errno.EFAULT;
      const address = new DataView(bytes.buffer).getBigUint64(0, true);
      return register(vcpu, CALLBACKTYPE_nmi, address, true);
    }
    case XENNMI_unregister_callback:
      return unregister(vcpu, CALLBACKTYPE_nmi);
    default:
      return -errno.ENOSYS;
  }
}

export const callbackRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_callback_op, name: "callback_op", pv64: callbackOp },
  { number: __HYPERVISOR_set_callbacks, name: "set_callbacks", pv64: setCallbacks },
  { number: __HYPERVISOR_nmi_op, name: "nmi_op", pv64: nmiOp },
];
